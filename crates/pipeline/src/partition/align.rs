//! Where the target ends, found in a source whose records cannot be counted on any more.
//!
//! Between two lives compaction may have removed records, from the source and from what the target holds beyond the
//! noted position. What is left on both sides is there in the same order. So both logs are read from the position on, and
//! records are paired by content (key, value, headers, timestamp), from the end: the last source record that the target
//! has is the last one copied. Were there a later one, taken from the target by compaction, then the target would
//! have a still later one of its key, copied after it and gone from the source; but the cleaner does not take a
//! record and leave an earlier one of the same key.
//!
//! How many records were copied beyond the position is known from the target's offsets, so no more of the source is read.

use super::shared::distance as records_between;
use crate::flow::fetch::FetchedSlice;
use crate::flow::inspect::{InspectedBatch, Verdict, inspect};
use crate::flow::repack::{Kept, RepackError, RepackLimits, kept, kept_of};
use crate::positions::{Origins, Position, PositionError, Run};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, ErrorClass};
use verbatim_wire::fetch::{Isolation, TopicIdentity};

/// What is looked for, and where.
#[derive(Debug, Clone)]
pub(crate) struct Align {
    pub(crate) source: (TopicIdentity, i32),
    /// With the leader's epoch.
    pub(crate) target: (TopicIdentity, (i32, i32)),
    pub(crate) partition: i32,
    pub(crate) isolation: Isolation,
    pub(crate) settled: Position,
    /// End of the target's log.
    pub(crate) end: i64,
    /// Whether the source may lose records to compaction, and whether the target may.
    pub(crate) is_source_compacted: bool,
    pub(crate) is_target_compacted: bool,
    pub(crate) unpacked_bytes: usize,
    /// Others write to the target too: only what this producer wrote is ours, and its sequence numbers count it.
    pub(crate) only_by: Option<i64>,
    /// How many records the target holds beyond the position.
    pub(crate) held: i64,
    /// Which of the source's records are copied, if not all.
    pub(crate) origins: Option<Arc<Origins>>,
}

/// The place.
#[derive(Debug)]
pub(crate) struct Aligned {
    /// Source offset of the first record that the target does not have.
    pub(crate) source_offset: i64,
    /// Leader epoch of what is before it, −1 where that is not known.
    pub(crate) leader_epoch: i32,
    /// Where the records found are.
    pub(crate) runs: Vec<Run>,
}

/// There is no such place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misaligned {
    /// The target holds a record that the source does not, and compaction cannot be why.
    #[error("the record at target offset {target} is not in the source")]
    NotInSource { target: i64 },
    /// The source does not hold the noted offset any more, before which the comparison would begin.
    #[error("the source's log has offsets {log_start} to {log_end} left")]
    Gone { log_start: i64, log_end: i64 },
    #[error(transparent)]
    Unreadable(#[from] RepackError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Origins(#[from] PositionError),
}

/// 128 bits of a record's content, by keys that differ from process to process.
type Content = (u64, u64);

struct Contents(RandomState, RandomState);

impl Contents {
    fn of(&self, record: &Kept) -> Content {
        let of = |state: &RandomState| state.hash_one((&record.key, &record.value, record.headers.section()));
        (of(&self.0), of(&self.1))
    }
}

/// A record of the source.
struct Original {
    offset: i64,
    /// Source offset after it, and after what is left out behind it.
    next_offset: i64,
    leader_epoch: i32,
    content: Content,
    timestamp: i64,
    is_append_time: bool,
}

/// A record that the target holds beyond the position.
struct Copied {
    /// How many were copied before it, from the position on.
    rank: i64,
    /// Where it is.
    offset: i64,
    content: Content,
    /// Unless the target replaces it.
    timestamp: Option<i64>,
}

impl Copied {
    /// Whether it can be the copy of `original`, which is the one of number `index` that the source still has: the source
    /// may have lost records before it, but it has none more.
    fn is_of(&self, original: &Original, index: usize) -> bool {
        // The append time of a source batch does not go over to the target: see `flow::patch`.
        let has_time =
            self.timestamp.is_none_or(|time| time == original.timestamp || original.is_append_time);
        has_time && self.rank >= index as i64
    }
}

