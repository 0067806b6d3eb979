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

/// The ACLs of the target that follow from those of the source, for `copied`: names on the source of the topics that are copied.
pub(crate) fn carried(
    source: &[TopicAcl],
    topics: &TopicSelection,
    copied: &[Arc<str>],
) -> BTreeSet<TopicAcl> {
    source.iter().flat_map(|acl| carry(acl, topics, copied)).collect()
}

/// Never a right to anything but copies: a pattern is carried over as a pattern only where all names that it means on the target are
/// those of copies, because they begin with what names the source; elsewhere each copy that is meant gets an ACL of its own.
fn carry(acl: &TopicAcl, topics: &TopicSelection, copied: &[Arc<str>]) -> Vec<TopicAcl> {
    let is_allowed = acl.permission == AclPermission::Allow;
    if is_allowed && acl.operation == AclOperation::WRITE {
        return Vec::new();
    }
    let operation =
        if is_allowed && acl.operation == AclOperation::ALL { AclOperation::READ } else { acl.operation };
    let on = |topic: String, pattern: AclPattern| TopicAcl { topic, pattern, operation, ..acl.clone() };
    let copy = |topic: &str| topics.target_of(topic).filter(|target| !is_reserved(target));
    let beginning = match acl.pattern {
        AclPattern::Literal if acl.topic == "*" => "",
        AclPattern::Prefixed => &acl.topic,
        AclPattern::Literal => {
            return copy(&acl.topic)
                .map(|target| on(target.to_string(), AclPattern::Literal))
                .into_iter()
                .collect();
        }
    };
    let meant: Vec<Arc<str>> =
        copied.iter().filter(|topic| topic.starts_with(beginning)).filter_map(|topic| copy(topic)).collect();
    let own = topics.naming.target_prefix("").filter(|prefix| !prefix.is_empty());
    let pattern = own.and_then(|_| topics.naming.target_prefix(beginning)).filter(|_| !meant.is_empty());
    let others =
        meant.iter().filter(|target| pattern.as_ref().is_none_or(|prefix| !target.starts_with(prefix)));
    let mut carried: Vec<TopicAcl> =
        others.map(|target| on(target.to_string(), AclPattern::Literal)).collect();
    carried.extend(pattern.map(|prefix| on(prefix, AclPattern::Prefixed)));
    carried
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

    fn of(naming: Naming, acl: &TopicAcl) -> Vec<TopicAcl> {
        of_renamed(naming, BTreeMap::new(), acl)
    }

    fn of_renamed(naming: Naming, map: BTreeMap<String, String>, acl: &TopicAcl) -> Vec<TopicAcl> {
        let naming = TopicNaming { source: "A".to_owned(), naming, map };
        let filter = TopicFilter::new("orders.*").unwrap();
        let topics = TopicSelection {
            filter,
            naming,
            target: "B".to_owned(),
            copies_heartbeats: true,
            brought: Vec::new(),
        };
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
            assert_eq!(of(Naming::default(), &from), to.into_iter().collect::<Vec<_>>(), "{from:?}");
        }
    }

    /// Under names that others on the target may have as well, a pattern would mean more than the copies.
    #[test]
    fn a_right_to_all_topics_is_one_to_the_copies_only() {
        use AclPattern::{Literal, Prefixed};
        use AclPermission::Allow;
        let identity = || Naming::Identity { separator: ".".to_owned() };
        let read = |topic: &str, pattern| acl(topic, pattern, READ, Allow);
        for pattern in [read("*", Literal), read("ord", Prefixed)] {
            let expected = [read("orders", Literal), read("orders.eu", Literal)];
            assert_eq!(of(identity(), &pattern), expected, "{pattern:?}");
        }
        assert_eq!(of(identity(), &read("orders.", Prefixed)), [read("orders.eu", Literal)]);
        assert_eq!(of(identity(), &read("pay", Prefixed)), []);
        // A copy with a name of its own is none of those that the pattern means.
        let renamed = of_renamed(
            Naming::default(),
            [("orders".to_owned(), "o".to_owned())].into(),
            &read("*", Literal),
        );
        assert_eq!(renamed, [read("o", Literal), read("A.", Prefixed)]);
    }
}
