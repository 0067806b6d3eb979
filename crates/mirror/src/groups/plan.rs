//! What is committed where. Pure.

use super::{Group, Groups};
use std::collections::BTreeMap;
use std::sync::Arc;
use verbatim_pipeline::Place;
use verbatim_wire::cluster::CommittedOffset;

/// What a group has committed on one side, and where that is on the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) group: Arc<str>,
    /// As committed.
    pub(crate) committed: CommittedOffset,
    /// Name of the topic on the other side.
    pub(crate) topic: Arc<str>,
    pub(crate) place: Place,
}

impl Translated {
    /// As it is committed on the other side, if the place is known.
    pub(crate) fn there(&self) -> Option<CommittedOffset> {
        let CommittedOffset { partition, metadata, .. } = &self.committed;
        Some(CommittedOffset {
            topic: self.topic.clone(),
            partition: *partition,
            offset: self.place.offset()?,
            metadata: metadata.clone(),
        })
    }
}

/// What to commit on the other side, whose groups are `there`: nothing for groups with members, and never less than they have
/// committed.
pub(crate) fn commits(translated: &[Translated], there: &Groups) -> BTreeMap<Arc<str>, Vec<CommittedOffset>> {
    let nobody = Group::default();
    let mut commits: BTreeMap<Arc<str>, Vec<CommittedOffset>> = BTreeMap::new();
    for translated in translated {
        let group = there.get(&translated.group).unwrap_or(&nobody);
        let Some(offset) = translated.there().filter(|_| group.has_members != Some(true)) else { continue };
        let has = group.offsets.get(&(offset.topic.clone(), offset.partition));
        if has.is_none_or(|has| has.offset < offset.offset) {
            commits.entry(translated.group.clone()).or_default().push(offset);
        }
    }
    commits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(group: &str, source: i64, place: Place) -> Translated {
        let committed = CommittedOffset { metadata: "m".to_owned(), ..CommittedOffset::new("t", 1, source) };
        Translated { group: group.into(), committed, topic: "A.t".into(), place }
    }

    fn there(has_members: Option<bool>, offset: Option<i64>) -> Group {
        let offsets = offset.map(|offset| (("A.t".into(), 1), CommittedOffset::new("A.t", 1, offset)));
        Group { has_members, offsets: offsets.into_iter().collect() }
    }

    #[test]
    fn groups_are_moved_forward_only_and_only_without_members() {
        let groups: Groups = [
            ("empty", there(Some(false), None)),
            ("behind", there(Some(false), Some(4))),
            ("same", there(Some(false), Some(5))),
            ("ahead", there(Some(false), Some(6))),
            ("live", there(Some(true), Some(4))),
            ("unsaid", there(None, Some(4))),
        ]
        .map(|(id, group)| (id.into(), group))
        .into();
        let mut all: Vec<Translated> = groups.keys().map(|id| translated(id, 9, Place::Exact(5))).collect();
        all.push(translated("new", 9, Place::Ahead(5)));
        all.push(translated("unknown", 9, Place::Unknown));
        let commits = commits(&all, &groups);
        assert_eq!(commits.keys().map(|id| &**id).collect::<Vec<_>>(), ["behind", "empty", "new", "unsaid"]);
        let expected = CommittedOffset { metadata: "m".to_owned(), ..CommittedOffset::new("A.t", 1, 5) };
        assert!(commits.values().all(|offsets| *offsets == [expected.clone()]));
    }
}