/// Looks for it.
pub(crate) async fn align(source: &Cluster, target: &Cluster, what: &Align) -> Result<Aligned, Misaligned> {
    let contents = Contents(RandomState::new(), RandomState::new());
    let limits =
        RepackLimits { unpacked_bytes: what.unpacked_bytes, batch_bytes: usize::MAX, splits_at_holes: false };
    let copies = copies(target, what, &contents, limits).await?;
    let originals = match originals(source, what, &contents, limits).await {
        Err(error) if error.is_out_of_range() => return Err(gone(source, what, error).await?),
        originals => originals?,
    };
    pair(&originals, &copies, what)
}

/// Why the source does not hold the offset that was noted.
async fn gone(source: &Cluster, what: &Align, error: Misaligned) -> Result<Misaligned, ClusterError> {
    let ((topic, leader), partition) = (&what.source, what.partition);
    let (log_start, log_end) = source.log_bounds(*leader, (topic.name.clone(), partition)).await?;
    let is_there = (log_start..=log_end).contains(&what.settled.source_offset);
    Ok(if is_there { error } else { Misaligned::Gone { log_start, log_end } })
}

/// What is left of the source's records that may have been copied.
async fn originals(
    source: &Cluster,
    what: &Align,
    contents: &Contents,
    limits: RepackLimits,
) -> Result<Vec<Original>, Misaligned> {
    let (topic, leader) = &what.source;
    let most = if what.only_by.is_some() { what.held } else { what.end - what.settled.target_offset };
    let most = usize::try_from(most).unwrap_or(0);
    let mut originals: Vec<Original> = Vec::new();
    let mut offset = what.settled.source_offset;
    while originals.len() < most {
        let fetched = source.fetch_once(*leader, topic, what.partition, offset, what.isolation).await?;
        let slice = FetchedSlice {
            from_offset: offset,
            records: fetched.records,
            aborted_transactions: fetched.aborted_transactions,
        };
        let mut batches = Vec::new();
        inspect(slice, what.isolation, |inspected| {
            let is_readable = !matches!(inspected.verdict, Verdict::Corrupt(_));
            batches.push(inspected);
            is_readable
        });
        let before = offset;
        for inspected in &batches {
            offset = inspected.next_offset;
            let leader_epoch = inspected.batch.header.partition_leader_epoch;
            let records =
                if is_copied(inspected, what).await? { records_of(inspected, limits)? } else { Vec::new() };
            for record in records {
                originals.push(Original {
                    offset: record.offset,
                    next_offset: record.offset + 1,
                    leader_epoch,
                    content: contents.of(&record),
                    timestamp: record.timestamp,
                    is_append_time: record.is_append_time,
                });
            }
            // What is left out behind a record is passed with it.
            if let Some(last) = originals.last_mut() {
                (last.next_offset, last.leader_epoch) = (offset, leader_epoch);
            }
        }
        if offset == before {
            break;
        }
    }
    originals.truncate(most);
    Ok(originals)
}

