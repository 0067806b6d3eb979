//! Before a partition goes on: what does the target already hold of it?
//!
//! The producer id outlives the process and sequence numbers count the records written, so the target leader's
//! producer state says how far an earlier life, or another instance, got beyond what was noted, record by record
//! (`DescribeProducers`, KIP-664). The end of the leader's log is asked for before and after: what lies between has
//! been written meanwhile. Nothing is believed before the high watermark covers it.
//!
//! Where the leader cannot tell (before Kafka 2.8, or the producer's state has expired with the age of the
//! records), the log itself speaks: the headers of the batches from the noted end on name their producer and
//! sequence numbers, so what is ours is told from what is not.
//!
//! What was found beyond the position is compared with the source later, when the walk through it comes to the
//! last batch of the target, the [`Landmark`].

use super::Landmark;
use super::shared::{self, Placed};
use crate::error::StopReason;
use crate::positions::{OffsetsHeld, Position};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, ErrorClass, OffsetAt, PartitionOffset};
use verbatim_wire::fetch::TopicIdentity;
use verbatim_wire::records::BatchHeader;
use verbatim_wire::records::patch::sequence_after;

/// A partition about to go on.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    pub(crate) number: u32,
    pub(crate) generation: u32,
    /// Topic on the target.
    pub(crate) topic: TopicIdentity,
    pub(crate) partition: i32,
    /// Leader epoch on the target.
    pub(crate) leader_epoch: i32,
    pub(crate) settled: Position,
    pub(crate) offsets: OffsetsHeld,
    /// Others write to the target too.
    pub(crate) shares_target: bool,
    /// The target's cleaner may have taken records out.
    pub(crate) is_target_compacted: bool,
    /// The settled sequence number is not known: it was counted by offsets, which others have taken some of.
    pub(crate) is_set_back: bool,
}

/// The producer ids of a flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Producers {
    /// Id and epoch that records are written with.
    pub(crate) records: (i64, i16),
    /// Id and epoch that gaps are filled with.
    pub(crate) markers: (i64, i16),
}

impl Producers {
    /// Whether a batch of the target is of this flow's.
    pub(crate) fn wrote(&self, header: &BatchHeader) -> bool {
        [self.records.0, self.markers.0].contains(&header.producer_id)
    }
}

/// What the target holds.
#[derive(Debug)]
pub(crate) enum ResumeAnswer {
    /// With where the records beyond the settled position are, if others write there too.
    Ground(Ground, Vec<Placed>),
    /// Ask again later.
    Later(Option<BrokerError>),
    /// Never.
    Stop(StopReason),
}

/// Where the target stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground {
    /// End of its log.
    pub(crate) end: i64,
    /// With translated offsets: records beyond the settled position that are there.
    pub(crate) held: i64,
    /// Sequence number that the record at `end` will get.
    pub(crate) sequence: i32,
    /// The last batch, where the source has to be compared with it.
    pub(crate) landmark: Option<Landmark>,
}

/// How long a leader may take to say what it holds.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long to wait between looks at a high watermark that has not reached the log's end yet.
const REPLICATION_PAUSE: Duration = Duration::from_millis(20);
/// Looks before giving up for this time.
const REPLICATION_LOOKS: usize = 250;

/// Asks broker `leader` about `partitions`, which it leads; a batch may unpack to `unpacked_bytes`.
pub(crate) async fn look_at_target(
    target: &Cluster,
    leader: i32,
    producers: Producers,
    unpacked_bytes: usize,
    partitions: Vec<Resume>,
) -> Vec<(Resume, ResumeAnswer)> {
    let look = Look { target, leader, producers, unpacked_bytes };
    // A broker that hangs may have lost its partitions to another long before it is given up.
    match tokio::time::timeout(PATIENCE, look.at(&partitions)).await {
        Ok(Ok(mut answers)) => {
            let answer = |resume: Resume| {
                let answer = answers.remove(&resume.number).unwrap_or(ResumeAnswer::Later(None));
                (resume, answer)
            };
            partitions.into_iter().map(answer).collect()
        }
        failed => {
            let problem = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => format!("no answer within {} s", PATIENCE.as_secs()),
            };
            tracing::warn!(leader, "the target did not say what it holds, asking again: {problem}");
            partitions.into_iter().map(|resume| (resume, ResumeAnswer::Later(None))).collect()
        }
    }
}

