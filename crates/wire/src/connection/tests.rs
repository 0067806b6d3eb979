use super::driver::{InFlight, Waiting};
use super::*;
use crate::transport::MemoryConnector;
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::{
    ApiVersionsResponse, MetadataRequest, MetadataResponse, api_versions_response::ApiVersion,
};
use kafka_protocol::protocol::Encodable;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

/// The other end, scripted.
struct Peer<S = DuplexStream>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// (API key, version, correlation id) of the next request.
    async fn request(&mut self) -> (i16, i16, i32) {
        let len = self.0.read_i32().await.unwrap();
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        self.0.read_exact(&mut bytes).await.unwrap();
        let mut fields = &bytes[..];
        use bytes::Buf;
        (fields.get_i16(), fields.get_i16(), fields.get_i32())
    }

    async fn answer(&mut self, correlation_id: i32, body: &[u8]) {
        let mut bytes = BytesMut::new();
        bytes.put_i32(i32::try_from(body.len() + 4).unwrap());
        bytes.put_i32(correlation_id);
        bytes.put_slice(body);
        self.0.write_all(&bytes).await.unwrap();
    }

    async fn handshake(&mut self) {
        let (key, version, id) = self.request().await;
        assert_eq!((key, version), (18, 3));
        let metadata = ApiVersion::default().with_api_key(3).with_min_version(0).with_max_version(12);
        let mut body = BytesMut::new();
        ApiVersionsResponse::default().with_api_keys(vec![metadata]).encode(&mut body, 3).unwrap();
        self.answer(id, &body).await;
    }
}

async fn open() -> (impl Future<Output = Result<Connection, Arc<ConnectionError>>>, Peer) {
    let (ours, theirs) = tokio::io::duplex(4096);
    let end = Mutex::new(Some(ours));
    let connector = MemoryConnector::new(move |_, _| Ok(end.lock().unwrap().take().unwrap()));
    let opening = async move {
        Connection::open(&connector, "b", 9092, &ConnectionConfig::default(), &BufferPool::new(0)).await
    };
    (opening, Peer(theirs))
}

async fn opened() -> (Connection, Peer) {
    let (opening, mut peer) = open().await;
    let (connection, ()) = tokio::join!(opening, peer.handshake());
    (connection.unwrap(), peer)
}

#[tokio::test]
async fn answers_reach_their_requests_in_order() {
    let (connection, mut peer) = opened().await;
    let mut body = BytesMut::new();
    body.put_u8(0);
    MetadataResponse::default().with_controller_id(7.into()).encode(&mut body, 12).unwrap();
    let serve = async {
        let (first, second) = (peer.request().await, peer.request().await);
        assert_eq!((first.0, first.1), (3, 12));
        peer.answer(first.2, &body).await;
        peer.answer(second.2, &body).await;
    };
    let request = MetadataRequest::default();
    let (a, b, ()) = tokio::join!(connection.call(&request), connection.call(&request), serve);
    assert_eq!((a.unwrap().controller_id.0, b.unwrap().controller_id.0), (7, 7));
}

