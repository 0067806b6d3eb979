//! An unclean election: the source loses the end of a log that may have been copied, and others write in its place.

use std::collections::HashSet;
use std::time::Duration;

use verbatim_pipeline::StopReason;
use verbatim_tests::scenario::log;

use super::{Play, TOPIC};

/// Whether a partition stopped for what has happened to its log.
pub(crate) fn is_seen(reason: &StopReason) -> bool {
    matches!(
        reason,
        StopReason::Diverged { .. } | StopReason::OutOfRange { .. } | StopReason::NotTheSource { .. }
    )
}

impl Play {
    /// What was on its way to the target must have arrived: see FAILURES.md for the window that remains.
    pub(crate) async fn cut(&mut self) {
        let partition = self.partition();
        let Some(to) = self.cut_point(partition) else { return };
        if self.cut.contains_key(&partition) {
            return;
        }
        self.cut.insert(partition, to);
        self.stage.target.clear_rules();
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.tell(format!("partition {partition} of the source is cut to {to}"));
        self.stage.source.truncate(TOPIC, partition, to).unwrap();
        // Nobody goes on where it was: whoever wrote there begins anew.
        self.producers.retain(|(of, _), _| *of != partition);
        self.first_producer_id += 10;
        for _ in 0..self.dice.roll(3) {
            self.append_to(partition);
        }
    }

    /// One of the last offsets of a log at which no transaction is open.
    fn cut_point(&mut self, partition: i32) -> Option<i64> {
        let mut open = HashSet::new();
        let mut ends = Vec::new();
        for batch in log(&self.stage.source, TOPIC, partition) {
            if batch.is_control() {
                open.remove(&batch.producer_id);
            } else if batch.is_transactional() {
                open.insert(batch.producer_id);
            }
            if open.is_empty() {
                ends.push(batch.last_offset() + 1);
            }
        }
        ends.pop(); // That would cut nothing, or only what is undecided.
        let last = ends.split_off(ends.len().saturating_sub(8));
        (!last.is_empty()).then(|| *self.dice.pick(&last))
    }
}
