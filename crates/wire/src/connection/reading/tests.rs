//! Answers of all shapes over a real socket, with payloads left out and without: they hold the same.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::super::{Asked, BufferPool, Cause, Connection, ConnectionConfig, Payloads, Reception};
use crate::cluster::Lane;
use crate::fetch::{FetchAnswer, FetchLimits, FetchSession, Isolation};
use crate::pipe::{Basin, PipedBytes};
use crate::records::{Batch, BatchHeader, Entry, Walker};
use crate::transport::TcpConnector;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiVersionsResponse, FetchResponse, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use socket2::SockRef;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll(256).to_le_bytes()[0]).collect()
    }
}

fn header(base_offset: i64, payload: usize) -> BatchHeader {
    BatchHeader {
        base_offset,
        batch_length: i32::try_from(payload + 49).unwrap(),
        partition_leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: crate::records::Attributes(0),
        last_offset_delta: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: 1,
    }
}

/// Some batches, the last one perhaps cut, or something else.
fn records(dice: &mut Dice) -> Bytes {
    let mut out = Vec::new();
    let sizes: &[usize] =
        if dice.roll(3) == 0 { &[70_000] } else { &[0, 50, 31_000, 33_000, 70_000, 170_000] };
    for offset in 0..dice.roll(6) {
        let most = dice.pick(sizes);
        let payload = if most == 70_000 { 65_000 } else { dice.roll(most + 1) };
        out.extend(header(offset as i64, payload).to_bytes());
        out.extend(dice.bytes(payload));
    }
    match dice.roll(6) {
        0 => out.truncate(dice.roll(out.len() + 1)),
        1 => out.extend([0; 200]),
        _ => {}
    }
    out.into()
}

/// The body of an answer in `version`, with the response header's tags.
fn answer(dice: &mut Dice, version: i16) -> Bytes {
    let topics = (0..dice.roll(4)).map(|topic| {
        let partitions = (0..dice.roll(4)).map(|partition| {
            let aborted = AbortedTransaction::default().with_producer_id(7.into());
            PartitionData::default()
                .with_partition_index(partition as i32)
                .with_high_watermark(9)
                .with_aborted_transactions(Some(vec![aborted; dice.roll(30) / 20 * 15]))
                .with_records(Some(records(dice)))
        });
        let topic_data = FetchableTopicResponse::default().with_partitions(partitions.collect());
        match version {
            13.. => topic_data.with_topic_id(uuid::Uuid::from_u128(topic as u128 + 1)),
            _ => topic_data.with_topic(TopicName(StrBytes::from_string(format!("topic-{topic}")))),
        }
    });
    let response = FetchResponse::default().with_session_id(1).with_responses(topics.collect());
    let mut body = BytesMut::new();
    if version >= 12 {
        body.put_u8(0);
    }
    response.encode(&mut body, version).unwrap();
    body.freeze()
}

/// How the bytes of an answer come in.
#[derive(Debug, Clone, Copy)]
enum Sending {
    AtOnce,
    InChunks,
    /// As so many small pieces of pages that no pipe holds a payload of them.
    InCrumbs,
    /// So many of them, then no more.
    OnlyCrumbs(usize),
}

const CRUMB_BYTES: usize = 600;

async fn send(dice: &mut Dice, stream: &mut TcpStream, frame: &[u8], sending: Sending) {
    match sending {
        Sending::AtOnce => stream.write_all(frame).await.unwrap(),
        Sending::InChunks => {
            let mut rest = frame;
            while !rest.is_empty() {
                let most = dice.pick(&[1, 100, 5_000, 60_000]);
                let (chunk, after) = rest.split_at(rest.len().min(1 + dice.roll(most)));
                stream.write_all(chunk).await.unwrap();
                tokio::task::yield_now().await;
                rest = after;
            }
        }
        Sending::InCrumbs | Sending::OnlyCrumbs(_) => {
            let most = if let Sending::OnlyCrumbs(most) = sending { most } else { usize::MAX };
            // Back to front in a file, so that no two that follow one another are neighbours in a page.
            let path = std::env::temp_dir().join(format!("crumbs-{}-{}", std::process::id(), dice.0));
            let file = std::fs::File::options().create_new(true).read(true).write(true).open(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let crumbs = frame.chunks(CRUMB_BYTES);
            let count = crumbs.len();
            for (number, crumb) in crumbs.enumerate().take(most) {
                let at = ((count - number) * CRUMB_BYTES) as u64;
                file.write_all_at(crumb, at).unwrap();
                let (mut from, end) = (at, at + crumb.len() as u64);
                while from < end {
                    let left = (end - from) as usize;
                    let sent = stream
                        .async_io(Interest::WRITABLE, || {
                            Ok(rustix::fs::sendfile(&*stream, &file, Some(&mut from), left)?)
                        })
                        .await;
                    sent.unwrap();
                }
            }
        }
    }
}

/// A broker that speaks Fetch in `version` and answers every request with `body`.
async fn serve(listener: TcpListener, version: i16, body: Bytes, mut dice: Dice, sending: Sending) {
    let (mut stream, _) = listener.accept().await.unwrap();
    // More than one answer may be on its way.
    SockRef::from(&stream).set_send_buffer_size(1 << 20).unwrap();
    while let Ok(len) = stream.read_i32().await {
        let mut request = vec![0; usize::try_from(len).unwrap()];
        stream.read_exact(&mut request).await.unwrap();
        let is_fetch = request[..2] == [0, 1];
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_slice(&request[4..8]);
        if is_fetch {
            frame.put_slice(&body);
        } else {
            let fetch = ApiVersion::default().with_api_key(1).with_min_version(4).with_max_version(version);
            ApiVersionsResponse::default().with_api_keys(vec![fetch]).encode(&mut frame, 3).unwrap();
        }
        let len = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&len.to_be_bytes());
        send(&mut dice, &mut stream, &frame, if is_fetch { sending } else { Sending::AtOnce }).await;
        if is_fetch && matches!(sending, Sending::OnlyCrumbs(_)) {
            return;
        }
    }
}

