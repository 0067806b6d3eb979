//! The last batches of many partitions at once: one Fetch (1) for all, repeated for what did not fit.

use super::log::{malformed, version};
use super::{BrokerError, Cluster, ClusterError, Lane, OffsetAt, PartitionOffset};
use crate::fetch::{self, FetchAnswer, FetchLimits, FetchedPartition, Isolation, TopicIdentity, TopicRef};
use crate::primitives::TopicId;
use crate::records::{Batch, Entry, Walker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The last version that names topics by name.
const NAMES_VERSION: i16 = 12;
/// A partition's share: its last batch, seldom larger. Where the log has gone on, what follows comes along.
const PARTITION_BYTES: i32 = 1 << 20;
/// Records in one answer; the broker's own limit is 55 MiB (`fetch.max.bytes`).
const ANSWER_BYTES: i32 = 16 << 20;
/// Answers in a row that settle nothing before that is an error: a throttled broker answers so (KIP-219).
const IDLE_ANSWERS: u32 = 20;
/// The pause after such an answer, unless the broker names a longer one.
const IDLE_PAUSE: Duration = Duration::from_millis(50);

/// The batch before an offset.
#[derive(Debug)]
pub struct LastBatch {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition number.
    pub partition: i32,
    /// The whole batch that holds the offset before the end asked about, a slice of the received frame (which lives
    /// as long as it does). `None` when nothing is there any more: below the log's start, or compacted away.
    pub batch: Result<Option<Batch>, BrokerError>,
}

type Outcome = Result<Option<Batch>, BrokerError>;

/// What one answer tells about one partition.
enum Look {
    Settled(Outcome),
    /// No bytes: there is no batch, or it did not fit.
    Empty,
    /// Not all of the batch.
    Cut,
    /// Outside of the log, below its start or above its end.
    OutOfRange,
}

/// Which of the partitions asked about are settled. Everything is an index into `asked`.
struct Progress<'a> {
    asked: &'a [(TopicIdentity, i32, i64)],
    settled: Vec<Option<Outcome>>,
    /// In the order of the next request. Its first always gets its batch whole, so every request settles one.
    pending: VecDeque<usize>,
    out_of_range: Vec<usize>,
}

impl Cluster {
    /// Reads, for each of `partitions` (topic, partition, end offset), the batch that ends right before the end
    /// offset, or contains the offset before it; markers and undecided transactions included. One result per
    /// entry, in order. Name each partition once. Batches of formats 0 and 1 count as nothing.
    ///
    /// Errors of a partition: OFFSET_OUT_OF_RANGE (1) when the log ends before; OFFSET_NOT_AVAILABLE (78) when the
    /// batch is not replicated yet (brokers show clients nothing above the high watermark; ask again), or the log
    /// ends just there; and those of any fetch.
    ///
    /// # Errors
    /// When the broker does not answer, or answers nothing over and over.
    pub async fn read_last_batches(
        &self,
        leader: i32,
        partitions: &[(TopicIdentity, i32, i64)],
    ) -> Result<Vec<LastBatch>, ClusterError> {
        let mut progress = Progress::new(partitions);
        let mut idle_answers = 0;
        while !progress.pending.is_empty() {
            let wanted: Vec<_> = progress.pending.iter().filter_map(|index| partitions.get(*index)).collect();
            let answer = self.fetch_before_ends(leader, &wanted).await?;
            let throttle_time_ms = answer.throttle_time_ms;
            if progress.take(answer.into_named()) {
                idle_answers = 0;
                continue;
            }
            idle_answers += 1;
            if idle_answers >= IDLE_ANSWERS {
                let subject = format!("the last batches of {} partitions", progress.pending.len());
                return Err(ClusterError::Missing { request: "read", subject });
            }
            let throttled = Duration::from_millis(u64::try_from(throttle_time_ms).unwrap_or(0));
            tokio::time::sleep(throttled.max(IDLE_PAUSE)).await;
        }
        self.settle_out_of_range(leader, &mut progress).await?;
        let results = partitions.iter().zip(progress.settled);
        let results = results.map(|((topic, partition, _), outcome)| LastBatch {
            topic: topic.name.clone(),
            partition: *partition,
            batch: outcome.unwrap_or(Err(BrokerError::OFFSET_OUT_OF_RANGE)),
        });
        Ok(results.collect())
    }

