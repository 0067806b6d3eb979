//! Is the target's log the source's, batch for batch?
//!
//! Compared are, in order: codec and timestamp type, number of records, base and largest timestamp, and every byte of the payload;
//! both CRCs must fit. Not compared is what a copy rightly changes: producer, sequence, leader epoch, CRC, transaction and delete
//! horizon bits; offsets only on request. Left out on both sides: control batches, batches without records, and, if so asked,
//! aborted ones.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use super::{Client, Error, Isolation, LogReader, RawBatch};

/// Codec and timestamp type.
const COMPARED_ATTRIBUTES: i16 = 0x0f;
/// How far around a difference to look for what was expected there, in batches.
const LOOK_AHEAD: usize = 64;
/// Batches on their way between the threads of a comparison.
const QUEUE: usize = 64;

/// What to compare, and how strictly.
#[derive(Debug, Clone)]
pub struct Comparison {
    source: String,
    target: String,
    source_topic: String,
    target_topic: String,
    isolation: Isolation,
    same_offsets: bool,
}

impl Comparison {
    /// `topic` in the clusters behind two bootstrap addresses; under the same name, uncommitted data included, at any offsets.
    pub fn new(source: &str, target: &str, topic: &str) -> Self {
        Self {
            source: source.to_owned(),
            target: target.to_owned(),
            source_topic: topic.to_owned(),
            target_topic: topic.to_owned(),
            isolation: Isolation::Uncommitted,
            same_offsets: false,
        }
    }

    /// The topic has another name on the target.
    pub fn target_topic(mut self, topic: &str) -> Self {
        self.target_topic = topic.to_owned();
        self
    }

    /// The copy is of committed data: aborted batches and what is undecided do not count.
    pub fn committed(mut self) -> Self {
        self.isolation = Isolation::Committed;
        self
    }

    /// The copy has the same offsets.
    pub fn same_offsets(mut self) -> Self {
        self.same_offsets = true;
        self
    }

    /// Reads both, several partitions at a time.
    pub fn run(&self) -> Result<Report, Error> {
        let partitions = Client::new(&self.source).partitions(&self.source_topic)?;
        let on_target = Client::new(&self.target).partitions(&self.target_topic)?;
        if partitions != on_target {
            let numbers = (partitions.len(), on_target.len());
            return Ok(Report { topic: self.source_topic.clone(), numbers, partitions: Vec::new() });
        }
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        // Two readers and a comparer for each partition: as many partitions at a time as there are processors.
        let workers = std::thread::available_parallelism().map_or(2, usize::from).min(partitions.len());
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(partition) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = self.partition(*partition);
                        done.lock().unwrap_or_else(|e| e.into_inner()).push(outcome);
                    }
                });
            }
        });
        let outcomes = done.into_inner().unwrap_or_else(|e| e.into_inner());
        let mut reports = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        reports.sort_by_key(|report| report.partition);
        let numbers = (partitions.len(), on_target.len());
        Ok(Report { topic: self.source_topic.clone(), numbers, partitions: reports })
    }

    fn partition(&self, partition: i32) -> Result<PartitionReport, Error> {
        let source = LogReader::open(&self.source, &self.source_topic, partition, self.isolation)?;
        let target = LogReader::open(&self.target, &self.target_topic, partition, self.isolation)?;
        std::thread::scope(|scope| {
            let (to_source, from_source) = sync_channel(QUEUE);
            let (to_target, from_target) = sync_channel(QUEUE);
            // A comparer that has seen enough hangs up, and the readers end.
            scope.spawn(move || source.into_iter().all(|batch| to_source.send(batch).is_ok()));
            scope.spawn(move || target.into_iter().all(|batch| to_target.send(batch).is_ok()));
            compare_batches(partition, from_source.into_iter(), from_target.into_iter(), self.same_offsets)
        })
    }
}

/// Compares a topic of the same name in two clusters, whatever its offsets; see [`Comparison`] for more.
pub fn compare(source: &str, target: &str, topic: &str) -> Result<Report, Error> {
    Comparison::new(source, target, topic).run()
}

/// Which of the two logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The original.
    Source,
    /// The copy.
    Target,
}

/// Enough of a batch to find it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchName {
    /// Its base offset, in its own log.
    pub base_offset: i64,
    /// Number of records.
    pub count: i32,
    /// Bytes of payload.
    pub payload_bytes: usize,
}

impl From<&RawBatch> for BatchName {
    fn from(batch: &RawBatch) -> Self {
        Self { base_offset: batch.base_offset, count: batch.count, payload_bytes: batch.payload.len() }
    }
}

/// The first place where two logs part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A batch whose CRC does not fit.
    Corrupt(Side, BatchName),
    /// A batch of the source that the target has not.
    Missing(BatchName),
    /// A batch of the target that the source has not, or has only once.
    Extra(BatchName),
    /// The batches are there, in another order; what the source and what the target has here.
    Reordered(BatchName, BatchName),
    /// The batches at the same place differ in these fields.
    Changed(BatchName, BatchName, Vec<&'static str>),
    /// Equal batches at different offsets, where the same were asked for.
    Moved(BatchName, BatchName),
}

/// What the comparison of a partition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// The partition.
    pub partition: i32,
    /// Batches found equal.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of payload in them.
    pub payload_bytes: u64,
    /// A hash over everything compared; equal for equal logs (of one build of this program).
    pub digest: u64,
    /// Where they part.
    pub difference: Option<Difference>,
}

/// What the comparison of a topic found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The topic on the source.
    pub topic: String,
    /// Number of partitions on source and target; if they differ nothing else was compared.
    pub numbers: (usize, usize),
    /// Each partition, ascending.
    pub partitions: Vec<PartitionReport>,
}

