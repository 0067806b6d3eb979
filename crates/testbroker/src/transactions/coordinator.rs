//! What the transaction coordinator does with a transactional id.
//!
//! EndTxn takes effect at once: markers are written under the same lock, unless a test holds them back.

use std::collections::BTreeSet;

use verbatim_wire::records::header::BatchHeader;

use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::records::marker::Marker;
use crate::transactions::transaction::{Transaction, TransactionState};

/// Coordinator epoch in all markers.
const COORDINATOR_EPOCH: i32 = 0;
/// First Produce version that adds partitions by itself.
const IMPLICIT_ADD_PRODUCE: i16 = 12;
/// First Produce version that knows `TRANSACTION_ABORTABLE`.
const ABORTABLE_PRODUCE: i16 = 11;

/// Who asks: producer id and epoch.
pub(crate) type Producer = (i64, i16);

impl State {
    /// Gives a transactional id its next epoch.
    pub(crate) fn init_transactional(
        &mut self,
        node: i32,
        transactional_id: &str,
        timeout_ms: i32,
        had: Producer,
        now_ms: i64,
    ) -> Result<Producer, ErrorCode> {
        self.check_coordinator(node, transactional_id)?;
        let max_timeout = self.broker_config_number("transaction.max.timeout.ms");
        if timeout_ms <= 0 || i64::from(timeout_ms) > max_timeout {
            return Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
        }
        let fresh_id = self.allocate_producer_id();
        let Some(transaction) = self.transactions.get_mut(transactional_id) else {
            self.transactions.insert(transactional_id.to_owned(), Transaction::new(fresh_id, timeout_ms));
            return Ok((fresh_id, 0));
        };
        if had.0 != -1 && had != (transaction.producer_id, transaction.producer_epoch) {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match transaction.state {
            TransactionState::Prepare { .. } => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            TransactionState::Ongoing => {
                // The old owner is fenced by the markers' epoch before the new one gets its own.
                self.abort_and_fence(transactional_id, now_ms);
                Err(ErrorCode::CONCURRENT_TRANSACTIONS)
            }
            TransactionState::Empty | TransactionState::Complete { .. } => {
                transaction.timeout_ms = timeout_ms;
                transaction.state = TransactionState::Empty;
                if transaction.producer_epoch >= i16::MAX - 1 {
                    transaction.producer_id = fresh_id;
                    transaction.producer_epoch = 0;
                } else {
                    transaction.producer_epoch += 1;
                }
                Ok((transaction.producer_id, transaction.producer_epoch))
            }
        }
    }

    /// Adds partitions to the transaction; returns whether this began it.
    pub(crate) fn add_partitions(
        &mut self,
        transactional_id: &str,
        producer: Producer,
        partitions: BTreeSet<(String, i32)>,
    ) -> Result<bool, ErrorCode> {
        let transaction = self.checked(transactional_id, producer)?;
        let began = transaction.begin();
        transaction.partitions.extend(partitions);
        Ok(began)
    }

    /// Whether a transactional batch may be written here; from Produce 12 on this adds the partition. Returns
    /// whether that began a transaction.
    pub(crate) fn verify_produce(
        &mut self,
        transactional_id: &str,
        header: &BatchHeader,
        topic: &str,
        partition: i32,
        version: i16,
    ) -> Result<bool, ErrorCode> {
        let producer = (header.producer_id, header.producer_epoch);
        let place = (topic.to_owned(), partition);
        if version >= IMPLICIT_ADD_PRODUCE {
            return self.add_partitions(transactional_id, producer, BTreeSet::from([place]));
        }
        let transaction = self.checked(transactional_id, producer)?;
        if transaction.state == TransactionState::Ongoing && transaction.partitions.contains(&place) {
            return Ok(false);
        }
        Err(if version >= ABORTABLE_PRODUCE {
            ErrorCode::TRANSACTION_ABORTABLE
        } else {
            ErrorCode::INVALID_TXN_STATE
        })
    }

    /// Ends the transaction. With `bumps_epoch` (EndTxn 5, KIP-890) the producer goes on with the epoch returned.
    pub(crate) fn end_transaction(
        &mut self,
        transactional_id: &str,
        producer: Producer,
        commit: bool,
        bumps_epoch: bool,
        now_ms: i64,
    ) -> Result<Producer, ErrorCode> {
        if let Some(done) = self.repeated_end(transactional_id, producer, commit, bumps_epoch) {
            return Ok(done);
        }
        let transaction = self.checked_end(transactional_id, producer)?;
        match transaction.state {
            TransactionState::Ongoing => {}
            TransactionState::Empty | TransactionState::Complete { .. } if bumps_epoch && !commit => {
                // An abort without partitions only takes a new epoch.
                transaction.producer_epoch += 1;
                transaction.state = TransactionState::Complete { commit };
                return Ok((transaction.producer_id, transaction.producer_epoch));
            }
            TransactionState::Complete { commit: ended } if ended == commit => return Ok(producer),
            TransactionState::Prepare { commit: ending } if ending == commit => {
                return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
            }
            _ => return Err(ErrorCode::INVALID_TXN_STATE),
        }
        transaction.producer_epoch += i16::from(bumps_epoch);
        transaction.marker_epoch = transaction.producer_epoch;
        transaction.state = TransactionState::Prepare { commit };
        let next = (transaction.producer_id, transaction.producer_epoch);
        if !self.hold_markers {
            self.complete(transactional_id, now_ms);
        }
        Ok(next)
    }

    /// Aborts an open transaction under a new epoch, so that its owner is fenced everywhere.
    pub(crate) fn abort_and_fence(&mut self, transactional_id: &str, now_ms: i64) {
        if let Some(transaction) = self.transactions.get_mut(transactional_id) {
            transaction.producer_epoch += 1;
            transaction.marker_epoch = transaction.producer_epoch;
            transaction.state = TransactionState::Prepare { commit: false };
            if !self.hold_markers {
                self.complete(transactional_id, now_ms);
            }
        }
    }

    /// Completes every prepared transaction: markers were held and are let go.
    pub(crate) fn complete_prepared(&mut self, now_ms: i64) {
        let prepared: Vec<String> = self
            .transactions
            .iter()
            .filter(|(_, it)| matches!(it.state, TransactionState::Prepare { .. }))
            .map(|(transactional_id, _)| transactional_id.clone())
            .collect();
        for transactional_id in prepared {
            self.complete(&transactional_id, now_ms);
        }
    }

    /// The transaction of a producer that is the current owner and is not waiting for markers.
    pub(crate) fn checked(
        &mut self,
        transactional_id: &str,
        producer: Producer,
    ) -> Result<&mut Transaction, ErrorCode> {
        let transaction = self.checked_end(transactional_id, producer)?;
        if matches!(transaction.state, TransactionState::Prepare { .. }) {
            return Err(ErrorCode::CONCURRENT_TRANSACTIONS);
        }
        Ok(transaction)
    }

    fn checked_end(
        &mut self,
        transactional_id: &str,
        producer: Producer,
    ) -> Result<&mut Transaction, ErrorCode> {
        let transaction =
            self.transactions.get_mut(transactional_id).ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        if transaction.producer_id != producer.0 {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if transaction.producer_epoch != producer.1 {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        Ok(transaction)
    }

    /// An EndTxn that already took effect and whose answer was lost, told by the epoch before the bump.
    fn repeated_end(
        &self,
        transactional_id: &str,
        producer: Producer,
        commit: bool,
        bumps_epoch: bool,
    ) -> Option<Producer> {
        let transaction = self.transactions.get(transactional_id)?;
        let repeated = bumps_epoch
            && transaction.state == TransactionState::Complete { commit }
            && transaction.producer_id == producer.0
            && transaction.producer_epoch == producer.1.checked_add(1)?;
        repeated.then_some((transaction.producer_id, transaction.producer_epoch))
    }

    /// Writes the markers and applies the offsets of a prepared transaction.
    fn complete(&mut self, transactional_id: &str, now_ms: i64) {
        let Some(transaction) = self.transactions.get_mut(transactional_id) else { return };
        let TransactionState::Prepare { commit } = transaction.state else { return };
        transaction.state = TransactionState::Complete { commit };
        let marker = Marker {
            producer_id: transaction.producer_id,
            producer_epoch: transaction.marker_epoch,
            coordinator_epoch: COORDINATOR_EPOCH,
            commit,
        };
        let partitions = std::mem::take(&mut transaction.partitions);
        let offsets = std::mem::take(&mut transaction.pending_offsets);
        for (topic, partition) in partitions {
            // A partition deleted meanwhile, or fenced by another coordinator, gets no marker.
            if let Ok(partition) = self.topics.partition_mut(&topic, partition) {
                let epoch = partition.leader_epoch;
                let _fenced = partition.log.append_marker(marker, epoch, now_ms);
            }
        }
        if commit {
            for (group, offsets) in offsets {
                self.groups.entry(group).or_default().offsets.extend(offsets);
            }
        }
    }
}