    async fn fetch_before_ends(
        &self,
        leader: i32,
        wanted: &[&(TopicIdentity, i32, i64)],
    ) -> Result<FetchAnswer, ClusterError> {
        let connection = self.connection(leader, Lane::Control).await?;
        let by_name = wanted.iter().any(|(topic, ..)| topic.id == TopicId::ZERO);
        let newest = if by_name { NAMES_VERSION } else { fetch::MAX_VERSION };
        let version = version(&connection, fetch::API_KEY, fetch::MIN_VERSION, newest)?;
        let limits = FetchLimits {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: ANSWER_BYTES,
            partition_max_bytes: PARTITION_BYTES,
            isolation: Isolation::ReadUncommitted,
        };
        let wanted: Vec<_> =
            wanted.iter().map(|(topic, partition, end)| (topic, *partition, end - 1)).collect();
        let frame = fetch::encode_once(version, connection.client_id(), &limits, -1, &wanted);
        let answer = connection.exchange(frame, Duration::ZERO).await?;
        let answer = FetchAnswer::decode(version, &answer).map_err(|error| malformed(&connection, error))?;
        let subject = format!("{} partitions of broker {leader}", wanted.len());
        BrokerError(answer.error_code).check("read", subject, None)?;
        Ok(answer)
    }

    /// A refusal does not say on which side of the log the offset is: below its start there is simply nothing.
    async fn settle_out_of_range(
        &self,
        leader: i32,
        progress: &mut Progress<'_>,
    ) -> Result<(), ClusterError> {
        if progress.out_of_range.is_empty() {
            return Ok(());
        }
        let asked = progress.out_of_range.iter().filter_map(|index| progress.asked.get(*index));
        let asked: Vec<_> = asked.map(|(topic, partition, _)| (topic.name.clone(), *partition)).collect();
        let starts = self.list_offsets(leader, &asked, OffsetAt::Earliest).await?;
        for index in std::mem::take(&mut progress.out_of_range) {
            let Some((topic, partition, end)) = progress.asked.get(index) else { continue };
            let named = |start: &&PartitionOffset| start.topic == topic.name && start.partition == *partition;
            let outcome = match starts.iter().find(named) {
                Some(start) if start.error != BrokerError::NONE => Err(start.error),
                Some(start) if start.offset >= *end => Ok(None),
                _ => Err(BrokerError::OFFSET_OUT_OF_RANGE),
            };
            progress.settle(index, outcome);
        }
        Ok(())
    }
}

impl<'a> Progress<'a> {
    fn new(asked: &'a [(TopicIdentity, i32, i64)]) -> Self {
        let settled = asked.iter().map(|(.., end)| (*end <= 0).then_some(Ok(None))).collect::<Vec<_>>();
        let pending = settled.iter().enumerate().filter(|(_, outcome)| outcome.is_none());
        Self { asked, pending: pending.map(|(index, _)| index).collect(), out_of_range: Vec::new(), settled }
    }

    /// Notes what an answer tells; returns whether it settled anything.
    fn take(&mut self, answered: impl Iterator<Item = (TopicRef, FetchedPartition)>) -> bool {
        let first = self.pending.front().copied();
        let before = self.pending.len();
        for (topic, fetched) in answered {
            let named = |index: &usize| {
                let asked = self.asked.get(*index);
                asked.is_some_and(|(t, p, _)| *p == fetched.partition && topic.is(t))
            };
            let Some(at) = self.pending.iter().position(named) else { continue };
            let Some(index) = self.pending.get(at).copied() else { continue };
            let Some((.., end)) = self.asked.get(index) else { continue };
            match look(fetched, end - 1) {
                Look::Settled(outcome) => self.settle(index, outcome),
                Look::Empty if first == Some(index) => self.settle(index, Ok(None)),
                Look::Empty | Look::Cut => continue,
                Look::OutOfRange => self.out_of_range.push(index),
            }
            self.pending.remove(at);
        }
        self.pending.len() < before
    }

    fn settle(&mut self, index: usize, outcome: Outcome) {
        if let Some(slot) = self.settled.get_mut(index) {
            *slot = Some(outcome);
        }
    }
}

fn look(fetched: FetchedPartition, offset: i64) -> Look {
    match BrokerError(fetched.error_code) {
        BrokerError::NONE => {}
        BrokerError::OFFSET_OUT_OF_RANGE => return Look::OutOfRange,
        error => return Look::Settled(Err(error)),
    }
    if (0..=offset).contains(&fetched.high_watermark) {
        return Look::Settled(Err(BrokerError::OFFSET_NOT_AVAILABLE));
    }
    let mut is_empty = true;
    for entry in Walker::new(fetched.records) {
        match entry {
            Entry::Batch(batch) if batch.header.next_offset() <= offset => is_empty = false,
            Entry::Batch(batch) => {
                let holds_it = batch.header.base_offset <= offset;
                return Look::Settled(Ok(holds_it.then_some(batch)));
            }
            Entry::Legacy { .. } => is_empty = false,
            Entry::Partial { .. } => return Look::Cut,
            Entry::Malformed { .. } => return Look::Settled(Err(BrokerError::CORRUPT_MESSAGE)),
        }
    }
    if is_empty { Look::Empty } else { Look::Settled(Ok(None)) }
}
