//! State of one transactional id.
//!
//! ```text
//!            add partition / offsets          end              markers written
//!   Empty ------------------------> Ongoing -----> Prepare(c) ----------------> Complete(c)
//!                                      ^                                             |
//!                                      +------------- add partition / offsets -------+
//! ```
//! `c` is commit or abort. Prepare is only visible while a test holds markers back.

use std::collections::{BTreeMap, BTreeSet};

use crate::groups::offsets::CommittedOffset;

/// Where a transactional id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionState {
    Empty,
    Ongoing,
    Prepare { commit: bool },
    Complete { commit: bool },
}

/// Offsets waiting for a commit, by group and partition.
pub(crate) type PendingOffsets = BTreeMap<String, BTreeMap<(String, i32), CommittedOffset>>;

/// A transactional id and its current transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) state: TransactionState,
    pub(crate) partitions: BTreeSet<(String, i32)>,
    pub(crate) pending_offsets: PendingOffsets,
    /// Number of the transaction, so that a timer knows whether it is still the one it watches.
    pub(crate) number: u64,
    /// Epoch the markers carry: the producer's, or one above it (KIP-890).
    pub(crate) marker_epoch: i16,
}

impl Transaction {
    pub(crate) fn new(producer_id: i64, timeout_ms: i32) -> Self {
        Self {
            producer_id,
            producer_epoch: 0,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            pending_offsets: BTreeMap::new(),
            number: 0,
            marker_epoch: 0,
        }
    }

    /// Begins a transaction unless one is under way; returns whether it did.
    pub(crate) fn begin(&mut self) -> bool {
        if self.state == TransactionState::Ongoing {
            return false;
        }
        self.state = TransactionState::Ongoing;
        self.number += 1;
        true
    }
}
