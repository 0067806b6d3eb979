//! Topics taken out of a running flow, and partitions taken up with a topic that is not the one they knew.

use super::FlowTask;
use crate::error::{FlowError, StopReason};
use crate::flow::accident::Accident;
use crate::partition::State;
use crate::positions::PartitionChange;
use crate::prepare::FoundAccident;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;

impl FlowTask {
    /// Stops copying a source topic and forgets what is stored of it.
    pub(super) fn forget(&mut self, topic: &str, reply: oneshot::Sender<Result<(), FlowError>>) {
        let mut changes = Vec::new();
        for number in self.routes.numbers(topic) {
            self.stop(number, &Arc::new(StopReason::Forgotten));
            let name = self.name(number);
            let Some(partition) = self.partition(number) else { continue };
            partition.is_forgotten = true;
            let chunks = partition.map.chunk_keys().into_iter().map(|first| (first, None)).collect();
            let forgotten_gaps = partition.gaps.iter().map(|gap| gap.target).collect();
            changes.push(PartitionChange { name, summary: None, chunks, gaps: Vec::new(), forgotten_gaps });
        }
        self.routes.remove(topic);
        let store = self.store.clone();
        tokio::spawn(async move { drop(reply.send(store.save(changes).await.map_err(FlowError::from))) });
    }

    /// A topic that is not the one that was copied, as was seen before anything was started.
    pub(super) fn begin_with_accident(&mut self, number: u32, found: FoundAccident, now: Instant) {
        match found {
            FoundAccident::Stop(reason) => self.stop(number, &Arc::new(reason)),
            FoundAccident::SourceRecreated(id) => {
                if let Some(partition) = self.partition(number) {
                    partition.state = State::Copying;
                }
                self.accident(number, Accident::Recreated { id }, now);
            }
        }
    }

    /// Whether a partition is copying and has no end in sight.
    pub(super) fn is_unharmed(&self, number: u32) -> bool {
        let partition = self.partitions.get(number as usize);
        partition.is_some_and(|p| p.state.is_copying() && p.ending.is_none())
    }
}
