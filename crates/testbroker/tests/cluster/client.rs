//! A client of a few lines, independent of the code under test.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, FetchRequest, FetchResponse, ProduceRequest, RequestHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use verbatim_testbroker::TestCluster;
use verbatim_wire::records::header::BatchHeader;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    correlation_id: i32,
}

impl Client {
    /// Connects to a broker over whatever the cluster speaks.
    pub(crate) async fn connect(cluster: &TestCluster, node: usize) -> Self {
        Self::try_connect(cluster, node).await.unwrap()
    }

    pub(crate) async fn try_connect(cluster: &TestCluster, node: usize) -> std::io::Result<Self> {
        let bootstrap = cluster.bootstrap();
        let address = bootstrap.split(',').nth(node - 1).unwrap();
        let stream: Box<dyn Stream> = match cluster.network() {
            None => Box::new(tokio::net::TcpStream::connect(address).await?),
            Some(network) => {
                let (host, port) = address.split_once(':').unwrap();
                Box::new(network.dial(host, port.parse().unwrap())?)
            }
        };
        Ok(Self { stream, correlation_id: 0 })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request).await.expect("connection closed")
    }

    /// As `call`; `None` when the connection is closed instead.
    pub(crate) async fn try_call<R: Request>(&mut self, version: i16, request: &R) -> Option<R::Response> {
        self.send(version, request).await;
        self.receive::<R>(version).await
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("tests")));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version)).unwrap();
        request.encode(&mut body, version).unwrap();
        self.send_frame(&body).await;
    }

    pub(crate) async fn send_frame(&mut self, body: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_i32(body.len() as i32);
        frame.put_slice(body);
        // A broker that went away shows in the answer.
        let _ = self.stream.write_all(&frame).await;
    }

    /// Reads one frame; `None` when the connection is closed.
    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        let size = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; size as usize];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(Bytes::from(frame))
    }

    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        let mut frame = self.receive_frame().await?;
        assert_eq!(frame.get_i32(), self.correlation_id);
        if R::Response::header_version(version) == 1 {
            assert_eq!(frame.get_u8(), 0);
        }
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty(), "{} bytes behind the {:?} response", frame.len(), ApiKey::try_from(R::KEY));
        Some(response)
    }

    /// Produces one batch in version 9; the partition's answer.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, partition, batch);
        let mut response = self.call(9, &request).await;
        response.responses.remove(0).partition_responses.remove(0)
    }

    /// Fetches one partition in version 11 without a session, not waiting.
    pub(crate) async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> PartitionData {
        let mut response = self.call(11, &fetch_request(topic, &[(partition, offset)])).await;
        response.responses.remove(0).partitions.remove(0)
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn transactional(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}

pub(crate) fn produce_request(name: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![
        TopicProduceData::default().with_name(topic(name)).with_partition_data(vec![data]),
    ])
}

pub(crate) fn fetch_request(name: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    let partitions = partitions.iter().map(|(partition, offset)| {
        FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    });
    FetchRequest::default().with_max_bytes(1 << 20).with_session_epoch(-1).with_topics(vec![
        FetchTopic::default().with_topic(topic(name)).with_partitions(partitions.collect()),
    ])
}

/// The partitions of an answer, whatever their topic.
pub(crate) fn partitions(response: &FetchResponse) -> Vec<&PartitionData> {
    response.responses.iter().flat_map(|topic| &topic.partitions).collect()
}

/// Headers of the whole batches in fetched records.
pub(crate) fn headers(records: &Bytes) -> Vec<BatchHeader> {
    let mut rest = records.clone();
    let mut headers = Vec::new();
    while let Some(header) = BatchHeader::parse(&rest) {
        let bytes = header.batch_bytes().unwrap();
        if bytes > rest.len() {
            break;
        }
        rest.advance(bytes);
        headers.push(header);
    }
    headers
}
