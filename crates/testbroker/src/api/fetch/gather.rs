//! Reads what a fetch wants from every partition, under one lock and within its limits.

use crate::api::Call;
use crate::api::fetch::FetchLimits;
use crate::api::fetch::sessions::Wanted;
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::log::read::{ReadLimits, ReadSlice};
use crate::log::transactions::AbortedTransaction;
use crate::topics::topic::Partition;

/// What one partition has to say.
#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    pub(crate) code: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start: i64,
    /// `None` for read_uncommitted.
    pub(crate) aborted: Option<Vec<AbortedTransaction>>,
    /// Epoch and end offset where the client's log and ours part.
    pub(crate) diverging: Option<(i32, i64)>,
    /// Leader and epoch, beside errors that a move explains.
    pub(crate) current_leader: Option<(i32, i32)>,
    pub(crate) slice: ReadSlice,
}

impl Gathered {
    /// Whether this ends a long poll.
    pub(crate) fn is_urgent(&self) -> bool {
        self.code != ErrorCode::NONE || self.diverging.is_some()
    }
}

/// A partition's answer that only carries an error.
pub(crate) fn refused(code: ErrorCode) -> Gathered {
    Gathered {
        code,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start: -1,
        aborted: None,
        diverging: None,
        current_leader: None,
        slice: ReadSlice::default(),
    }
}

/// Reads all wanted partitions in order.
pub(crate) fn gather(call: &Call, wanted: &[Wanted], limits: FetchLimits) -> Vec<Gathered> {
    let mut state = call.core.state();
    let mut left = limits.max_bytes;
    let mut at_least_one = true;
    let mut gathered = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let reading = ReadLimits {
            up_to: i64::MAX,
            max_bytes: left.min(wanted.max_bytes.max(0) as usize),
            at_least_one,
        };
        let outcome = read(call, &mut state, wanted, reading, limits.read_committed);
        let result = outcome.unwrap_or_else(|code| explain(&state, wanted, code));
        if result.slice.bytes > 0 {
            at_least_one = false;
            left = left.saturating_sub(result.slice.bytes);
        }
        gathered.push(result);
    }
    gathered
}

fn read(
    call: &Call,
    state: &mut State,
    wanted: &Wanted,
    mut limits: ReadLimits,
    read_committed: bool,
) -> Result<Gathered, ErrorCode> {
    let name = wanted.topic_name(state).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
    call.unless_refused(&name, wanted.partition, || Ok(()))?;
    let partition = state.led(call.node, &name, wanted.partition, wanted.current_leader_epoch)?;
    let log = &partition.log;
    let mut result = Gathered {
        high_watermark: log.high_watermark(),
        last_stable_offset: log.last_stable_offset(),
        log_start: log.start(),
        aborted: read_committed.then(Vec::new),
        ..refused(ErrorCode::NONE)
    };
    if let Some(diverging) = divergence(partition, wanted)? {
        result.diverging = Some(diverging);
        return Ok(result);
    }
    limits.up_to = if read_committed { result.last_stable_offset } else { result.high_watermark };
    result.slice = log.read(wanted.fetch_offset, limits)?;
    if read_committed && let Some(last) = result.slice.batches.last() {
        result.aborted = Some(log.aborted.overlapping(wanted.fetch_offset, last.last_offset() + 1));
    }
    Ok(result)
}

/// Where the client's log leaves ours, if its last fetched epoch says so (`Partition.readRecords`).
fn divergence(partition: &Partition, wanted: &Wanted) -> Result<Option<(i32, i64)>, ErrorCode> {
    if wanted.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let end = partition.log.epochs.end_of(wanted.last_fetched_epoch, partition.log.end());
    let (epoch, end_offset) = end.ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
    let diverges = epoch < wanted.last_fetched_epoch || end_offset < wanted.fetch_offset;
    Ok(diverges.then_some((epoch, end_offset)))
}

fn explain(state: &State, wanted: &Wanted, code: ErrorCode) -> Gathered {
    let mut result = refused(code);
    let partition =
        wanted.topic_name(state).and_then(|name| state.topics.partition(&name, wanted.partition).ok());
    let is_of_leader = matches!(code, ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH);
    if let Some(partition) = partition.filter(|_| is_of_leader) {
        result.current_leader = Some((partition.leader.unwrap_or(-1), partition.leader_epoch));
    }
    result
}
