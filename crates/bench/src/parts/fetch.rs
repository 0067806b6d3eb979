//! Fetches a whole topic and throws it away: the half of a copy that reads.

use super::topic::Topic;
use super::word;
use crate::copied;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use verbatim_wire::connection::Connection;
use verbatim_wire::fetch::{FetchAnswer, FetchLimits, FetchSession, FetchTarget, Isolation};
use verbatim_wire::records::{Batch, Entry, Walker};
use xtask::command::Failure;
use xtask::command::arguments::Arguments;

/// As a copy that is behind would fetch; one that is not gets each record at once.
pub(super) const LIMITS: FetchLimits = FetchLimits {
    max_wait_ms: 500,
    min_bytes: 1,
    max_bytes: 8 << 20,
    partition_max_bytes: 1 << 20,
    isolation: Isolation::ReadCommitted,
};

/// Reads all partitions of a topic from their beginnings, one fetch after the other.
#[derive(Debug)]
pub(super) struct Reader {
    connection: Connection,
    version: i16,
    session: FetchSession,
    topic: Topic,
    positions: HashMap<u32, i64>,
    limits: FetchLimits,
    bytes_read: u64,
}

impl Reader {
    pub(super) async fn open(topic: Topic, limits: FetchLimits) -> Result<Self, Failure> {
        let (connection, version) = topic.fetching().await?;
        let mut reader = Self {
            connection,
            version,
            session: FetchSession::default(),
            positions: HashMap::new(),
            topic,
            limits,
            bytes_read: 0,
        };
        for partition in 0..reader.topic.partitions {
            reader.want(partition, 0);
        }
        Ok(reader)
    }

    /// Offsets up to which all was read, summed: the number of records where offsets count them.
    pub(super) fn records(&self) -> u64 {
        self.positions.values().map(|position| u64::try_from(*position).unwrap_or(0)).sum()
    }

    /// Bytes of batches that were copied out of the kernel: what is cut comes again.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next batches, with their partitions.
    pub(super) async fn next(&mut self) -> Result<Vec<(u32, Batch)>, Failure> {
        let frame = self.session.next_request(self.version, self.connection.client_id(), &self.limits);
        let wait = Duration::from_millis(u64::try_from(self.limits.max_wait_ms).unwrap_or(0));
        let answer = self.connection.exchange(frame, wait).await.map_err(Failure::while_doing("fetch"))?;
        let answer = FetchAnswer::decode(self.version, &answer).map_err(Failure::while_doing("fetch"))?;
        let fetched = self.session.accept(answer).map_err(Failure::while_doing("fetch"))?;
        let mut batches = Vec::new();
        for (partition, fetched) in fetched {
            if fetched.error_code != 0 {
                let code = fetched.error_code;
                return Err(Failure::Failed(format!("partition {partition} answers with error {code}")));
            }
            self.bytes_read += fetched.records.bytes().len() as u64;
            for entry in Walker::new(fetched.records) {
                if let Entry::Batch(batch) = entry {
                    self.want(partition, batch.header.next_offset());
                    batches.push((partition, batch));
                }
            }
        }
        Ok(batches)
    }

    fn want(&mut self, partition: u32, fetch_offset: i64) {
        self.positions.insert(partition, fetch_offset);
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let target = FetchTarget { fetch_offset, current_leader_epoch: -1, last_fetched_epoch: -1 };
        self.session.want(partition, &self.topic.identity, number, target);
    }
}

/// `part fetch BOOTSTRAP TOPIC RECORDS`: prints seconds until the first batch and seconds from there to the last, then
/// how often it has copied a byte.
pub(super) async fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let bootstrap = word(&mut arguments, "BOOTSTRAP")?;
    let topic = Topic::open(&bootstrap, &word(&mut arguments, "TOPIC")?).await?;
    let records = word(&mut arguments, "RECORDS")?;
    let records: u64 = records.parse().map_err(|_| Failure::Usage("RECORDS is a number".to_owned()))?;
    let mut reader = Reader::open(topic, LIMITS).await?;
    let mut first = None;
    let mut bytes = 0u64;
    while reader.records() < records {
        for (_, batch) in reader.next().await? {
            bytes += batch.bytes.len() as u64;
        }
        first.get_or_insert_with(|| started.elapsed());
    }
    let first = first.unwrap_or_default();
    println!("{} {}", first.as_secs_f64(), (started.elapsed() - first).as_secs_f64());
    println!("{}", copied::words(reader.bytes_read(), bytes));
    Ok(())
}
