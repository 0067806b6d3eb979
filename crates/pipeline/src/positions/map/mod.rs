//! The exact offset map of one partition: which source offset is where on the target, and back.
//!
//! A run is a stretch of records whose offsets differ by the same number on both sides. Every gap of the source
//! that is not on the target (a commit marker, a dropped aborted batch, records removed by compaction) ends a run.
//! Full chunks of runs are kept as the differences between them, about four bytes a run.

mod chunk;
mod lookup;

pub use chunk::{ChunkError, MapChunk};

/// Runs of a chunk: what one lookup decodes at most, and what one stored record holds.
pub(super) const RUNS_PER_CHUNK: usize = 64;

/// A stretch of records at the same distance on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Source offset of its first record.
    pub source: i64,
    /// Target offset of that record.
    pub target: i64,
    /// Number of records, at least 1.
    pub records: i64,
}

impl Run {
    /// Source offset after its last record.
    pub fn source_end(&self) -> i64 {
        self.source + self.records
    }

    /// Target offset after its last record.
    pub fn target_end(&self) -> i64 {
        self.target + self.records
    }
}

/// Where every record copied is on the other side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetMap {
    /// Full chunks in order.
    sealed: Vec<MapChunk>,
    /// The last runs, fewer than a chunk holds.
    open: Vec<Run>,
    /// Target offset up to which the chunks before `open` reach.
    open_after: i64,
    /// From where to where the map is complete on both sides: source, target.
    start: (i64, i64),
    end: (i64, i64),
    /// Chunks whose stored form is out of date: by source offset of their first record; `None` for the open one.
    changed: Changes,
}

/// What differs from what was stored last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Changes {
    /// Chunks sealed since.
    sealed_from: Option<usize>,
    is_open: bool,
    /// Stored chunks that are no more, by first source offset.
    gone: Vec<i64>,
}

impl OffsetMap {
    /// A map without runs, complete up to these offsets: the next record copied is at or after `source` and will
    /// be at `target`.
    pub fn starting_at(source: i64, target: i64) -> Self {
        Self { start: (source, target), end: (source, target), open_after: target, ..Self::default() }
    }

    /// Source and target offset from where on the map is complete.
    pub fn start(&self) -> (i64, i64) {
        self.start
    }

    /// Source and target offset up to where the map is complete.
    pub fn end(&self) -> (i64, i64) {
        self.end
    }

    /// Notes that the `records` records from source offset `source` on are at target offset `target` and after. Both must not
    /// lie before [`end`](Self::end).
    pub fn push(&mut self, source: i64, target: i64, records: i64) {
        debug_assert!(
            source >= self.end.0 && target >= self.end.1,
            "{source} {target} before {:?}",
            self.end
        );
        if records <= 0 {
            return;
        }
        self.end = (source + records, target + records);
        self.changed.is_open = true;
        if let Some(last) = self.open.last_mut() {
            if last.source_end() == source && last.target_end() == target {
                last.records += records;
                return;
            }
            if self.open.len() >= RUNS_PER_CHUNK {
                self.seal();
            }
        }
        self.open.push(Run { source, target, records });
    }

    /// Notes that the source has nothing to copy up to `source`.
    pub fn pass(&mut self, source: i64) {
        self.end.0 = self.end.0.max(source);
    }

    /// Notes that the target's records up to `target` stand for nothing of the source any more, or never did.
    pub fn skip_target(&mut self, target: i64) {
        self.end.1 = self.end.1.max(target);
    }

    fn seal(&mut self) {
        let chunk = MapChunk::encode(self.open_after, &self.open);
        self.open_after = chunk.target_end();
        self.open.clear();
        self.changed.sealed_from.get_or_insert(self.sealed.len());
        self.sealed.push(chunk);
    }

    /// Forgets everything from source offset `source` on: the source's log was cut there. What the target holds of it
    /// stands for nothing any more.
    pub fn cut_source(&mut self, source: i64) {
        self.reopen_while(|run| run.source >= source);
        if let Some(last) = self.open.last_mut().filter(|last| last.source_end() > source) {
            last.records = source - last.source;
            self.changed.is_open = true;
        }
        self.end.0 = source;
        self.start.0 = self.start.0.min(source);
    }

    /// Forgets everything from target offset `target` on: it is not known to be there.
    pub fn cut_target(&mut self, target: i64) {
        self.reopen_while(|run| run.target >= target);
        if let Some(last) = self.open.last_mut().filter(|last| last.target_end() > target) {
            last.records = target - last.target;
            self.changed.is_open = true;
        }
        let source_end = self.open.last().map_or(self.start.0, Run::source_end);
        self.end = (source_end.min(self.end.0), self.end.1.min(target));
        self.start = (self.start.0.min(self.end.0), self.start.1.min(self.end.1));
    }

