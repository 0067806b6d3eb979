//! Before a partition goes on: what does the target already hold of it?
//!
//! The producer id outlives the process and sequence number k is the k-th record forwarded, so the target
//! leader's producer state says how far an earlier life got beyond what it noted, record by record
//! (`DescribeProducers`, KIP-664). Records found there are passed over, not sent again. What the leader has
//! is believed only once it is replicated: the high watermark has to cover it.
//!
//! Where the leader cannot tell (before Kafka 2.8, or the producer's state has expired with the age of the
//! records), the log itself speaks, provided the target offset is known: the headers of the batches from
//! there on name their producer and sequence numbers, so what is ours is told from what is not.

use crate::error::StopReason;
use std::collections::HashMap;
use std::time::Duration;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, ErrorClass, OffsetAt, PartitionOffset};
use verbatim_wire::fetch::TopicIdentity;
use verbatim_wire::records::patch::sequence_after;

/// A partition about to go on.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    pub(crate) number: u32,
    pub(crate) generation: u32,
    /// Topic on the target.
    pub(crate) topic: TopicIdentity,
    pub(crate) partition: i32,
    /// Sequence number of the next record to be settled.
    pub(crate) sequence: i32,
    /// Where the target's log ended with that record still missing, if known.
    pub(crate) target_offset: Option<i64>,
}

/// What the target holds.
#[derive(Debug)]
pub(crate) enum ResumeAnswer {
    /// This many records after the settled position are there.
    Holds(i64),
    /// Ask again later.
    Later(Option<BrokerError>),
    /// Never.
    Stop(StopReason),
}

/// How long to wait between looks at a high watermark that has not reached the log's end yet.
const REPLICATION_PAUSE: Duration = Duration::from_millis(20);
/// Looks before giving up for this time.
const REPLICATION_LOOKS: usize = 250;

/// Asks broker `leader` about `partitions`, which it leads.
pub(crate) async fn look_at_target(
    target: &Cluster,
    leader: i32,
    producer_id: i64,
    partitions: Vec<Resume>,
) -> Vec<(Resume, ResumeAnswer)> {
    match look(target, leader, producer_id, &partitions).await {
        Ok(mut answers) => {
            let answer = |resume: Resume| {
                let answer = answers.remove(&resume.number).unwrap_or(ResumeAnswer::Later(None));
                (resume, answer)
            };
            partitions.into_iter().map(answer).collect()
        }
        Err(error) => {
            tracing::warn!(%error, leader, "the target did not say what it holds; asking again");
            partitions.into_iter().map(|resume| (resume, ResumeAnswer::Later(None))).collect()
        }
    }
}

async fn look(
    target: &Cluster,
    leader: i32,
    producer_id: i64,
    partitions: &[Resume],
) -> Result<HashMap<u32, ResumeAnswer>, ClusterError> {
    let keys: Vec<_> = partitions.iter().map(|p| (p.topic.name.clone(), p.partition)).collect();
    let described = target.describe_producers(leader, &keys).await?;
    let mut sequences: HashMap<(&str, i32), Result<Option<i32>, BrokerError>> = HashMap::new();
    for found in described.iter().flatten() {
        let ours = found.producers.iter().find(|producer| producer.producer_id == producer_id);
        let last = ours.map(|producer| producer.last_sequence).filter(|sequence| *sequence >= 0);
        let outcome = if found.error == BrokerError::NONE { Ok(last) } else { Err(found.error) };
        sequences.insert((&found.topic, found.partition), outcome);
    }

    let mut answers = HashMap::new();
    let mut to_cover = Vec::new();
    for resume in partitions {
        let answer = match (sequences.get(&(&*resume.topic.name, resume.partition)), resume.target_offset) {
            (Some(Err(error)), _) => ResumeAnswer::Later(Some(*error)),
            (Some(Ok(Some(last))), _) => match records_beyond(resume.sequence, *last) {
                None => ResumeAnswer::Stop(StopReason::TargetLost {
                    expected: resume.sequence.wrapping_sub(1),
                    found: *last,
                }),
                Some(0) => ResumeAnswer::Holds(0),
                Some(held) => {
                    to_cover.push((resume, held));
                    continue;
                }
            },
            (Some(Ok(None)) | None, Some(offset)) => {
                held_in_log(target, leader, producer_id, resume, offset).await?
            }
            (Some(Ok(None)) | None, None) => ResumeAnswer::Holds(0),
        };
        answers.insert(resume.number, answer);
    }
    cover(target, leader, to_cover, &mut answers).await?;
    Ok(answers)
}

/// Reads the log from where it ended with the next record still missing: what is there, and is it ours?
async fn held_in_log(
    target: &Cluster,
    leader: i32,
    producer_id: i64,
    resume: &Resume,
    from: i64,
) -> Result<ResumeAnswer, ClusterError> {
    let mut sequence = resume.sequence;
    let mut held = 0;
    let mut foreign = None;
    let read = target.read_log(leader, &resume.topic, resume.partition, from, |batch| {
        let header = batch.header;
        if header.last_offset() < from {
            return true;
        }
        let is_ours = header.producer_id == producer_id && header.base_sequence == sequence;
        if is_ours {
            held += i64::from(header.records_count);
            sequence = sequence_after(sequence, header.records_count);
        } else {
            foreign = Some(header.base_offset);
        }
        is_ours
    });
    match read.await {
        Ok(()) => {}
        Err(error) if error.broker_error().is_some_and(|code| code.class() == ErrorClass::OutOfRange) => {
            return Ok(ResumeAnswer::Stop(StopReason::TargetShorter { expected: from }));
        }
        Err(error) => return Err(error),
    }
    Ok(match foreign {
        Some(offset) => ResumeAnswer::Stop(StopReason::ForeignRecords { offset }),
        None => ResumeAnswer::Holds(held),
    })
}

/// Waits until what the leader holds is replicated.
async fn cover(
    target: &Cluster,
    leader: i32,
    mut waiting: Vec<(&Resume, i64)>,
    answers: &mut HashMap<u32, ResumeAnswer>,
) -> Result<(), ClusterError> {
    for look in 0..REPLICATION_LOOKS {
        if waiting.is_empty() {
            return Ok(());
        }
        if look > 0 {
            tokio::time::sleep(REPLICATION_PAUSE).await;
        }
        let keys: Vec<_> =
            waiting.iter().map(|(resume, _)| (resume.topic.name.clone(), resume.partition)).collect();
        let ends = target.list_offsets(leader, &keys, OffsetAt::Latest).await?;
        waiting.retain(|(resume, held)| {
            let is_end =
                |end: &&PartitionOffset| end.topic == resume.topic.name && end.partition == resume.partition;
            let answer = match (ends.iter().find(is_end), resume.target_offset) {
                (None, _) => ResumeAnswer::Later(None),
                (Some(end), _) if end.error != BrokerError::NONE => ResumeAnswer::Later(Some(end.error)),
                (Some(end), Some(offset)) if end.offset < offset + held => return true,
                (Some(_), _) => ResumeAnswer::Holds(*held),
            };
            answers.insert(resume.number, answer);
            false
        });
    }
    Ok(())
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
