//! What every connection of every broker shares.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::cluster::changes::Changes;
use crate::cluster::clock::Clock;
use crate::cluster::state::State;
use crate::cluster::traffic::Traffics;
use crate::faults::rules::Faults;

/// The cluster behind the connections.
///
/// One lock guards all state: every request takes effect at one instant, and CRCs are computed outside of it.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    /// Woken whenever something changed that a waiting request may be waiting for.
    pub(crate) changed: Changes,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    traffics: Mutex<Traffics>,
    /// Tasks by broker, so that a crash takes exactly its own; node −1 holds the cluster's timers.
    /// `None` once the cluster has ended.
    tasks: Mutex<Option<BTreeMap<i32, JoinSet<()>>>>,
    connections: AtomicU64,
    runtime: Handle,
}

/// Owner of tasks that belong to no broker.
pub(crate) const NO_NODE: i32 = -1;

impl Core {
    pub(crate) fn new(state: State, clock: Clock) -> Self {
        Self {
            clock,
            changed: Changes::of(state.brokers.keys().copied()),
            state: Mutex::new(state),
            faults: Mutex::default(),
            traffics: Mutex::default(),
            tasks: Mutex::new(Some(BTreeMap::new())),
            connections: AtomicU64::new(0),
            runtime: Handle::current(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn traffics(&self) -> MutexGuard<'_, Traffics> {
        self.traffics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs a task that ends with its broker.
    pub(crate) fn spawn(&self, node: i32, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tasks) = tasks.as_mut() else { return };
        let set = tasks.entry(node).or_default();
        while set.try_join_next().is_some() {}
        set.spawn_on(task, &self.runtime);
    }

    /// Makes the cluster's runtime the current one, for sockets opened outside of it.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Ends the tasks of one broker and waits until they are gone, its listener with them.
    pub(crate) async fn stop(&self, node: i32) {
        // Again until none is left: a listener may have accepted a connection while it was being stopped.
        while let Some(mut set) = self.take_tasks(node) {
            set.shutdown().await;
        }
    }

    /// Ends everything.
    pub(crate) fn stop_all(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn take_tasks(&self, node: i32) -> Option<JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.remove(&node)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}
