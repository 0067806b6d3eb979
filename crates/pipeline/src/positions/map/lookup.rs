//! Both directions of the map.

use super::{MapChunk, OffsetMap, Run};

impl OffsetMap {
    /// The target offset of the record at source offset `source`; `None` if there is no such record or it is not known
    /// to be on the target.
    pub fn target_of(&self, source: i64) -> Option<i64> {
        let run = self.first_run(|chunk| chunk.source_end() > source, |run| run.source_end() > source)?;
        (run.source <= source).then(|| run.target + (source - run.source))
    }

    /// The source offset of the record at target offset `target`.
    pub fn source_of(&self, target: i64) -> Option<i64> {
        let run = self.first_run(|chunk| chunk.target_end() > target, |run| run.target_end() > target)?;
        (run.target <= target).then(|| run.source + (target - run.target))
    }

    /// Where a consumer goes on that has read everything below source offset `source`: the target offset of the first record
    /// at or after it, the end of the map if there is none yet; `None` for an offset below the map or beyond its
    /// end.
    pub fn target_position(&self, source: i64) -> Option<i64> {
        if !(self.start.0..=self.end.0).contains(&source) {
            return None;
        }
        let next = self.first_run(|chunk| chunk.source_end() > source, |run| run.source_end() > source);
        Some(next.map_or(self.end.1, |run| run.target + (source - run.source).max(0)))
    }

    /// As [`target_position`](Self::target_position), the other way.
    pub fn source_position(&self, target: i64) -> Option<i64> {
        if !(self.start.1..=self.end.1).contains(&target) {
            return None;
        }
        let next = self.first_run(|chunk| chunk.target_end() > target, |run| run.target_end() > target);
        Some(next.map_or(self.end.0, |run| run.source + (target - run.target).max(0)))
    }

    /// The first run that `run_ends_after` holds for; `chunk_ends_after` says the same of whole chunks.
    fn first_run(
        &self,
        chunk_ends_after: impl Fn(&MapChunk) -> bool,
        run_ends_after: impl Fn(&Run) -> bool,
    ) -> Option<Run> {
        let at = self.sealed.partition_point(|chunk| !chunk_ends_after(chunk));
        if let Some(chunk) = self.sealed.get(at) {
            return chunk.runs().find(run_ends_after);
        }
        let at = self.open.partition_point(|run| !run_ends_after(run));
        self.open.get(at).copied()
    }
}