/// Pairs both sides, from the end.
fn pair(originals: &[Original], copies: &[Copied], what: &Align) -> Result<Aligned, Misaligned> {
    let mut places: HashMap<Content, Vec<usize>> = HashMap::new();
    for (at, copy) in copies.iter().enumerate() {
        places.entry(copy.content).or_default().push(at);
    }
    let (position, target) = (what.settled.source_offset, what.settled.target_offset);
    let not_in_source =
        |copy: Option<&Copied>| Misaligned::NotInSource { target: copy.map_or(target, |copy| copy.offset) };
    let mut aligned =
        Aligned { source_offset: position, leader_epoch: what.settled.leader_epoch, runs: Vec::new() };
    // Copies before this one can still be paired.
    let mut unpaired = copies.len();
    for (index, original) in originals.iter().enumerate().rev() {
        let is_it =
            |at: &&usize| **at < unpaired && copies.get(**at).is_some_and(|copy| copy.is_of(original, index));
        let found = places.get(&original.content).and_then(|places| places.iter().rev().find(is_it));
        let Some((at, copy)) = found.and_then(|at| Some((*at, copies.get(*at)?))) else {
            // Not copied yet, or gone from the target since.
            if aligned.runs.is_empty() || what.is_target_compacted {
                continue;
            }
            return Err(not_in_source(copies.get(unpaired)));
        };
        if at + 1 < unpaired && !what.is_source_compacted {
            return Err(not_in_source(copies.get(at + 1)));
        }
        if aligned.runs.is_empty() {
            (aligned.source_offset, aligned.leader_epoch) = (original.next_offset, original.leader_epoch);
        }
        aligned.runs.push(Run { source: original.offset, target: copy.offset, records: 1 });
        unpaired = at;
    }
    // Compaction may have taken all of them. That the topic is the same one, its id says; that its log was not cut, the
    // leader epochs.
    if unpaired > 0 && !what.is_source_compacted {
        return Err(not_in_source(copies.first()));
    }
    aligned.runs.reverse();
    Ok(aligned)
}

async fn copies(
    target: &Cluster,
    what: &Align,
    contents: &Contents,
    limits: RepackLimits,
) -> Result<Vec<Copied>, Misaligned> {
    let (topic, leader) = &what.target;
    let from = what.settled.target_offset;
    let mut copies = Vec::new();
    let mut problem = None;
    let read = target.read_log(*leader, topic, what.partition, from, |batch| {
        let header = batch.header;
        let is_others = what.only_by.is_some_and(|producer| producer != header.producer_id);
        if header.base_offset >= what.end || header.attributes.is_control() || is_others {
            return header.base_offset < what.end;
        }
        // Where others write too, the sequence number counts; else the offset does.
        let before = match what.only_by {
            Some(_) => {
                records_between(what.settled.sequence, header.base_sequence) - (header.base_offset - from)
            }
            None => 0,
        };
        let has_time = !header.attributes.is_log_append_time();
        match kept_of(&batch, limits) {
            Ok(records) => {
                let records = records.iter().filter(|record| record.offset >= from);
                copies.extend(records.map(|record| Copied {
                    rank: record.offset - from + before,
                    offset: record.offset,
                    content: contents.of(record),
                    timestamp: has_time.then_some(record.timestamp),
                }));
                true
            }
            Err(error) => {
                problem = Some(error);
                false
            }
        }
    });
    read.await?;
    problem.map_or(Ok(copies), |error| Err(error.into()))
}

/// Whether a batch of the source is one of those that are copied.
async fn is_copied(inspected: &InspectedBatch, what: &Align) -> Result<bool, Misaligned> {
    let Some(origins) = &what.origins else { return Ok(true) };
    if inspected.is_copied(origins).is_none() {
        origins.learn(&[inspected.batch.header.producer_id]).await?;
    }
    Ok(inspected.is_copied(origins) != Some(false))
}

fn records_of(inspected: &InspectedBatch, limits: RepackLimits) -> Result<Vec<Kept>, RepackError> {
    match inspected.verdict {
        Verdict::Forward | Verdict::Repack(_) => kept(inspected, limits),
        _ => Ok(Vec::new()),
    }
}

impl Misaligned {
    fn is_out_of_range(&self) -> bool {
        matches!(self, Self::Cluster(error) if error.broker_error().map(BrokerError::class) == Some(ErrorClass::OutOfRange))
    }

    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NotInSource { .. } | Self::Gone { .. } | Self::Unreadable(_) => false,
            Self::Origins(_) => true,
            Self::Cluster(error) => {
                let class = error.broker_error().map(BrokerError::class);
                // Out of range of a log that holds it after all.
                matches!(
                    class,
                    None | Some(
                        ErrorClass::Retry
                            | ErrorClass::Refresh
                            | ErrorClass::Unknown
                            | ErrorClass::OutOfRange
                    )
                )
            }
        }
    }
}
