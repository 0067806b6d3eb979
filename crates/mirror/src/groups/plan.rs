//! What is committed where. Pure.

use super::Groups;
use std::collections::{BTreeMap, BTreeSet};
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

/// The groups of which something could be committed on the other side.
pub(crate) fn wanted(translated: &[Translated]) -> BTreeSet<Arc<str>> {
    let known = translated.iter().filter(|translated| translated.place.offset().is_some());
    known.map(|translated| translated.group.clone()).collect()
}

/// What to commit on the other side, whose groups are `there`: nothing for groups with members, never less than they have committed,
/// and nothing for those of which that is not known: not seen is not zero.
pub(crate) fn commits(translated: &[Translated], there: &Groups) -> BTreeMap<Arc<str>, Vec<CommittedOffset>> {
    let mut commits: BTreeMap<Arc<str>, Vec<CommittedOffset>> = BTreeMap::new();
    for translated in translated {
        let Some(group) = there.get(&translated.group) else { continue };
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
    use super::super::Group;
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
            ("new", Group::default()),
        ]
        .map(|(id, group)| (id.into(), group))
        .into();
        let mut all: Vec<Translated> = groups.keys().map(|id| translated(id, 9, Place::Exact(5))).collect();
        // Its coordinator is away: it may have read more.
        all.push(translated("unseen", 9, Place::Exact(5)));
        all.push(translated("unknown", 9, Place::Unknown));
        assert!(wanted(&all).contains("unseen") && !wanted(&all).contains("unknown"));
        let commits = commits(&all, &groups);
        assert_eq!(commits.keys().map(|id| &**id).collect::<Vec<_>>(), ["behind", "empty", "new", "unsaid"]);
        let expected = CommittedOffset { metadata: "m".to_owned(), ..CommittedOffset::new("A.t", 1, 5) };
        assert!(commits.values().all(|offsets| *offsets == [expected.clone()]));
    }
}
