//! The end of a flow in order.

use super::events::Event;
use super::{FlowTask, Inbox};
use crate::FinalPositions;
use crate::broker::TargetLane;
use crate::error::{FlowError, PartitionName};
use crate::positions::Position;
use tokio::time::Instant;
use verbatim_wire::cluster::Lane;

impl FlowTask {
    /// Lets what is under way be answered, sends nothing more, saves the positions.
    pub(super) async fn drain(&mut self, inbox: &mut Inbox) -> Result<FinalPositions, FlowError> {
        self.is_draining = true;
        let deadline = Instant::now() + self.config.produce_timeout;
        while self.lanes.values().any(TargetLane::is_busy) || self.partitions.iter().any(|p| p.is_filling) {
            tokio::select! {
                Some(answered) = inbox.answers.recv() => {
                    if matches!(answered.to.lane, Lane::Produce(_)) {
                        self.answered(answered, Instant::now());
                    }
                }
                Some(event) = inbox.events.recv() => {
                    if matches!(event, Event::Filled(..)) {
                        self.hear(event, Instant::now());
                    }
                }
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let numbers = (0u32..).take(self.partitions.len());
        let positions = numbers.filter_map(|number| self.position(number)).collect();
        self.save_all().await?;
        // An instance that waits need not wait for the claim's end.
        self.store.release().await?;
        Ok(FinalPositions(positions))
    }

    fn position(&self, number: u32) -> Option<(PartitionName, Position)> {
        let partition = self.partitions.get(number as usize).filter(|p| !p.is_forgotten)?;
        Some((self.name(number), partition.settled))
    }
}
