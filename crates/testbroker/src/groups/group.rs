//! One classic consumer group.

use std::collections::BTreeMap;

use crate::groups::offsets::CommittedOffset;

/// A group: its offsets, and its members if it has any.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) offsets: BTreeMap<(String, i32), CommittedOffset>,
}
