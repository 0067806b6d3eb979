//! What keeps partitions from getting on is said: once after two seconds, once when it is over, for all that it concerns together.

use super::FlowTask;
use super::events::Event;
use super::timers::Timer;
use crate::error::PartitionName;
use crate::partition::{Holder, Obstacle, Trouble, WORD_AFTER};
use std::collections::BTreeMap;
use tokio::time::Instant;
use verbatim_wire::cluster::ProducerState;

/// Partitions with the same trouble.
#[derive(Debug)]
struct Concerned {
    first: PartitionName,
    others: usize,
    since: Instant,
}

impl FlowTask {
    /// A partition does not get on for now.
    pub(crate) fn meets(&mut self, number: u32, obstacle: Obstacle, now: Instant) {
        let Some(partition) = self.partition(number) else { return };
        if partition.state.is_stopped() {
            return;
        }
        partition.troubled.meets(obstacle, now);
        if !self.is_watching_troubles {
            self.is_watching_troubles = true;
            self.timers.set(now + WORD_AFTER, Timer::Troubles);
        }
    }

    /// Says what has lasted, and what is over.
    pub(super) fn say_troubles(&mut self, now: Instant) {
        let (mut lasting, mut over) = (BTreeMap::new(), BTreeMap::new());
        let mut is_pending = false;
        for number in (0u32..).take(self.partitions.len()) {
            let name = self.name(number);
            let Some(partition) = self.partition(number) else { continue };
            if let Some(from) = partition.troubled.is_held_by_unknown(now) {
                self.ask_for_holder(number, from);
            }
            let Some(partition) = self.partition(number) else { continue };
            if let Some(trouble) = partition.troubled.take_word(now) {
                tracing::debug!("{name}: {}", trouble.obstacle);
                concern(&mut lasting, name, trouble);
            } else if let Some(trouble) = partition.troubled.take_over() {
                concern(&mut over, name, trouble);
            }
            let Some(partition) = self.partition(number) else { continue };
            is_pending |= partition.troubled.is_pending() || partition.troubled.current().is_some();
        }
        for (obstacle, Concerned { first, others, since }) in lasting {
            let lasts = now.duration_since(since).as_secs();
            tracing::warn!("{first}{} waits for {lasts} s: {obstacle}; trying again", and_others(others));
        }
        for (obstacle, Concerned { first, others, since }) in over {
            let lasted = now.duration_since(since).as_secs();
            tracing::info!("{first}{} goes on after {lasted} s; before: {obstacle}", and_others(others));
        }
        self.is_watching_troubles = is_pending;
        if is_pending {
            self.timers.set(now + WORD_AFTER, Timer::Troubles);
        }
    }

    /// Asks the source's leader whose transaction begins at `from`.
    fn ask_for_holder(&self, number: u32, from: i64) {
        let Some(partition) = self.partitions.get(number as usize) else { return };
        let (Some((leader, _)), Some(route)) = (partition.source.leader, self.routes.topic(partition.topic))
        else {
            return;
        };
        let asked = [(route.source.name.clone(), partition.partition)];
        let source = self.source.clone();
        self.beside(async move {
            // Who may not know it, or speaks to an old broker, is told without.
            let found = source.describe_producers(leader, &asked).await.ok().flatten().unwrap_or_default();
            let producers = found.into_iter().next().map(|found| found.producers).unwrap_or_default();
            Event::Held { number, from, producers }
        });
    }

    pub(super) fn holder_heard(&mut self, number: u32, from: i64, producers: &[ProducerState]) {
        let Some(partition) = self.partition(number) else { return };
        let open = producers.iter().filter(|producer| producer.current_txn_start_offset >= 0);
        let Some(first) = open.min_by_key(|producer| producer.current_txn_start_offset) else { return };
        let holder = Holder { from, producer_id: first.producer_id, last_timestamp_ms: first.last_timestamp };
        partition.source.held_by = Some(holder);
        partition.troubled.is_held_by(holder);
    }
}

fn concern(concerned: &mut BTreeMap<Obstacle, Concerned>, name: PartitionName, trouble: Trouble) {
    let Trouble { obstacle, since, .. } = trouble;
    match concerned.get_mut(&obstacle) {
        Some(found) => {
            found.others += 1;
            found.since = found.since.min(since);
        }
        None => drop(concerned.insert(obstacle, Concerned { first: name, others: 0, since })),
    }
}

fn and_others(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => " (and 1 other partition)".to_owned(),
        _ => format!(" (and {others} other partitions)"),
    }
}
