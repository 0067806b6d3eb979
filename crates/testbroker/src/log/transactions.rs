//! The index of aborted transactions of one partition (`TransactionIndex`).

/// A transaction that ended with an abort marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AbortedTransaction {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// Offset of the abort marker.
    pub(crate) last_offset: i64,
}

/// Aborted transactions in the order of their markers.
#[derive(Debug, Clone, Default)]
pub(crate) struct AbortedIndex {
    entries: Vec<AbortedTransaction>,
}

impl AbortedIndex {
    pub(crate) fn push(&mut self, entry: AbortedTransaction) {
        self.entries.push(entry);
    }

    /// Those that overlap `[from, to)`; they may begin before `from`.
    pub(crate) fn overlapping(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        let first = self.entries.partition_point(|entry| entry.last_offset < from);
        self.entries.iter().skip(first).filter(|entry| entry.first_offset < to).copied().collect()
    }

    /// Forgets what lies wholly below the log start.
    pub(crate) fn forget_below(&mut self, offset: i64) {
        self.entries.retain(|entry| entry.last_offset >= offset);
    }
}
