//! Which topics are copied, and to where (`MirrorSourceConnector.shouldReplicateTopic`).

use super::TopicFilter;
use crate::naming::{Brought, TopicNaming, came_from};
use std::sync::Arc;

/// The topics of a flow.
#[derive(Debug, Clone)]
pub struct TopicSelection {
    /// Which topics are meant.
    pub filter: TopicFilter,
    /// What they are called on the target.
    pub naming: TopicNaming,
    /// Name of the target cluster, as configured: topics whose names say that they came from there are left out.
    pub target: String,
    /// Whether topics of heartbeats are copied whatever the filter says.
    pub copies_heartbeats: bool,
    /// What other flows bring to the source: topics that came from the target through them are left out as well.
    pub brought: Vec<Brought>,
}

impl TopicSelection {
    /// The topics that `filter` means, under their own names.
    pub fn same(filter: TopicFilter) -> Self {
        Self {
            filter,
            naming: TopicNaming::same(),
            target: String::new(),
            copies_heartbeats: false,
            brought: Vec::new(),
        }
    }

    /// Name on the target of the source's topic `topic`, if it is copied.
    pub fn target_of(&self, topic: &str) -> Option<Arc<str>> {
        let is_heartbeats = self.copies_heartbeats && self.naming.is_heartbeats(topic);
        let is_meant = self.filter.matches(topic) || (is_heartbeats && self.filter.may_match(topic));
        (is_meant && !self.is_cycle(topic)).then(|| self.naming.target_of(topic).into())
    }

    /// Name on the source of the target's topic `topic`, if it is the copy of one.
    pub fn source_of(&self, topic: &str) -> Option<Arc<str>> {
        let source = self.naming.source_of(topic)?;
        self.target_of(&source).filter(|target| &**target == topic).map(|_| source.into())
    }

    /// Whether `topic` is meant, but left out because its name says that it came from the target.
    pub fn is_left_out_as_cycle(&self, topic: &str) -> bool {
        self.filter.matches(topic) && self.is_cycle(topic)
    }

    fn is_cycle(&self, topic: &str) -> bool {
        self.naming.is_cycle(topic, &self.target)
            || came_from(&self.brought, &self.naming.source, topic, &self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::Naming;
    use std::collections::BTreeMap;

    #[test]
    fn heartbeats_pass_the_filter_and_cycles_do_not() {
        let naming = TopicNaming { source: "A".to_owned(), naming: Naming::default(), map: BTreeMap::new() };
        let filter = TopicFilter::new("orders.*, B.*").unwrap();
        let mut selection = TopicSelection {
            filter,
            naming,
            target: "B".to_owned(),
            copies_heartbeats: true,
            brought: Vec::new(),
        };
        for (topic, target) in [
            ("orders", Some("A.orders")),
            ("payments", None),
            ("heartbeats", Some("A.heartbeats")),
            ("C.heartbeats", Some("A.C.heartbeats")),
            ("B.heartbeats", None),
            ("B.orders", None),
            ("orders.B.x", None),
            ("orders.internal", Some("A.orders.internal")),
            ("orders.checkpoints.internal", None),
        ] {
            assert_eq!(selection.target_of(topic).as_deref(), target, "{topic}");
        }
        assert_eq!(selection.source_of("A.orders").as_deref(), Some("orders"));
        assert_eq!((selection.source_of("A.payments"), selection.source_of("orders")), (None, None));
        assert!(selection.is_left_out_as_cycle("orders.B.x") && !selection.is_left_out_as_cycle("orders"));
        selection.copies_heartbeats = false;
        assert_eq!(selection.target_of("heartbeats"), None);
    }
}
