//! The flow's claim to be the only instance that fills gaps and sends old records: asked for when it is needed,
//! renewed while it is, given up at the end.

use super::FlowTask;
use super::events::Event;
use super::timers::Timer;
use crate::partition::{Failure, State};
use crate::positions::{Claim, Claimed, PositionError};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long before its end a claim that is needed is renewed.
const RENEW_BEFORE: Duration = Duration::from_millis(1200);
/// How long a claim is kept after it was last needed.
const KEPT_UNUSED: Duration = Duration::from_secs(5);
/// Pause after a claim that could not be asked for.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause while another instance holds the claim.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// This instance's claim.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    claim: Option<Claim>,
    is_asking: bool,
    not_before: Option<Instant>,
    used: Option<Instant>,
    /// Partitions that wait for it.
    waiting: BTreeSet<u32>,
    /// The next claim needs a number of its own.
    is_spent: bool,
}

impl Ownership {
    /// The claim, if it may be relied on now.
    pub(crate) fn held(&self, now: Instant) -> Option<Claim> {
        self.claim.filter(|claim| now < claim.until && !self.is_spent)
    }

    /// The claim, needed for partition `number` now; without one the partition is told when there is.
    pub(crate) fn need(&mut self, number: u32, now: Instant) -> Option<Claim> {
        self.used = Some(now);
        let held = self.held(now);
        if held.is_none() {
            self.waiting.insert(number);
        }
        held
    }

    /// What was done under the claim may be done late: whatever comes next needs a higher fence.
    pub(crate) fn spend(&mut self) {
        self.is_spent = self.claim.is_some();
    }

    fn is_wanted(&self, now: Instant) -> bool {
        !self.waiting.is_empty() || self.used.is_some_and(|used| now.duration_since(used) < KEPT_UNUSED)
    }

    /// When to ask next, if at all.
    fn ask_at(&self, now: Instant) -> Option<Instant> {
        if self.is_asking || !self.is_wanted(now) {
            return None;
        }
        let due = self.held(now).map_or(now, |claim| claim.until - RENEW_BEFORE);
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }
}

impl FlowTask {
    /// Asks for the claim, or to keep it, when that is due.
    pub(super) fn claim_if_needed(&mut self, now: Instant) {
        if self.is_draining {
            return;
        }
        let Some(at) = self.ownership.ask_at(now) else { return };
        if at > now {
            return self.timers.set(at, Timer::Claim);
        }
        self.ownership.is_asking = true;
        let is_spent = std::mem::take(&mut self.ownership.is_spent);
        if is_spent {
            self.ownership.claim = None;
        }
        let store = self.store.clone();
        self.beside(async move {
            let outcome = async {
                if is_spent {
                    store.release().await?;
                }
                store.claim().await
            };
            Event::Claimed(outcome.await)
        });
    }

    pub(super) fn claimed(&mut self, outcome: Result<Claimed, PositionError>, now: Instant) {
        self.ownership.is_asking = false;
        self.ownership.not_before = None;
        match outcome {
            Ok(Claimed::Ours(claim)) => {
                self.ownership.claim = Some(claim);
                for number in std::mem::take(&mut self.ownership.waiting) {
                    let is_leading =
                        self.partition(number).is_some_and(|p| matches!(p.state, State::Leading));
                    if is_leading {
                        self.to_lead.insert(number);
                    }
                    self.make_ready(number, now);
                }
            }
            Ok(Claimed::Theirs(wait)) => {
                self.ownership.claim = None;
                self.ownership.not_before = Some(now + wait.min(LONGEST_WAIT));
                // The other one does their work meanwhile: what the target holds is looked up again.
                for number in std::mem::take(&mut self.ownership.waiting) {
                    let is_idle = self.partition(number).is_some_and(|p| p.in_flight == 0 && !p.is_filling);
                    if is_idle {
                        self.fail(number, Failure::Passing, now);
                    } else {
                        self.ownership.waiting.insert(number);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the flow's claim could not be asked for; trying again");
                self.ownership.not_before = Some(now + PAUSE);
            }
        }
    }
}