/// All that an answer says, and how many batches had to be gathered.
fn told(answer: FetchAnswer, pool: &Arc<BufferPool>) -> (Vec<String>, usize) {
    let (mut lines, mut gathered) = (Vec::new(), 0);
    for (topic, fetched) in answer.into_named() {
        lines.push(format!(
            "{topic:?} {} {:?} {}",
            fetched.partition,
            fetched.aborted_transactions,
            fetched.records.len()
        ));
        for entry in Walker::new(fetched.records) {
            lines.push(match entry {
                Entry::Batch(mut batch) => {
                    gathered += usize::from(batch.tail.is_some());
                    batch.gather(pool).unwrap();
                    let Batch { header, bytes, .. } = batch;
                    format!("{header:?} {} {:08x}", bytes.len(), crc32c::crc32c(&bytes))
                }
                other => format!("{other:?}"),
            });
        }
    }
    (lines, gathered)
}

/// Only one test at a time counts pipes.
static PIPES: Mutex<()> = Mutex::const_new(());

/// A connection to a broker that answers Fetch requests with `body`.
async fn served(version: i16, body: &Bytes, dice: Dice, sending: Sending) -> (Connection, Arc<BufferPool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, version, body.clone(), dice, sending));
    let pool = BufferPool::new(1 << 20);
    let config = ConnectionConfig::default();
    let connector = TcpConnector::default();
    let connection = Connection::open(&connector, "127.0.0.1", port, &config, &pool).await.unwrap();
    (connection, pool)
}

/// The answer to a Fetch request, with payloads left out.
async fn fetched(connection: &Connection, version: i16) -> Reception {
    let [answer] = fetched_at_once(connection, version).await;
    answer
}

/// The answers to so many, all of them asked before the first is read.
async fn fetched_at_once<const REQUESTS: usize>(
    connection: &Connection,
    version: i16,
) -> [Reception; REQUESTS] {
    let limits = FetchLimits {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        partition_max_bytes: 1 << 20,
        isolation: Isolation::ReadUncommitted,
    };
    let (answered, mut answers) = mpsc::channel(REQUESTS);
    for request in 0..REQUESTS as u64 {
        let frame = FetchSession::default().next_request(version, "test", &limits);
        let asked = Asked { node: 0, lane: Lane::Fetch(0), request };
        let room = answered.clone().reserve_owned().await.unwrap();
        connection.submit_to(frame, Duration::ZERO, Payloads::InKernel, asked, room);
    }
    let mut received = Vec::new();
    while received.len() < REQUESTS {
        received.push(answers.recv().await.unwrap().answer);
    }
    received.try_into().unwrap()
}

/// Fetches one answer with payloads left out, and compares it with the same read as a whole; how many were left out.
async fn compared(seed: u64, sending: Sending) -> usize {
    let mut dice = Dice(seed);
    let version = dice.pick(&[10, 11, 12, 13, 15, 16, 17]);
    let body = answer(&mut dice, version);
    let (connection, pool) = served(version, &body, Dice(seed + 1000), sending).await;
    let mut left_out = 0;
    for _ in 0..2 {
        let received = fetched(&connection, version).await.unwrap();
        let (found, gathered) = told(received.into_fetched(version).unwrap(), &pool);
        let (expected, none) = told(FetchAnswer::decode(version, &body).unwrap(), &pool);
        assert_eq!(found, expected, "seed {seed}, version {version}, {sending:?}");
        assert_eq!((none, pool.alive_bytes()), (0, 0), "seed {seed}");
        left_out += gathered;
    }
    left_out
}

/// The same for so many answers, which come at once and in chunks by turns.
async fn compared_all(answers: u64) -> usize {
    let mut left_out = 0;
    for seed in 0..answers {
        left_out += compared(seed, if seed % 2 == 0 { Sending::AtOnce } else { Sending::InChunks }).await;
    }
    left_out
}

#[tokio::test]
async fn what_is_left_out_belongs_where_it_was() {
    let _pipes = PIPES.lock().await;
    let left_out = compared_all(150).await;
    assert!(left_out > 150, "{left_out}");
}

