//! A number of runs as the differences between them.

use super::Run;
use std::fmt;
use verbatim_wire::records::varint;

/// Runs one after the other, kept as differences; its text is what the state topic holds.
///
/// The text is `<target end of the chunk before> <source>:<target> <records>+<gap> <records>+<gap> … <records>`: so many
/// records, so many source offsets without one, and so on. Where the target has offsets that stand for nothing,
/// the gap is `+<source>/<target>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapChunk {
    after: i64,
    first: (i64, i64),
    end: (i64, i64),
    count: u32,
    /// Per run: records × 2, plus 1 if gaps on both sides follow; gap; target gap if so. The last has no gap.
    differences: Box<[u8]>,
}

/// A text that is no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no part of an offset map")]
pub struct ChunkError {
    /// What cannot be read.
    pub text: String,
}

impl MapChunk {
    /// `runs` must not be empty, be in order and not overlap; `after` is where the target ended before them.
    pub(super) fn encode(after: i64, runs: &[Run]) -> Self {
        let mut differences = Vec::new();
        let mut put = |number: i64| varint::write_varlong(&mut differences, number);
        for (at, run) in runs.iter().enumerate() {
            let Some(next) = runs.get(at + 1) else {
                put(run.records << 1);
                break;
            };
            let (source_gap, target_gap) = (next.source - run.source_end(), next.target - run.target_end());
            put(run.records << 1 | i64::from(target_gap > 0));
            put(source_gap);
            if target_gap > 0 {
                put(target_gap);
            }
        }
        let first = runs.first().map_or((0, 0), |run| (run.source, run.target));
        let end = runs.last().map_or((0, 0), |run| (run.source_end(), run.target_end()));
        let count = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        Self { after, first, end, count, differences: differences.into_boxed_slice() }
    }

    /// Where the target ended before its first record.
    pub fn after(&self) -> i64 {
        self.after
    }

    /// Source offset of its first record.
    pub fn first_source(&self) -> i64 {
        self.first.0
    }

    /// Target offset of its first record.
    pub fn first_target(&self) -> i64 {
        self.first.1
    }

    /// Source offset after its last record.
    pub fn source_end(&self) -> i64 {
        self.end.0
    }

    /// Target offset after its last record.
    pub fn target_end(&self) -> i64 {
        self.end.1
    }

    /// Number of runs.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.differences.len()
    }

    /// Its runs in order.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        let (mut source, mut target) = self.first;
        let mut rest = &*self.differences;
        (0..self.count).map_while(move |at| {
            let head = take(&mut rest)?;
            let run = Run { source, target, records: head >> 1 };
            if at + 1 < self.count {
                let source_gap = take(&mut rest)?;
                let target_gap = if head & 1 == 1 { take(&mut rest)? } else { 0 };
                (source, target) = (run.source_end() + source_gap, run.target_end() + target_gap);
            }
            Some(run)
        })
    }
}

fn take(rest: &mut &[u8]) -> Option<i64> {
    varint::read_varlong(rest).ok()
}

impl fmt::Display for MapChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, first: (source, target), .. } = self;
        write!(f, "{after} {source}:{target} ")?;
        let mut runs = self.runs().peekable();
        while let Some(run) = runs.next() {
            write!(f, "{}", run.records)?;
            if let Some(next) = runs.peek() {
                let (source_gap, target_gap) =
                    (next.source - run.source_end(), next.target - run.target_end());
                write!(f, "+{source_gap}")?;
                if target_gap > 0 {
                    write!(f, "/{target_gap}")?;
                }
                f.write_str(" ")?;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for MapChunk {
    type Err = ChunkError;

    fn from_str(text: &str) -> Result<Self, ChunkError> {
        parse(text).ok_or_else(|| ChunkError { text: text.chars().take(100).collect() })
    }
}

fn parse(text: &str) -> Option<MapChunk> {
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| (0..=i64::MAX / 4).contains(number));
    let mut words = text.split(' ');
    let after = number(words.next()?)?;
    let (source, target) = words.next()?.split_once(':')?;
    let (mut source, mut target) = (number(source)?, number(target)?);
    let mut runs = Vec::new();
    for word in words {
        let (records, gap) = word.split_once('+').unwrap_or((word, "0"));
        let (source_gap, target_gap) = gap.split_once('/').unwrap_or((gap, "0"));
        let run = Run { source, target, records: number(records).filter(|records| *records > 0)? };
        source = run.source_end().checked_add(number(source_gap)?)?;
        target = run.target_end().checked_add(number(target_gap)?)?;
        runs.push(run);
    }
    (!runs.is_empty() && runs.first()?.target >= after).then(|| MapChunk::encode(after, &runs))
}