    /// Takes runs off the end while `is_beyond` says so.
    fn reopen_while(&mut self, is_beyond: impl Fn(&Run) -> bool) {
        loop {
            let first = self.open.first().map(|run| run.source);
            while self.open.last().is_some_and(&is_beyond) {
                self.open.pop();
                self.changed.is_open = true;
            }
            if !self.open.is_empty() {
                return;
            }
            self.changed.gone.extend(first);
            let Some(chunk) = self.sealed.pop() else { return };
            self.open_after = chunk.after();
            self.open = chunk.runs().collect();
            self.changed.gone.push(chunk.first_source());
            self.changed.is_open = true;
            let from = self.changed.sealed_from.filter(|from| *from < self.sealed.len());
            self.changed.sealed_from = from;
        }
    }

    /// Forgets the chunks that lie wholly below source offset `source`: the source's log begins there.
    pub fn forget_below(&mut self, source: i64) {
        let count = self.sealed.iter().take_while(|chunk| chunk.source_end() <= source).count();
        for chunk in self.sealed.drain(..count) {
            self.start = (chunk.source_end(), chunk.target_end());
            self.changed.gone.push(chunk.first_source());
        }
        if let Some(from) = &mut self.changed.sealed_from {
            *from = from.saturating_sub(count);
        }
    }

    /// Number of runs.
    pub fn len(&self) -> usize {
        self.sealed.iter().map(MapChunk::len).sum::<usize>() + self.open.len()
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.open.is_empty()
    }

    /// The last run.
    pub fn last(&self) -> Option<Run> {
        self.open.last().copied().or_else(|| self.sealed.last()?.runs().last())
    }

    /// All runs in order.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.sealed.iter().flat_map(MapChunk::runs).chain(self.open.iter().copied())
    }

    /// Bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(MapChunk::memory_bytes).sum();
        let unused = (self.sealed.capacity() - self.sealed.len()) * size_of::<MapChunk>();
        size_of::<Self>() + sealed + unused + self.open.capacity() * size_of::<Run>()
    }

    /// By which source offsets its chunks are stored.
    pub fn chunk_keys(&self) -> Vec<i64> {
        let sealed = self.sealed.iter().map(MapChunk::first_source);
        sealed.chain(self.open.first().map(|run| run.source)).collect()
    }

    /// What has to be stored since this was asked last: chunks by the source offset they begin with, `None` for
    /// those that are no more.
    pub fn take_changes(&mut self) -> Vec<(i64, Option<MapChunk>)> {
        let Changes { sealed_from, is_open, gone } = std::mem::take(&mut self.changed);
        let mut changes: Vec<_> = gone.into_iter().map(|first| (first, None)).collect();
        if let Some(from) = sealed_from {
            let sealed = self.sealed.iter().skip(from);
            changes.extend(sealed.map(|chunk| (chunk.first_source(), Some(chunk.clone()))));
        }
        if is_open && let Some(first) = self.open.first() {
            changes.push((first.source, Some(MapChunk::encode(self.open_after, &self.open))));
        }
        // The last word on a chunk counts: one that was taken apart may have been sealed anew.
        changes
    }

    /// Puts stored chunks together. They may overlap where several instances wrote them, and one may be missing where an
    /// instance that was behind overwrote a longer one: the map ends before the first hole, whose offsets are
    /// then counted again.
    pub fn from_chunks(from_target: i64, mut chunks: Vec<MapChunk>) -> Self {
        chunks.retain(|chunk| chunk.after() >= from_target || chunk.target_end() > from_target);
        chunks.sort_by_key(|chunk| (chunk.after(), chunk.target_end()));
        let mut map = Self::default();
        for chunk in chunks {
            let is_first = map.is_empty();
            if is_first {
                map.open_after = chunk.after();
                map.start = (chunk.first_source(), chunk.after());
                map.end = map.start;
            } else if chunk.after() > map.end.1 {
                break;
            }
            for run in chunk.runs() {
                let covered = (map.end.1 - run.target).clamp(0, run.records);
                let (source, target) = (run.source + covered, run.target + covered);
                if covered < run.records && source >= map.end.0 {
                    map.push(source, target, run.records - covered);
                }
            }
        }
        map.changed = Changes::default();
        map
    }
}

#[cfg(test)]
mod tests;
