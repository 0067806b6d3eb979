//! Where records came from is learned before they are copied, if only local ones are.

use super::FlowTask;
use super::events::Event;
use crate::positions::PositionError;
use std::time::Duration;

/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

impl FlowTask {
    /// The partition is not read on until it is known who the producer is.
    pub(crate) fn learn_origin(&mut self, number: u32, producer_id: i64) {
        if let Some(partition) = self.partition(number) {
            partition.is_learning = true;
        }
        self.leave_session(number);
        self.to_learn.insert(producer_id);
        self.learn_if_needed();
    }

    fn learn_if_needed(&mut self) {
        let Some(origins) = self.origins.clone() else { return };
        if self.is_learning || self.to_learn.is_empty() {
            return;
        }
        self.is_learning = true;
        let producers: Vec<i64> = self.to_learn.drain().collect();
        self.beside(async move {
            let outcome = origins.learn(&producers).await;
            if outcome.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            Event::Learned { producers, outcome }
        });
    }

    pub(super) fn learned(&mut self, producers: Vec<i64>, outcome: Result<(), PositionError>) {
        self.is_learning = false;
        if let Err(error) = outcome {
            tracing::warn!("where records of the source came from cannot be told: {error}; trying again");
            self.to_learn.extend(producers);
            return self.learn_if_needed();
        }
        let waiting: Vec<u32> = (0u32..)
            .zip(&mut self.partitions)
            .filter_map(|(number, p)| std::mem::take(&mut p.is_learning).then_some(number))
            .collect();
        for number in waiting {
            self.join_session(number);
        }
        self.learn_if_needed();
    }
}
