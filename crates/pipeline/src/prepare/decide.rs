//! Which offsets a partition gets that nothing has been copied of yet.

use super::Preparer;
use super::starts::StartFound;
use crate::config::Offsets;
use crate::error::StopReason;
use crate::flow::route::SourceTraits;
use crate::positions::{OffsetsHeld, Position};
use std::sync::Arc;

/// What was decided.
pub(super) struct Decided {
    pub(super) offsets: OffsetsHeld,
    pub(super) position: Position,
    /// Why offsets are not preserved although they might have been.
    pub(super) because: Option<Arc<str>>,
    /// They were to be preserved, and cannot be.
    pub(super) impossible: Option<StopReason>,
}

/// WriteTxnMarkers.
const MARKERS_API_KEY: i16 = 27;

impl Preparer {
    /// Whether the target offers what gaps are filled with. Whether it lets us is seen at the first gap.
    pub(super) async fn target_can_fill(&self) -> bool {
        if self.config.offsets == Offsets::Translate {
            return false;
        }
        let brokers = self.target.brokers();
        for broker in brokers.brokers() {
            match self.target.supports(broker.node, MARKERS_API_KEY).await {
                Ok(supports) => return supports,
                Err(error) => tracing::debug!(%error, "asking another broker"),
            }
        }
        true
    }

    pub(super) fn decide(&self, start: &StartFound, source: SourceTraits, can_fill: bool) -> Decided {
        let translated = Decided {
            offsets: OffsetsHeld::Translated,
            position: Position::start(start.source_offset, start.target_end),
            because: None,
            impossible: None,
        };
        let has_data = start.target_end > 0;
        let why_not: Option<String> = match self.config.offsets {
            Offsets::Translate => return translated,
            Offsets::Preserve if self.config.shares_target => {
                Some("others write to the target too".to_owned())
            }
            _ if self.config.shares_target => return translated,
            Offsets::Preserve if !can_fill => {
                Some("the target does not offer WriteTxnMarkers (Apache Kafka does)".to_owned())
            }
            Offsets::Preserve => None,
            Offsets::Auto if !can_fill => Some("the target does not offer WriteTxnMarkers".to_owned()),
            Offsets::Auto if has_data => {
                Some(format!("the target partition already held records up to offset {}", start.target_end))
            }
            Offsets::Auto if source.may_be_compacted => {
                Some("the source is compacted, and each of its many gaps costs a round trip".to_owned())
            }
            Offsets::Auto if start.source_offset > self.config.leading_gap_limit => Some(format!(
                "{} offsets would have to be filled before its first record",
                start.source_offset
            )),
            Offsets::Auto => None,
        };
        if let Some(why) = why_not {
            let why: Arc<str> = why.into();
            let impossible = (self.config.offsets == Offsets::Preserve)
                .then(|| StopReason::CannotPreserve { why: why.clone() });
            return Decided { because: Some(why), impossible, ..translated };
        }
        // A target that holds something is taken to be a copy made before: the batch it ends with is compared
        // with the source's before anything is added.
        let position = if has_data {
            Position::start(start.target_end, start.target_end)
        } else {
            Position::start(start.source_offset, 0)
        };
        // Where the target remembers no sequence number of ours, any will do; instances that start here at the same
        // time must come to the same.
        let sequence = i32::try_from(start.target_end % (1 << 31)).unwrap_or(0);
        Decided {
            offsets: OffsetsHeld::Preserved,
            position: Position { sequence, ..position },
            because: None,
            impossible: None,
        }
    }
}