/// Few of them have one, where there are many connections.
#[tokio::test]
async fn without_basins_payloads_are_left_out_as_well() {
    let _pipes = PIPES.lock().await;
    let all: Vec<_> = std::iter::from_fn(Basin::none_yet).collect();
    assert!(!all.is_empty());
    let left_out = compared_all(60).await;
    assert!(left_out > 60, "{left_out}");
}

/// What is moved into a basin ends where the answer does, however much of the next is there already.
#[tokio::test]
async fn answers_that_come_right_behind_each_other_are_told_apart() {
    let _pipes = PIPES.lock().await;
    let body = answer_with(&[(66_000, false); 3]);
    let (connection, pool) = served(16, &body, Dice(3), Sending::AtOnce).await;
    for answer in fetched_at_once::<4>(&connection, 16).await {
        let (found, gathered) = told(answer.unwrap().into_fetched(16).unwrap(), &pool);
        let (all, _) = told(FetchAnswer::decode(16, &body).unwrap(), &pool);
        assert_eq!((found, gathered), (all, 3));
    }
}

#[tokio::test]
async fn what_a_lost_connection_left_in_a_basin_is_not_in_the_next_answer() {
    let _pipes = PIPES.lock().await;
    let body = answer_with(&[(65_000, false); 5]);
    for crumbs in (1..500).step_by(20) {
        let (connection, _) = served(16, &body, Dice(crumbs as u64), Sending::OnlyCrumbs(crumbs)).await;
        let error = fetched(&connection, 16).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Closed { during: Some(1) }), "{crumbs} crumbs: {error}");
        let (connection, pool) = served(16, &body, Dice(3), Sending::AtOnce).await;
        let (found, _) = told(fetched(&connection, 16).await.unwrap().into_fetched(16).unwrap(), &pool);
        let (all, _) = told(FetchAnswer::decode(16, &body).unwrap(), &pool);
        assert_eq!(found, all, "{crumbs} crumbs");
    }
}

#[tokio::test]
async fn what_comes_in_crumbs_is_read() {
    let _pipes = PIPES.lock().await;
    for seed in 0..40 {
        assert_eq!(compared(seed, Sending::InCrumbs).await, 0, "seed {seed}");
    }
}

#[tokio::test]
async fn without_pipes_everything_is_read() {
    let _pipes = PIPES.lock().await;
    let all: Vec<_> = std::iter::from_fn(PipedBytes::none_yet).collect();
    assert!(!all.is_empty());
    for seed in 0..20 {
        assert_eq!(compared(seed, Sending::AtOnce).await, 0, "seed {seed}");
    }
}

/// An answer of version 16 with one partition that holds these batches: payload bytes, and whether it is a marker.
fn answer_with(batches: &[(usize, bool)]) -> Bytes {
    let mut records = Vec::new();
    for (offset, (payload, is_marker)) in batches.iter().enumerate() {
        let attributes = crate::records::Attributes(if *is_marker { 0x30 } else { 0 });
        records.extend(BatchHeader { attributes, ..header(offset as i64, *payload) }.to_bytes());
        records.extend(vec![7; *payload]);
    }
    let data = PartitionData::default().with_records(Some(records.into()));
    let topic = FetchableTopicResponse::default().with_partitions(vec![data]);
    let mut body = BytesMut::new();
    body.put_u8(0);
    FetchResponse::default().with_responses(vec![topic]).encode(&mut body, 16).unwrap();
    body.freeze()
}

/// Producers fill some batches and not others.
#[tokio::test]
async fn a_few_small_batches_do_not_end_it() {
    let _pipes = PIPES.lock().await;
    let (large, small, marker) = ((65_000, false), (900, false), (6, true));
    let cases: [(&[(usize, bool)], usize); 5] = [
        (&[large, small, large, small, small, marker, large, large], 4),
        (&[small, small, small, small, large], 1),
        (&[large, marker, large, marker], 2),
        // More than that in a row, and the others mostly are so, too.
        (&[large, small, small, small, small, small, large, large], 1),
        (&[small, small, small, small, marker, large], 0),
    ];
    for (batches, expected) in cases {
        let body = answer_with(batches);
        for sending in [Sending::AtOnce, Sending::InChunks] {
            let (connection, pool) = served(16, &body, Dice(7), sending).await;
            let (found, gathered) =
                told(fetched(&connection, 16).await.unwrap().into_fetched(16).unwrap(), &pool);
            let (all, _) = told(FetchAnswer::decode(16, &body).unwrap(), &pool);
            assert_eq!((found, gathered), (all, expected), "{batches:?}, {sending:?}");
        }
    }
}

/// The connection ends when as much has come as a pipe holds, before, and after.
#[tokio::test]
async fn an_end_behind_a_full_pipe_is_noticed() {
    let _pipes = PIPES.lock().await;
    let body = answer_with(&[(100_000, false)]);
    for crumbs in 50..80 {
        let (connection, _) = served(16, &body, Dice(crumbs as u64), Sending::OnlyCrumbs(crumbs)).await;
        let error = fetched(&connection, 16).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Closed { during: Some(1) }), "{crumbs} crumbs: {error}");
    }
}
