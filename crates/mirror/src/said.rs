//! Troubles that last are said once, not with every attempt.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::ClusterError;

/// What tells one trouble from another: of a refusal the code, because brokers put what differs from time to time into their
/// explanations.
pub(crate) fn kind(error: &ClusterError) -> String {
    error.broker_error().map_or_else(|| error.to_string(), |code| code.to_string())
}

/// What has been said last of each subject, and since when others have been there.
#[derive(Debug, Default)]
pub(crate) struct Said {
    last: HashMap<String, String>,
    since: HashMap<String, Instant>,
}

impl Said {
    /// Whether `trouble` with `subject` is news.
    pub(crate) fn is_news(&mut self, subject: &str, trouble: impl Display) -> bool {
        let trouble = trouble.to_string();
        self.last.insert(subject.to_owned(), trouble.clone()).as_ref() != Some(&trouble)
    }

    /// Whether this was asked of `subject` so long ago for the first time.
    pub(crate) fn is_older_than(&mut self, age: Duration, subject: &str) -> bool {
        self.since.entry(subject.to_owned()).or_insert_with(Instant::now).elapsed() >= age
    }

    /// There is no trouble with `subject`; returns whether there was some.
    pub(crate) fn is_over(&mut self, subject: &str) -> bool {
        self.last.remove(subject).is_some()
    }
}

/// The first `most` of `names`, and how many more there are.
pub fn listed(names: &[String], most: usize) -> String {
    let (shown, rest) = names.split_at_checked(most).unwrap_or((names, &[]));
    match rest.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(listed(&names, 3), "a, b, c");
        assert_eq!(listed(&names, 2), "a, b and 1 more");
    }

    #[test]
    fn only_changes_are_news() {
        let mut said = Said::default();
        assert!(said.is_news("a", "denied") && said.is_news("b", "denied"));
        assert!(!said.is_news("a", "denied") && said.is_news("a", "unreachable"));
        assert!(said.is_over("a") && !said.is_over("a") && said.is_news("a", "denied"));
    }
}