pub(super) struct Look<'a> {
    pub(super) target: &'a Cluster,
    pub(super) leader: i32,
    pub(super) producers: Producers,
    /// Bytes that a batch may unpack to.
    pub(super) unpacked_bytes: usize,
}

/// What one partition's producer state and log ends say.
enum Verdict {
    Answer(ResumeAnswer),
    /// This, once it is replicated.
    Ground(Ground),
    /// The log has to be read.
    Read,
}

type PerPartition<T> = HashMap<(Arc<str>, i32), T>;

impl Look<'_> {
    async fn at(&self, partitions: &[Resume]) -> Result<HashMap<u32, ResumeAnswer>, ClusterError> {
        let before = self.ends(partitions).await?;
        let sequences = self.sequences(partitions).await?;
        let after = self.ends(partitions).await?;
        let mut answers = HashMap::new();
        let mut grounds = Vec::new();
        for resume in partitions {
            let key = (resume.topic.name.clone(), resume.partition);
            let (Some(before), Some(after)) = (before.get(&key), after.get(&key)) else { continue };
            let last = sequences.get(&key).copied().unwrap_or(Ok(None));
            let verdict = match (*before, *after, last) {
                (Err(code), _, _) | (_, Err(code), _) | (_, _, Err(code)) => {
                    Verdict::Answer(ResumeAnswer::Later(Some(code)))
                }
                (Ok(before), Ok(after), Ok(last)) => judge(resume, before, after, last),
            };
            match verdict {
                Verdict::Answer(answer) => drop(answers.insert(resume.number, answer)),
                Verdict::Ground(ground) => grounds.push((resume, ground)),
                Verdict::Read => match self.read(resume).await? {
                    Ok(ground) => grounds.push((resume, ground)),
                    Err(answer) => drop(answers.insert(resume.number, answer)),
                },
            }
        }
        let mut grounds = self.cover(grounds, &mut answers).await?;
        let mut places = HashMap::new();
        for (resume, ground) in grounds.iter_mut().filter(|(resume, _)| resume.shares_target) {
            let key = (resume.topic.name.clone(), resume.partition);
            let remembered = sequences.get(&key).copied().and_then(Result::ok).flatten();
            let producer = self.producers.records.0;
            match shared::read(self.target, self.leader, producer, resume, ground.end, remembered).await? {
                Ok((found, placed)) => {
                    *ground = found;
                    places.insert(resume.number, placed);
                }
                Err(answer) => drop(answers.insert(resume.number, answer)),
            }
        }
        grounds.retain(|(resume, _)| !answers.contains_key(&resume.number));
        self.find_landmarks(grounds, &mut answers).await?;
        for (number, placed) in places {
            if let Some(ResumeAnswer::Ground(_, places)) = answers.get_mut(&number) {
                *places = placed;
            }
        }
        Ok(answers)
    }

    /// Ends of the leader's logs, replicated or not.
    async fn ends(
        &self,
        partitions: &[Resume],
    ) -> Result<PerPartition<Result<i64, BrokerError>>, ClusterError> {
        let keys: Vec<_> =
            partitions.iter().map(|p| (p.topic.name.clone(), p.partition, p.leader_epoch)).collect();
        let ends = self.target.log_ends(self.leader, &keys).await?;
        let found = |end: PartitionOffset| {
            let offset = if end.error == BrokerError::NONE { Ok(end.offset) } else { Err(end.error) };
            ((end.topic, end.partition), offset)
        };
        Ok(ends.into_iter().map(found).collect())
    }

    /// Last sequence numbers of our producer, where the leader remembers it.
    async fn sequences(
        &self,
        partitions: &[Resume],
    ) -> Result<PerPartition<Result<Option<i32>, BrokerError>>, ClusterError> {
        let keys: Vec<_> = partitions.iter().map(|p| (p.topic.name.clone(), p.partition)).collect();
        let described = self.target.describe_producers(self.leader, &keys).await?;
        let mut sequences = HashMap::new();
        for found in described.into_iter().flatten() {
            let ours = found.producers.iter().find(|p| p.producer_id == self.producers.records.0);
            let last = ours.map(|producer| producer.last_sequence).filter(|sequence| *sequence >= 0);
            let outcome = if found.error == BrokerError::NONE { Ok(last) } else { Err(found.error) };
            sequences.insert((found.topic, found.partition), outcome);
        }
        Ok(sequences)
    }

    /// Reads the log from the settled end on: what is there, and is it ours?
    async fn read(&self, resume: &Resume) -> Result<Result<Ground, ResumeAnswer>, ClusterError> {
        // Where the target's own retention has been at work, what is left of the log has to do.
        let settled_end = resume.settled.target_offset;
        let key = (resume.topic.name.clone(), resume.partition);
        let starts = self.target.list_offsets(self.leader, &[key], OffsetAt::Earliest).await?;
        let from = starts.iter().map(|start| start.offset).max().unwrap_or(0).max(settled_end);
        let is_preserved = resume.offsets == OffsetsHeld::Preserved;
        // With translated offsets every offset is a record of ours, there still or not, and each has its number.
        let number_at = |offset: i64| {
            let records = i32::try_from((offset - settled_end) % (1 << 31)).unwrap_or(0);
            sequence_after(resume.settled.sequence, records)
        };
        let Producers { records: (records, _), markers: (markers, _) } = self.producers;
        let mut ground =
            Ground { end: from, held: from - settled_end, sequence: number_at(from), landmark: None };
        let (mut foreign, mut last) = (None, None);
        let leader = (self.leader, resume.leader_epoch);
        let read = self.target.read_log(leader, &resume.topic, resume.partition, from, |batch| {
            let header = batch.header;
            if header.last_offset() < from {
                return true;
            }
            let is_filling = is_preserved && header.attributes.is_control() && header.producer_id == markers;
            // With preserved offsets the state may have been lost before, and the numbers begun anew.
            let is_next = is_preserved || header.base_sequence == number_at(header.base_offset);
            if header.producer_id == records && is_next {
                ground.held = header.next_offset() - settled_end;
                ground.sequence = sequence_after(header.base_sequence, header.last_offset_delta + 1);
                last = Some(batch);
            } else if !is_filling {
                foreign = Some(header.base_offset);
                return false;
            }
            // Fillers say little: what stands before them is to be compared.
            ground.end = header.next_offset();
            true
        });
        match read.await {
            Ok(()) => {}
            Err(error) if error.broker_error().is_some_and(|code| code.class() == ErrorClass::OutOfRange) => {
                return Ok(Err(ResumeAnswer::Stop(StopReason::TargetShorter {
                    expected: from,
                    found: None,
                })));
            }
            Err(error) => return Err(error),
        }
        Ok(match foreign {
            Some(offset) => Err(ResumeAnswer::Stop(StopReason::ForeignRecords { offset })),
            None => {
                ground.landmark = last.map(|batch| Landmark::of(&batch, self.unpacked_bytes));
                Ok(ground)
            }
        })
    }

    /// Waits until what the leader holds is replicated; hands back what is.
    async fn cover<'a>(
        &self,
        mut waiting: Vec<(&'a Resume, Ground)>,
        answers: &mut HashMap<u32, ResumeAnswer>,
    ) -> Result<Vec<(&'a Resume, Ground)>, ClusterError> {
        let mut covered = Vec::new();
        for look in 0..REPLICATION_LOOKS {
            if waiting.is_empty() {
                break;
            }
            if look > 0 {
                tokio::time::sleep(REPLICATION_PAUSE).await;
            }
            let keys: Vec<_> =
                waiting.iter().map(|(resume, _)| (resume.topic.name.clone(), resume.partition)).collect();
            let ends = self.target.list_offsets(self.leader, &keys, OffsetAt::Latest).await?;
            let ends: PerPartition<_> =
                ends.into_iter().map(|e| ((e.topic.clone(), e.partition), e)).collect();
            waiting.retain(|(resume, ground)| {
                match ends.get(&(resume.topic.name.clone(), resume.partition)) {
                    None => drop(answers.insert(resume.number, ResumeAnswer::Later(None))),
                    Some(end) if end.error != BrokerError::NONE => {
                        answers.insert(resume.number, ResumeAnswer::Later(Some(end.error)));
                    }
                    Some(end) if end.offset < ground.end => return true,
                    Some(_) => covered.push((*resume, *ground)),
                }
                false
            });
        }
        Ok(covered)
    }
}