impl Report {
    /// Whether the target's log is the source's.
    pub fn is_equal(&self) -> bool {
        self.numbers.0 == self.numbers.1 && self.partitions.iter().all(|p| p.difference.is_none())
    }

    /// Records compared in all partitions.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|p| p.records).sum()
    }

    /// Batches compared in all partitions.
    pub fn batches(&self) -> u64 {
        self.partitions.iter().map(|p| p.batches).sum()
    }

    /// Bytes of payload compared in all partitions.
    pub fn payload_bytes(&self) -> u64 {
        self.partitions.iter().map(|p| p.payload_bytes).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, target) = self.numbers;
        if source != target {
            return write!(f, "{}: {source} partitions on the source, {target} on the target", self.topic);
        }
        let (batches, records, bytes) = (self.batches(), self.records(), self.payload_bytes());
        write!(f, "{}: {batches} batches, {records} records, {bytes} payload bytes compared", self.topic)?;
        for p in &self.partitions {
            if let Some(difference) = &p.difference {
                let (topic, partition, equal) = (&self.topic, p.partition, p.batches);
                write!(f, "\n  {topic}-{partition} after {equal} equal batches: {difference:?}")?;
            }
        }
        Ok(())
    }
}

/// Compares two sequences of batches up to the first difference.
pub fn compare_batches(
    partition: i32,
    source: impl Iterator<Item = Result<RawBatch, Error>>,
    target: impl Iterator<Item = Result<RawBatch, Error>>,
    same_offsets: bool,
) -> Result<PartitionReport, Error> {
    let mut source = Ahead { log: source, seen: VecDeque::new() };
    let mut target = Ahead { log: target, seen: VecDeque::new() };
    // Not DefaultHasher::default() of a map: fixed keys, so that two runs agree.
    let mut digest = std::hash::DefaultHasher::new();
    let mut report =
        PartitionReport { partition, batches: 0, records: 0, payload_bytes: 0, digest: 0, difference: None };
    loop {
        let (original, copy) = match (source.next()?, target.next()?) {
            (None, None) => break,
            (Some(original), None) => {
                report.difference = Some(Difference::Missing((&original).into()));
                break;
            }
            (None, Some(copy)) => {
                report.difference = Some(Difference::Extra((&copy).into()));
                break;
            }
            (Some(original), Some(copy)) => (original, copy),
        };
        report.difference = if !original.crc_ok {
            Some(Difference::Corrupt(Side::Source, (&original).into()))
        } else if !copy.crc_ok {
            Some(Difference::Corrupt(Side::Target, (&copy).into()))
        } else if !differing_fields(&original, &copy).is_empty() {
            Some(explain(&original, &copy, &mut source, &mut target)?)
        } else if same_offsets && original.base_offset != copy.base_offset {
            Some(Difference::Moved((&original).into(), (&copy).into()))
        } else {
            None
        };
        if report.difference.is_some() {
            break;
        }
        report.batches += 1;
        report.records += u64::from(original.count.unsigned_abs());
        report.payload_bytes += original.payload.len() as u64;
        digest.write_i16(original.attributes & COMPARED_ATTRIBUTES);
        digest.write_i32(original.count);
        digest.write_i64(original.base_timestamp);
        digest.write_i64(original.max_timestamp);
        digest.write(&original.payload);
    }
    report.digest = digest.finish();
    Ok(report)
}

/// The fields that ought to be equal and are not.
fn differing_fields(original: &RawBatch, copy: &RawBatch) -> Vec<&'static str> {
    let fields = [
        ("attributes", (original.attributes ^ copy.attributes) & COMPARED_ATTRIBUTES == 0),
        ("count", original.count == copy.count),
        ("base timestamp", original.base_timestamp == copy.base_timestamp),
        ("max timestamp", original.max_timestamp == copy.max_timestamp),
        ("payload", original.payload == copy.payload),
    ];
    fields.into_iter().filter(|(_, equal)| !equal).map(|(field, _)| field).collect()
}

/// Names the difference between two batches at the same place by what comes after them.
fn explain<S, T>(
    original: &RawBatch,
    copy: &RawBatch,
    source: &mut Ahead<S>,
    target: &mut Ahead<T>,
) -> Result<Difference, Error>
where
    S: Iterator<Item = Result<RawBatch, Error>>,
    T: Iterator<Item = Result<RawBatch, Error>>,
{
    let copied_later = target.comes(original)?;
    let copied_early = source.comes(copy)?;
    Ok(match (copied_later, copied_early) {
        (true, true) => Difference::Reordered(original.into(), copy.into()),
        (false, true) => Difference::Missing(original.into()),
        (true, false) => Difference::Extra(copy.into()),
        (false, false) => Difference::Changed(original.into(), copy.into(), differing_fields(original, copy)),
    })
}

/// A log without the batches that do not count, and a look at what comes next.
struct Ahead<L> {
    log: L,
    seen: VecDeque<RawBatch>,
}

impl<L: Iterator<Item = Result<RawBatch, Error>>> Ahead<L> {
    fn next(&mut self) -> Result<Option<RawBatch>, Error> {
        match self.seen.pop_front() {
            Some(batch) => Ok(Some(batch)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<RawBatch>, Error> {
        for batch in self.log.by_ref() {
            let batch = batch?;
            if !batch.is_control() && !batch.aborted && batch.count != 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Whether the like of `wanted` is among the next batches.
    fn comes(&mut self, wanted: &RawBatch) -> Result<bool, Error> {
        while self.seen.len() < LOOK_AHEAD {
            match self.read()? {
                Some(batch) => self.seen.push_back(batch),
                None => break,
            }
        }
        Ok(self.seen.iter().any(|batch| differing_fields(wanted, batch).is_empty()))
    }
}

#[cfg(test)]
mod tests;
