//! Where the target's last records are in the source, by their content.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use verbatim_wire::cluster::{ClusterError, PartitionLog, PlainRecord, plain_records};
use verbatim_wire::records::Batch;

/// Records of the target's end that are compared.
const CONTEXT: usize = 200;

/// 128 bits of a record's content, by keys that differ from process to process.
type Content = (u64, u64);

/// Hashes what a copy keeps of a record.
struct Contents(RandomState, RandomState);

impl Contents {
    fn of(&self, record: &PlainRecord) -> Content {
        let content = (&record.key, &record.value, record.headers.section(), record.timestamp);
        (self.0.hash_one(content), self.1.hash_one(content))
    }
}

/// A place in the source where the target's last records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Source offset of the target's last record.
    pub(super) offset: i64,
    /// How many records before it, itself included, are the same on both sides.
    pub(super) alike: usize,
}

/// Looks for the end of `target` in `source`, in and after the last `CONTEXT` offsets before `noted`.
pub(super) async fn find(
    source: &PartitionLog,
    target: &PartitionLog,
    noted: i64,
) -> Result<Option<Found>, ClusterError> {
    let contents = Contents(RandomState::new(), RandomState::new());
    let tail = tail(target, &contents).await?;
    let Some(last) = tail.last() else { return Ok(None) };
    let (start, _) = source.bounds().await?;
    let context = i64::try_from(CONTEXT).unwrap_or(0);
    let from = (noted - context).max(start);
    let mut window: VecDeque<Content> = VecDeque::with_capacity(CONTEXT);
    let mut best: Option<Found> = None;
    each_record(source, from, |record| {
        let content = contents.of(record);
        if window.len() == CONTEXT {
            window.pop_front();
        }
        window.push_back(content);
        if content == *last {
            let pairs = window.iter().rev().zip(tail.iter().rev());
            let alike = pairs.take_while(|(one, other)| one == other).count();
            // Where several places are equally good, the first: nothing is left out.
            if best.is_none_or(|best| best.alike < alike) {
                best = Some(Found { offset: record.offset, alike });
            }
        }
        ControlFlow::Continue(())
    })
    .await?;
    Ok(best)
}

/// The last records of the target.
async fn tail(target: &PartitionLog, contents: &Contents) -> Result<Vec<Content>, ClusterError> {
    let (start, end) = target.bounds().await?;
    let mut reach = i64::try_from(CONTEXT).unwrap_or(0);
    loop {
        let from = (end - reach).max(start);
        let mut tail: VecDeque<Content> = VecDeque::with_capacity(CONTEXT);
        if from < end {
            each_record(target, from, |record| {
                if record.offset >= end {
                    return ControlFlow::Break(());
                }
                if tail.len() == CONTEXT {
                    tail.pop_front();
                }
                tail.push_back(contents.of(record));
                ControlFlow::Continue(())
            })
            .await?;
        }
        // Compaction may have left few: further back, then.
        if !tail.is_empty() || from == start {
            return Ok(tail.into());
        }
        reach = reach.saturating_mul(10);
    }
}

/// Hands every record from offset `from` on to `each`. Batches that cannot be read as such are passed over.
async fn each_record(
    log: &PartitionLog,
    from: i64,
    mut each: impl FnMut(&PlainRecord) -> ControlFlow<()>,
) -> Result<(), ClusterError> {
    log.for_each(from, |batch: Batch| {
        let records = plain_records(&batch).unwrap_or_default();
        !records.iter().filter(|record| record.offset >= from).any(|record| each(record).is_break())
    })
    .await
}
