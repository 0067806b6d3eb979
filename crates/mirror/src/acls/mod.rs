//! Access control lists of topics, carried over (`MirrorSourceConnector.syncTopicAcls`).
//!
//! Whoever may read a topic may read its copy; nobody may write to it because they may write to the original.

mod syncer;

pub(crate) use syncer::AclSyncer;

use crate::naming::is_reserved;
use crate::topics::TopicSelection;
use std::collections::BTreeSet;
use std::sync::Arc;
use verbatim_wire::cluster::{AclOperation, AclPattern, AclPermission, TopicAcl};

/// The ACLs of the target that follow from those of the source.
pub(crate) fn carried(
    source: &[TopicAcl],
    topics: &TopicSelection,
    copied: &[Arc<str>],
) -> BTreeSet<TopicAcl> {
    source.iter().filter_map(|acl| carry(acl, topics, copied)).collect()
}

fn carry(acl: &TopicAcl, topics: &TopicSelection, copied: &[Arc<str>]) -> Option<TopicAcl> {
    let is_allowed = acl.permission == AclPermission::Allow;
    if is_allowed && acl.operation == AclOperation::WRITE {
        return None;
    }
    let (topic, pattern) = match acl.pattern {
        // All topics; on the target, all copies.
        AclPattern::Literal if acl.topic == "*" => {
            copied.first()?;
            match topics.naming.target_prefix("")? {
                prefix if prefix.is_empty() => ("*".to_owned(), AclPattern::Literal),
                prefix => (prefix, AclPattern::Prefixed),
            }
        }
        AclPattern::Literal => {
            let target = topics.target_of(&acl.topic).filter(|target| !is_reserved(target))?;
            (target.to_string(), AclPattern::Literal)
        }
        AclPattern::Prefixed => {
            copied.iter().find(|topic| topic.starts_with(&acl.topic))?;
            (topics.naming.target_prefix(&acl.topic)?, AclPattern::Prefixed)
        }
    };
    let operation =
        if is_allowed && acl.operation == AclOperation::ALL { AclOperation::READ } else { acl.operation };
    Some(TopicAcl { topic, pattern, operation, ..acl.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::{Naming, TopicNaming};
    use crate::topics::TopicFilter;
    use std::collections::BTreeMap;

    const READ: AclOperation = AclOperation::READ;
    const DESCRIBE: AclOperation = AclOperation(8);

    fn acl(topic: &str, pattern: AclPattern, operation: AclOperation, permission: AclPermission) -> TopicAcl {
        let (principal, host) = ("User:alice".to_owned(), "*".to_owned());
        TopicAcl { topic: topic.to_owned(), pattern, principal, host, operation, permission }
    }

    fn of(naming: Naming, acl: &TopicAcl) -> Option<TopicAcl> {
        let naming = TopicNaming { source: "A".to_owned(), naming, map: BTreeMap::new() };
        let filter = TopicFilter::new("orders.*").unwrap();
        let topics = TopicSelection { filter, naming, target: "B".to_owned(), copies_heartbeats: true };
        carry(acl, &topics, &["orders".into(), "orders.eu".into()])
    }

    #[test]
    fn rights_to_read_are_carried_over_and_rights_to_write_are_not() {
        use AclPattern::{Literal, Prefixed};
        use AclPermission::{Allow, Deny};
        let all = AclOperation::ALL;
        for (from, to) in [
            (acl("orders", Literal, READ, Allow), Some(acl("A.orders", Literal, READ, Allow))),
            (acl("orders", Literal, all, Allow), Some(acl("A.orders", Literal, READ, Allow))),
            (acl("orders", Literal, AclOperation::WRITE, Allow), None),
            (
                acl("orders", Literal, AclOperation::WRITE, Deny),
                Some(acl("A.orders", Literal, AclOperation::WRITE, Deny)),
            ),
            (acl("orders", Literal, all, Deny), Some(acl("A.orders", Literal, all, Deny))),
            (acl("orders", Literal, DESCRIBE, Allow), Some(acl("A.orders", Literal, DESCRIBE, Allow))),
            (acl("payments", Literal, READ, Allow), None),
            (acl("orders.", Prefixed, READ, Allow), Some(acl("A.orders.", Prefixed, READ, Allow))),
            (acl("pay", Prefixed, READ, Allow), None),
            (acl("*", Literal, READ, Allow), Some(acl("A.", Prefixed, READ, Allow))),
        ] {
            assert_eq!(of(Naming::default(), &from), to, "{from:?}");
        }
        let identity = || Naming::Identity { separator: ".".to_owned() };
        let everywhere = acl("*", Literal, READ, Allow);
        assert_eq!(of(identity(), &everywhere), Some(everywhere));
    }
}
