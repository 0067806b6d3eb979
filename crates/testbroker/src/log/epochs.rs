//! Which leader epoch began at which offset (`LeaderEpochFileCache`).

/// Leader epochs with their start offsets, both strictly ascending.
#[derive(Debug, Clone, Default)]
pub(crate) struct Epochs {
    starts: Vec<(i32, i64)>,
}

impl Epochs {
    /// Notes that `epoch` begins at `offset`. An epoch that wrote nothing gives way to its successor.
    pub(crate) fn begin(&mut self, epoch: i32, offset: i64) {
        if self.starts.last().is_some_and(|(last, _)| *last >= epoch) {
            return;
        }
        self.starts.retain(|(_, start)| *start < offset);
        self.starts.push((epoch, offset));
    }

    /// The last known epoch not above `epoch` and where it ends; `None` when the broker cannot tell.
    pub(crate) fn end_of(&self, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        if epoch < 0 {
            return None;
        }
        let above = self.starts.partition_point(|(known, _)| *known <= epoch);
        let latest = self.starts.last()?.0;
        if latest == epoch {
            return Some((epoch, log_end));
        }
        let (_, end) = self.starts.get(above)?;
        let floor = above.checked_sub(1).and_then(|index| self.starts.get(index));
        Some((floor.map_or(epoch, |(known, _)| *known), *end))
    }

    /// Forgets epochs that begin at or after `offset`.
    pub(crate) fn truncate(&mut self, offset: i64) {
        self.starts.retain(|(_, start)| *start < offset);
    }

    /// Epoch of the record at `offset`, −1 if unknown.
    pub(crate) fn at(&self, offset: i64) -> i32 {
        let above = self.starts.partition_point(|(_, start)| *start <= offset);
        above.checked_sub(1).and_then(|index| self.starts.get(index)).map_or(-1, |(epoch, _)| *epoch)
    }
}