/// What the log's end before and after, and the last sequence number in between, mean.
fn judge(resume: &Resume, before: i64, after: i64, last: Option<i32>) -> Verdict {
    let settled = &resume.settled;
    let expected = settled.target_offset;
    let stop = |reason| Verdict::Answer(ResumeAnswer::Stop(reason));
    if after < expected {
        return stop(StopReason::TargetShorter { expected, found: Some(after) });
    }
    if resume.shares_target {
        // What is ours of it is read once all of it is replicated.
        let sequence = settled.sequence;
        return Verdict::Ground(Ground { end: after, held: 0, sequence, landmark: None });
    }
    match (resume.offsets, last) {
        (OffsetsHeld::Translated, Some(last)) => match records_beyond(settled.sequence, last) {
            None => stop(StopReason::TargetLost { expected: settled.sequence.wrapping_sub(1), found: last }),
            Some(held) => {
                let end = expected + held;
                if end < before {
                    return stop(StopReason::ForeignRecords { offset: end });
                }
                if end > after {
                    return stop(StopReason::TargetShorter { expected: end, found: Some(after) });
                }
                Verdict::Ground(Ground { end, held, sequence: sequence_after(last, 1), landmark: None })
            }
        },
        // Somebody is writing there right now.
        (OffsetsHeld::Preserved, _) if before != after => Verdict::Answer(ResumeAnswer::Later(None)),
        (OffsetsHeld::Preserved, Some(last)) => {
            Verdict::Ground(Ground { end: after, held: 0, sequence: sequence_after(last, 1), landmark: None })
        }
        (_, None) if before == expected => {
            Verdict::Ground(Ground { end: before, held: 0, sequence: settled.sequence, landmark: None })
        }
        (_, None) => Verdict::Read,
    }
}

/// Records between sequence number `next` (exclusive of those before it) and `last`; `None` when `last` is
/// behind: more than half the circle of 2³¹ numbers away.
fn records_beyond(next: i32, last: i32) -> Option<i64> {
    const CIRCLE: i64 = 1 << 31;
    let beyond = (i64::from(last) + 1 - i64::from(next)).rem_euclid(CIRCLE);
    (beyond < CIRCLE / 2).then_some(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_compared_on_their_circle() {
        assert_eq!(records_beyond(0, 9), Some(10));
        assert_eq!(records_beyond(10, 9), Some(0));
        assert_eq!(records_beyond(11, 9), None);
        assert_eq!(records_beyond(i32::MAX, 1), Some(3));
        assert_eq!(records_beyond(0, i32::MAX), Some(0));
        assert_eq!(records_beyond(2, i32::MAX), None);
    }
}
