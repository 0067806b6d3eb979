//! Aborts transactions that stay open too long.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::core::{Core, NO_NODE};
use crate::cluster::state::State;
use crate::transactions::transaction::TransactionState;

/// Watches a transaction that has just begun.
pub(crate) fn watch(core: &Arc<Core>, state: &State, transactional_id: &str) {
    let Some(transaction) = state.transactions.get(transactional_id) else { return };
    let timeout = Duration::from_millis(transaction.timeout_ms.max(0) as u64);
    let number = transaction.number;
    let transactional_id = transactional_id.to_owned();
    let watched = Arc::clone(core);
    core.spawn(NO_NODE, async move {
        tokio::time::sleep(timeout).await;
        let now_ms = watched.clock.now_ms();
        let mut state = watched.state();
        let still_open = state
            .transactions
            .get(&transactional_id)
            .is_some_and(|it| it.number == number && it.state == TransactionState::Ongoing);
        if still_open {
            state.abort_and_fence(&transactional_id, now_ms);
            drop(state);
            watched.changed.notify_waiters();
        }
    });
}
