//! Where the target ends, found in a source whose records cannot be counted on any more.
//!
//! Between two lives compaction may have removed records from the source that the target holds beyond the noted
//! position. What is left of them is there in the same order. So both logs are read from the position on, and
//! source records are looked for among those of the target, in order, by content: key, value, headers, timestamp.
//! The first that is not there is the first to be copied.

use crate::flow::fetch::FetchedSlice;
use crate::flow::inspect::{InspectedBatch, Verdict, inspect};
use crate::flow::repack::{Kept, RepackError, RepackLimits, kept, kept_of};
use crate::positions::{Position, Run};
use std::hash::{BuildHasher, RandomState};
use verbatim_wire::cluster::{BrokerError, Cluster, ClusterError, ErrorClass};
use verbatim_wire::fetch::{Isolation, TopicIdentity};

/// What is looked for, and where.
#[derive(Debug, Clone)]
pub(crate) struct Align {
    pub(crate) source: (TopicIdentity, i32),
    pub(crate) target: (TopicIdentity, i32),
    pub(crate) partition: i32,
    pub(crate) isolation: Isolation,
    pub(crate) settled: Position,
    /// End of the target's log.
    pub(crate) end: i64,
    /// Whether the source may lose records to compaction.
    pub(crate) is_compacted: bool,
    pub(crate) unpacked_bytes: usize,
}

/// The place.
#[derive(Debug)]
pub(crate) struct Aligned {
    /// Source offset of the first record that the target does not have.
    pub(crate) source_offset: i64,
    /// Where the records found are.
    pub(crate) runs: Vec<Run>,
}

/// There is no such place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misaligned {
    /// The target holds a record that the source does not, and compaction cannot be why.
    #[error("the record at target offset {target} is not in the source")]
    NotInSource { target: i64 },
    #[error(transparent)]
    Unreadable(#[from] RepackError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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

/// Looks for it.
pub(crate) async fn align(source: &Cluster, target: &Cluster, what: &Align) -> Result<Aligned, Misaligned> {
    let contents = Contents(RandomState::new(), RandomState::new());
    let limits =
        RepackLimits { unpacked_bytes: what.unpacked_bytes, batch_bytes: usize::MAX, splits_at_holes: false };
    let held = held(target, what, &contents, limits).await?;
    let mut aligned = Aligned { source_offset: what.settled.source_offset, runs: Vec::new() };
    // Records of the target before this one are found or given up.
    let mut next = 0;
    loop {
        let from = aligned.source_offset;
        let (topic, leader) = &what.source;
        let fetched = source.fetch_once(*leader, topic, what.partition, from, what.isolation).await?;
        let slice = FetchedSlice {
            from_offset: from,
            records: fetched.records,
            aborted_transactions: fetched.aborted_transactions,
        };
        let mut batches = Vec::new();
        inspect(&slice, what.isolation, |inspected| {
            let is_readable = !matches!(inspected.verdict, Verdict::Corrupt(_));
            batches.push(inspected);
            is_readable
        });
        for inspected in &batches {
            for record in records_of(inspected, limits)? {
                let is_new = match held.find(next, &contents, &record) {
                    None => true,
                    Some(at) if at > next && !what.is_compacted => {
                        return Err(Misaligned::NotInSource {
                            target: what.settled.target_offset + next as i64,
                        });
                    }
                    Some(at) => {
                        let target = what.settled.target_offset + at as i64;
                        aligned.runs.push(Run { source: record.offset, target, records: 1 });
                        next = at + 1;
                        false
                    }
                };
                if is_new {
                    return finish(aligned, record.offset, next, &held, what);
                }
            }
            aligned.source_offset = inspected.next_offset;
        }
        if aligned.source_offset == from {
            return finish(aligned, from, next, &held, what);
        }
    }
}

fn finish(
    mut aligned: Aligned,
    source_offset: i64,
    next: usize,
    held: &Held,
    what: &Align,
) -> Result<Aligned, Misaligned> {
    // Compaction may have taken all of them. That the topic is the same one, its id says; that its log was not cut, the
    // leader epochs.
    if next < held.contents.len() && !what.is_compacted {
        return Err(Misaligned::NotInSource { target: what.settled.target_offset + next as i64 });
    }
    aligned.source_offset = source_offset;
    Ok(aligned)
}

/// The target's records beyond the position, by content.
struct Held {
    /// And by timestamp, unless the target replaces that.
    contents: Vec<(Content, Option<i64>)>,
}

impl Held {
    fn find(&self, from: usize, contents: &Contents, record: &Kept) -> Option<usize> {
        let wanted = contents.of(record);
        // The append time of a source batch does not go over to the target: see `flow::patch`.
        let is_it = |(content, timestamp): &(Content, Option<i64>)| {
            let has_time = timestamp.is_none_or(|time| time == record.timestamp || record.is_append_time);
            *content == wanted && has_time
        };
        self.contents.get(from..)?.iter().position(is_it).map(|at| from + at)
    }
}

async fn held(
    target: &Cluster,
    what: &Align,
    contents: &Contents,
    limits: RepackLimits,
) -> Result<Held, Misaligned> {
    let (topic, leader) = &what.target;
    let from = what.settled.target_offset;
    let mut held = Held { contents: Vec::new() };
    let mut problem = None;
    let read = target.read_log(*leader, topic, what.partition, from, |batch| {
        let header = batch.header;
        if header.base_offset >= what.end || header.attributes.is_control() {
            return header.base_offset < what.end;
        }
        let has_time = !header.attributes.is_log_append_time();
        match kept_of(&batch, limits) {
            Ok(records) => {
                let records = records.iter().filter(|record| record.offset >= from);
                held.contents.extend(
                    records.map(|record| (contents.of(record), has_time.then_some(record.timestamp))),
                );
                true
            }
            Err(error) => {
                problem = Some(error);
                false
            }
        }
    });
    read.await?;
    problem.map_or(Ok(held), |error| Err(error.into()))
}

fn records_of(inspected: &InspectedBatch, limits: RepackLimits) -> Result<Vec<Kept>, RepackError> {
    match inspected.verdict {
        Verdict::Forward | Verdict::Repack(_) => kept(inspected, limits),
        _ => Ok(Vec::new()),
    }
}

impl Misaligned {
    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NotInSource { .. } | Self::Unreadable(_) => false,
            Self::Cluster(error) => {
                let class = error.broker_error().map(BrokerError::class);
                matches!(class, None | Some(ErrorClass::Retry | ErrorClass::Refresh))
            }
        }
    }
}
