//! A partition's log, batch by batch, holding one fetched slice at a time.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::{Client, Error, Isolation, RawBatch};

/// Bytes asked for at a time.
const SLICE_BYTES: i32 = 8 << 20;
/// How long data that the end offset promises may be missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Iterates over the batches from the log's start, or a given offset, to the end it had when it was opened.
#[derive(Debug)]
pub struct LogReader {
    client: Client,
    topic: String,
    partition: i32,
    isolation: Isolation,
    next: i64,
    end: i64,
    slice: VecDeque<RawBatch>,
    failed: bool,
}

impl LogReader {
    /// Opens a partition at its log start. With [`Isolation::Committed`] batches of aborted transactions come too, marked so.
    pub fn open(bootstrap: &str, topic: &str, partition: i32, isolation: Isolation) -> Result<Self, Error> {
        let mut client = Client::new(bootstrap);
        let offsets = client.offsets(topic, partition)?;
        let end = match isolation {
            Isolation::Uncommitted => offsets.end,
            Isolation::Committed => offsets.last_stable,
        };
        let (topic, next) = (topic.to_owned(), offsets.log_start);
        Ok(Self { client, topic, partition, isolation, next, end, slice: VecDeque::new(), failed: false })
    }

    /// Begins at `offset` instead.
    pub fn from(mut self, offset: i64) -> Self {
        self.next = offset;
        self
    }

    /// Where it will stop: the high watermark or last stable offset at opening.
    pub fn end(&self) -> i64 {
        self.end
    }

    fn fill(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while self.slice.is_empty() && self.next < self.end {
            let from = self.next;
            let fetched =
                self.client.fetch(&self.topic, self.partition, from, self.isolation, SLICE_BYTES)?;
            let mut batches = fetched.batches;
            mark_aborted(&mut batches, fetched.aborted);
            for batch in batches {
                if batch.last_offset() < self.next || batch.base_offset >= self.end {
                    continue;
                }
                let overlaps = self.next > from && batch.base_offset < self.next;
                if overlaps || batch.last_offset_delta < 0 {
                    return Err(Error::Malformed {
                        what: "log: offsets do not ascend",
                        offset: batch.base_offset,
                    });
                }
                self.next = batch.last_offset() + 1;
                self.slice.push_back(batch);
            }
            if self.slice.is_empty() && Instant::now() > deadline {
                let (topic, partition) = (self.topic.clone(), self.partition);
                return Err(Error::Stuck { topic, partition, waiting_for: "data below the end offset" });
            }
        }
        Ok(())
    }
}

impl Iterator for LogReader {
    type Item = Result<RawBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.slice.is_empty()
            && let Err(error) = self.fill()
        {
            self.failed = true;
            return Some(Err(error));
        }
        self.slice.pop_front().map(Ok)
    }
}

/// Marks the batches of aborted transactions in a slice, as a consumer would leave them out: a producer's batches count as aborted
/// from the first offset of an aborted transaction to its abort marker.
fn mark_aborted(batches: &mut [RawBatch], mut aborted: Vec<(i64, i64)>) {
    aborted.sort_unstable_by_key(|(_, first_offset)| *first_offset);
    let mut to_come = aborted.into_iter().peekable();
    let mut open = HashSet::new();
    for batch in batches {
        while let Some((producer_id, _)) = to_come.next_if(|(_, first)| *first <= batch.last_offset()) {
            open.insert(producer_id);
        }
        if batch.is_abort_marker() {
            open.remove(&batch.producer_id);
        } else if !batch.is_control() && batch.is_transactional() {
            batch.aborted = open.contains(&batch.producer_id);
        }
    }
}

/// All batches of a partition, up to the high watermark.
pub fn read_log(bootstrap: &str, topic: &str, partition: i32) -> Result<Vec<RawBatch>, Error> {
    LogReader::open(bootstrap, topic, partition, Isolation::Uncommitted)?.collect()
}

/// Shows each batch of a partition to `look`, for logs too large to hold.
pub fn for_each_batch(
    bootstrap: &str,
    topic: &str,
    partition: i32,
    mut look: impl FnMut(&RawBatch),
) -> Result<(), Error> {
    for batch in LogReader::open(bootstrap, topic, partition, Isolation::Uncommitted)? {
        look(&batch?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, RawRecord, parse_batches};
    use super::*;

    fn batch(base_offset: i64, producer_id: i64, attributes: i16, key: &[u8]) -> RawBatch {
        let record = RawRecord { key: Some(key.to_vec()), ..RawRecord::default() };
        let builder = BatchBuilder::new().record(record).attributes(attributes).base_offset(base_offset);
        parse_batches(&builder.producer(producer_id, 0, 0).build()).unwrap().remove(0)
    }

    #[test]
    fn a_transaction_is_aborted_from_its_first_offset_to_its_marker() {
        const DATA: i16 = 0x10;
        const MARKER: i16 = 0x30;
        let (abort, commit) = ([0, 0, 0, 0], [0, 0, 0, 1]);
        let mut batches = [
            batch(0, 1, DATA, b"committed"),
            batch(1, 1, MARKER, &commit),
            batch(2, 1, DATA, b"aborted"),
            batch(3, 2, DATA, b"another's"),
            batch(4, 1, DATA, b"aborted"),
            batch(5, 1, 0, b"not transactional"),
            batch(6, 1, MARKER, &abort),
            batch(7, 1, DATA, b"committed again"),
        ];
        mark_aborted(&mut batches, vec![(1, 2)]);
        let marked: Vec<i64> = batches.iter().filter(|b| b.aborted).map(|b| b.base_offset).collect();
        assert_eq!(marked, [2, 4]);
    }
}
