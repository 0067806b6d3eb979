//! What a partition remembers of each producer id: epoch, the last five batches, its open transaction.
//!
//! `ProducerStateManager` and `ProducerAppendInfo` in Kafka. Sequence numbers run to 2^31 − 1, then 0.

use std::collections::{BTreeMap, VecDeque};

use verbatim_wire::records::header::BatchHeader;

use crate::error::ErrorCode;

/// Batches a duplicate is recognised among.
const REMEMBERED_BATCHES: usize = 5;

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RememberedBatch {
    /// Sequence number of its first record.
    pub first_sequence: i32,
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Largest time of its records.
    pub max_timestamp_ms: i64,
}

/// State of one producer id on one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerState {
    /// Producer epoch last seen.
    pub producer_epoch: i16,
    /// Coordinator epoch of the last marker, −1 before any.
    pub coordinator_epoch: i32,
    /// Largest record time of the last batch, which decides when the state expires.
    pub last_timestamp_ms: i64,
    /// First offset of the open transaction.
    pub transaction_start: Option<i64>,
    /// The last five batches, oldest first; empty after a new epoch or when only markers were seen.
    pub batches: VecDeque<RememberedBatch>,
}

impl ProducerState {
    /// Last sequence number, −1 when no batch is remembered.
    pub fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }
}

/// All producers of one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Producers {
    states: BTreeMap<i64, ProducerState>,
}

impl Producers {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&i64, &ProducerState)> {
        self.states.iter()
    }

    pub(crate) fn state(&self, producer_id: i64) -> Option<&ProducerState> {
        self.states.get(&producer_id)
    }

    /// The remembered batch this one repeats: same epoch, same first and last sequence.
    pub(crate) fn duplicate(&self, header: &BatchHeader) -> Option<RememberedBatch> {
        let state = self.states.get(&header.producer_id)?;
        let last_sequence = last_sequence(header);
        (state.producer_epoch == header.producer_epoch).then_some(())?;
        state
            .batches
            .iter()
            .find(|known| {
                known.first_sequence == header.base_sequence && known.last_sequence == last_sequence
            })
            .copied()
    }

    /// Whether an idempotent batch fits: epoch, sequence, and no plain batch inside an open transaction.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<(), ErrorCode> {
        let Some(state) = self.states.get(&header.producer_id) else {
            return Ok(());
        };
        if header.producer_epoch < state.producer_epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let fits = if header.producer_epoch > state.producer_epoch {
            header.base_sequence == 0
        } else {
            header.base_sequence == increment(state.last_sequence(), 1)
        };
        if !fits {
            return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        if state.transaction_start.is_some() && !header.attributes.is_transactional() {
            return Err(ErrorCode::INVALID_TXN_STATE);
        }
        Ok(())
    }

    /// Notes an appended data batch; `header` carries its final offsets.
    pub(crate) fn note_data(&mut self, header: &BatchHeader) {
        let state = self.entry(header.producer_id, header.producer_epoch);
        state.last_timestamp_ms = header.max_timestamp;
        if header.base_sequence >= 0 {
            state.batches.push_back(RememberedBatch {
                first_sequence: header.base_sequence,
                last_sequence: last_sequence(header),
                base_offset: header.base_offset,
                last_offset: header.last_offset(),
                max_timestamp_ms: header.max_timestamp,
            });
            if state.batches.len() > REMEMBERED_BATCHES {
                state.batches.pop_front();
            }
        }
        if header.attributes.is_transactional() && state.transaction_start.is_none() {
            state.transaction_start = Some(header.base_offset);
        }
    }

    /// Whether a marker fits. There is no duplicate detection for markers, on purpose: Kafka has none.
    pub(crate) fn check_marker(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
    ) -> Result<(), ErrorCode> {
        let Some(state) = self.states.get(&producer_id) else {
            return Ok(());
        };
        if producer_epoch < state.producer_epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if coordinator_epoch < state.coordinator_epoch {
            return Err(ErrorCode::TRANSACTION_COORDINATOR_FENCED);
        }
        Ok(())
    }

    /// Notes an appended marker; returns where the transaction it ended had begun.
    pub(crate) fn note_marker(&mut self, header: &BatchHeader, coordinator_epoch: i32) -> Option<i64> {
        let state = self.entry(header.producer_id, header.producer_epoch);
        state.coordinator_epoch = coordinator_epoch;
        state.last_timestamp_ms = header.max_timestamp;
        state.transaction_start.take()
    }

    /// First offset of the oldest open transaction.
    pub(crate) fn first_open_transaction(&self) -> Option<i64> {
        self.states.values().filter_map(|state| state.transaction_start).min()
    }

    /// Forgets producers whose last record is older than `before_ms`, unless a transaction is open.
    pub(crate) fn expire(&mut self, before_ms: i64) {
        self.states
            .retain(|_, state| state.transaction_start.is_some() || state.last_timestamp_ms > before_ms);
    }

    fn entry(&mut self, producer_id: i64, producer_epoch: i16) -> &mut ProducerState {
        let state = self.states.entry(producer_id).or_insert_with(|| ProducerState {
            producer_epoch,
            coordinator_epoch: -1,
            last_timestamp_ms: -1,
            transaction_start: None,
            batches: VecDeque::new(),
        });
        if state.producer_epoch != producer_epoch {
            state.producer_epoch = producer_epoch;
            state.batches.clear();
        }
        state
    }
}

fn last_sequence(header: &BatchHeader) -> i32 {
    if header.base_sequence < 0 { -1 } else { increment(header.base_sequence, header.last_offset_delta) }
}

/// `DefaultRecordBatch.incrementSequence`: 2^31 − 1 is followed by 0.
fn increment(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    if sum > i64::from(i32::MAX) { (sum - (1 << 31)) as i32 } else { sum as i32 }
}
