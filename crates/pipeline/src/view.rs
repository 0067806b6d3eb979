//! Watching a flow from beside it.

use crate::error::{FlowError, PartitionName};
use crate::positions::{OffsetMap, OffsetsHeld, StoredPartition, Summary};
use crate::status::Status;
use crate::task::events::Command;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A flow, to be asked but not to be ended.
#[derive(Debug, Clone)]
pub struct FlowView {
    pub(crate) commands: mpsc::Sender<Command>,
}

/// A position of a consumer, in terms of one side or the other: the offset of the next record to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsumerPosition {
    /// On the source; asked for is the place on the target.
    OnSource(i64),
    /// On the target; asked for is the place on the source.
    OnTarget(i64),
}

/// Where a consumer goes on, on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// There its next record is.
    Exact(i64),
    /// It has read beyond what is copied; there the copy ends now.
    Ahead(i64),
    /// Not known: below where the copy began, or the partition is not copied.
    Unknown,
}

impl Place {
    /// The offset, if there is one.
    pub fn offset(self) -> Option<i64> {
        match self {
            Self::Exact(offset) | Self::Ahead(offset) => Some(offset),
            Self::Unknown => None,
        }
    }
}

impl FlowView {
    /// Where the flow stands.
    ///
    /// # Errors
    /// When the flow has ended.
    pub async fn status(&self) -> Result<Status, FlowError> {
        self.ask(Command::Status).await
    }

    /// Where the flow stands, if it says so within a second: not while it ends, which takes as long as its clusters do.
    pub async fn status_in_time(&self) -> Option<Status> {
        const PATIENCE: Duration = Duration::from_secs(1);
        tokio::time::timeout(PATIENCE, self.status()).await.ok()?.ok()
    }

    /// Where consumers go on, on the other side, one place for each, in order. Partitions are those of the source.
    ///
    /// # Errors
    /// When the flow has ended.
    pub async fn places(
        &self,
        positions: Vec<(PartitionName, ConsumerPosition)>,
    ) -> Result<Vec<Place>, FlowError> {
        self.ask(|reply| Command::Places(positions, reply)).await
    }

    /// Waits until every partition has come to where its source ended when the flow first looked.
    ///
    /// # Errors
    /// When partitions stopped on the way; the others have caught up.
    pub async fn caught_up(&self) -> Result<(), FlowError> {
        self.ask(Command::CaughtUp).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, FlowError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| FlowError::Ended)?;
        answer.await.map_err(|_| FlowError::Ended)
    }
}

impl StoredPartition {
    /// Where a consumer goes on, on the other side, as far as was stored.
    pub fn place(&self, position: ConsumerPosition) -> Place {
        let Summary { offsets, position: stored, .. } = self.summary;
        place(position, offsets, stored.target_offset, &self.map)
    }
}

/// The place of `position` in a partition whose copy stands at `target_end`, with `map` where offsets are not the same.
pub(crate) fn place(
    position: ConsumerPosition,
    offsets: OffsetsHeld,
    target_end: i64,
    map: &OffsetMap,
) -> Place {
    if offsets == OffsetsHeld::Preserved {
        let (ConsumerPosition::OnSource(offset) | ConsumerPosition::OnTarget(offset)) = position;
        return if offset <= target_end { Place::Exact(offset) } else { Place::Ahead(target_end) };
    }
    let (start, end) = (map.start(), map.end());
    let (offset, found, (first, other_first), (last, other_last)) = match position {
        ConsumerPosition::OnSource(offset) => (offset, map.target_position(offset), start, end),
        ConsumerPosition::OnTarget(offset) => {
            (offset, map.source_position(offset), (start.1, start.0), (end.1, end.0))
        }
    };
    match found {
        Some(found) => Place::Exact(found),
        None if offset > last => Place::Ahead(other_last),
        // Nothing stands before what was copied first: whoever has read less goes on with that.
        None if offset < first && start.1 == 0 => Place::Exact(other_first),
        None => Place::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConsumerPosition::{OnSource, OnTarget};

    #[test]
    fn preserved_offsets_are_their_own_place() {
        let of = |position| place(position, OffsetsHeld::Preserved, 10, &OffsetMap::default());
        assert_eq!(of(OnSource(7)), Place::Exact(7));
        assert_eq!(of(OnTarget(10)), Place::Exact(10));
        assert_eq!(of(OnSource(11)), Place::Ahead(10));
    }

    #[test]
    fn translated_offsets_are_looked_up() {
        let mut map = OffsetMap::starting_at(5, 0);
        map.push(5, 0, 3);
        map.push(10, 3, 2);
        let of = |position| place(position, OffsetsHeld::Translated, 5, &map);
        for (source, target) in [(2, 0), (5, 0), (7, 2), (8, 3), (10, 3), (11, 4), (12, 5)] {
            assert_eq!(of(OnSource(source)), Place::Exact(target), "{source}");
        }
        assert_eq!(of(OnSource(13)), Place::Ahead(5));
        assert_eq!((of(OnTarget(3)), of(OnTarget(6))), (Place::Exact(10), Place::Ahead(12)));
        let map = OffsetMap::starting_at(100, 40);
        let of = |position| place(position, OffsetsHeld::Translated, 40, &map);
        assert_eq!((of(OnSource(99)), of(OnTarget(39))), (Place::Unknown, Place::Unknown));
        assert_eq!(of(OnSource(100)), Place::Exact(40));
    }
}