#[tokio::test]
async fn everyone_hears_the_same_cause_early_and_late() {
    let (connection, mut peer) = opened().await;
    let request = MetadataRequest::default();
    let close = async {
        peer.request().await;
        peer.request().await;
        drop(peer);
    };
    let (a, b, ()) = tokio::join!(connection.call(&request), connection.call(&request), close);
    let (a, b) = (a.unwrap_err(), b.unwrap_err());
    let late = connection.call(&request).await.unwrap_err();
    assert!(Arc::ptr_eq(&a, &b) && Arc::ptr_eq(&a, &late), "{a} / {b} / {late}");
    assert!(matches!(a.cause, Cause::Closed { during: Some(3) }), "{a}");
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection_at_the_deadline() {
    let (connection, _peer) = opened().await;
    let error = connection.call(&MetadataRequest::default()).await.unwrap_err();
    assert!(matches!(error.cause, Cause::TimedOut { api_key: 3, .. }), "{error}");
}

#[tokio::test]
async fn an_answer_out_of_step_ends_the_connection() {
    let (connection, mut peer) = opened().await;
    let serve = async {
        let (_, _, id) = peer.request().await;
        peer.answer(id + 1, &[]).await;
    };
    let request = MetadataRequest::default();
    let (outcome, ()) = tokio::join!(connection.call(&request), serve);
    let error = outcome.unwrap_err();
    assert!(matches!(error.cause, Cause::OutOfStep { expected: Some(_), .. }), "{error}");
}

#[tokio::test]
async fn other_servers_are_recognised() {
    for (bytes, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP server"),
        (&[0x15, 0x03, 0x03, 0x00, 0x02], "speaks TLS"),
        (b"\xFFSSH", "is this a Kafka listener"),
        (b"", "is this a Kafka listener"),
    ] {
        let (opening, mut peer) = open().await;
        let serve = async {
            peer.request().await;
            peer.0.write_all(bytes).await.unwrap();
            drop(peer);
        };
        let (outcome, ()) = tokio::join!(opening, serve);
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains(expected) && text.starts_with("b:9092: "), "{text}");
    }
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_version_0() {
    let (opening, mut peer) = open().await;
    let serve = async {
        let (_, version, id) = peer.request().await;
        assert_eq!(version, 3);
        let mut body = BytesMut::new();
        ApiVersionsResponse::default().with_error_code(35).encode(&mut body, 0).unwrap();
        peer.answer(id, &body).await;
        let (_, version, id) = peer.request().await;
        assert_eq!(version, 0);
        let fetch = ApiVersion::default().with_api_key(1).with_min_version(0).with_max_version(10);
        let mut body = BytesMut::new();
        ApiVersionsResponse::default().with_api_keys(vec![fetch]).encode(&mut body, 0).unwrap();
        peer.answer(id, &body).await;
    };
    let (connection, ()) = tokio::join!(opening, serve);
    assert_eq!(connection.unwrap().version(1, 10, 17), Some(10));
}

/// Where much is under way the first answers are read together, where little is each by itself: none is waited for in vain,
/// however short they are.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn answers_are_read_together_where_much_is_under_way() {
    let patience = Duration::from_secs(60);
    for payload in [50_000, 50] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (config, pool) = (ConnectionConfig::default(), BufferPool::new(0));
        let connector = crate::transport::TcpConnector::default();
        let opening = Connection::open(&connector, "127.0.0.1", port, &config, &pool);
        let (connection, mut peer) = tokio::join!(opening, async {
            let mut peer = Peer(listener.accept().await.unwrap().0);
            peer.handshake().await;
            peer
        });
        let connection = connection.unwrap();
        let (answered, mut answers) = mpsc::channel(6);
        let mut next = async || tokio::time::timeout(patience, answers.recv()).await.unwrap();
        let mut ids = Vec::new();
        let mut least = 0;
        for number in 0..6 {
            let id = crate::primitives::TopicId([1; 16]);
            let topic = crate::fetch::TopicIdentity { name: "t".into(), id };
            let (header, payload) = ([0; crate::records::HEADER_BYTES], vec![7; payload].into());
            let batch = crate::produce::ProduceBatch::in_memory(&topic, 0, &header, &payload);
            let frame = crate::produce::encode(9, "us", 1, std::iter::once(batch));
            least = frame.least_answer_bytes();
            let answered = answered.clone();
            let reply = move |answer: Answer| answered.try_send((number, answer.is_ok())).unwrap();
            connection.submit(frame, Duration::ZERO, reply);
            ids.push(peer.request().await.2);
        }
        let body = vec![0; least - 8];
        // Of six the first three, for three others are enough to do.
        let together = if payload == 50_000 { 3 } else { 1 };
        for (number, id) in ids.iter().enumerate() {
            peer.answer(*id, &body).await;
            if number + 1 < together {
                assert!(tokio::time::timeout(Duration::from_millis(50), next()).await.is_err());
            } else if number + 1 == together {
                for number in 0..together {
                    assert_eq!(next().await, Some((number, true)));
                }
            } else {
                assert_eq!(next().await, Some((number, true)));
            }
        }
    }
}

/// So many bytes under way, answers of 100 bytes: how much is waited for.
#[test]
fn what_is_waited_for_leaves_enough_behind_it() {
    let cases: [(&[usize], usize); 7] = [
        (&[], 0),
        (&[1 << 20], 0),
        (&[50, 50, 50, 50, 50, 50], 0),
        (&[130_000, 130_000], 0),
        (&[130_000, 130_000, 130_000], 100),
        (&[130_000, 130_000, 130_000, 130_000, 130_000], 300),
        (&[130_000, 132_000, 1_000], 100),
    ];
    for (requests, expected) in cases {
        let in_flight = InFlight::default();
        in_flight.lock().extend(requests.iter().map(|bytes| Waiting {
            correlation_id: 0,
            api_key: 0,
            scan_as: None,
            request_bytes: *bytes,
            least_answer_bytes: 100,
            timeout: Duration::ZERO,
            deadline: tokio::time::Instant::now(),
            reply: Reply::Call(Box::new(|_| ())),
        }));
        assert_eq!(in_flight.together_bytes(), expected, "{requests:?}");
    }
}
