//! How fast flows write, as it is written: for all, for a flow, for topics (`REGEX=RATE`). May be changed while they run.

use crate::topics::{FilterError, TopicFilter};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use verbatim_pipeline::RateLimit;

/// How fast the topics are written that match, each by itself.
#[derive(Debug, Clone)]
pub struct RateOf {
    topics: TopicFilter,
    bytes_per_second: NonZeroU64,
}

/// A rate that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    /// There is no `=`.
    #[error("topic rate {text}: it is written REGEX=RATE, for example logs-.*=5MiB")]
    Form {
        /// As written.
        text: String,
    },
    /// The rate is none.
    #[error("rate {text}: {problem}")]
    Rate {
        /// As written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The pattern is none.
    #[error("topic rate {text}: {source}")]
    Topics {
        /// As written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: FilterError,
    },
}

/// Reads bytes per second: a number with KiB, MiB or GiB, or without, and `/s` behind it or not.
///
/// # Errors
/// When it is not understood, or 0: a flow is not stopped by its rate.
pub fn parse_rate(text: &str) -> Result<NonZeroU64, RateError> {
    let wrong = |problem: String| RateError::Rate { text: text.to_owned(), problem };
    let bytes = crate::config::bytes(text.strip_suffix("/s").unwrap_or(text)).map_err(wrong)?;
    NonZeroU64::new(bytes as u64).ok_or_else(|| wrong("nothing would be copied".to_owned()))
}

impl RateOf {
    /// Reads `REGEX=RATE`.
    ///
    /// # Errors
    /// When the pattern or the rate cannot be read.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let (topics, rate) =
            text.rsplit_once('=').ok_or_else(|| RateError::Form { text: text.to_owned() })?;
        let bytes_per_second = parse_rate(rate)?;
        let topics =
            TopicFilter::new(topics).map_err(|source| RateError::Topics { text: text.to_owned(), source })?;
        Ok(Self { topics, bytes_per_second })
    }
}

/// The limits of a flow. Clones are the same limits.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    all_flows: RateLimit,
    flow: RateLimit,
    topics: Arc<Mutex<TopicRates>>,
}

#[derive(Debug, Default)]
struct TopicRates {
    rules: Vec<RateOf>,
    limits: HashMap<Arc<str>, RateLimit>,
}

impl TopicRates {
    fn of(&self, topic: &str) -> Option<NonZeroU64> {
        self.rules.iter().find(|rule| rule.topics.matches(topic)).map(|rule| rule.bytes_per_second)
    }
}

impl Rates {
    /// No limits yet but `all_flows`, which several share.
    pub fn under(all_flows: RateLimit) -> Self {
        Self { all_flows, ..Self::default() }
    }

    /// Changes them, for what runs too: the flow's own, and those of topics, of which the first that fits counts.
    pub fn set(&self, flow: Option<NonZeroU64>, topics: Vec<RateOf>) {
        self.flow.set(flow);
        let mut rates = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        rates.rules = topics;
        for (topic, limit) in &rates.limits {
            limit.set(rates.of(topic));
        }
    }

    /// The limits that hold for all that the flow writes.
    pub fn of_flow(&self) -> Vec<RateLimit> {
        vec![self.all_flows.clone(), self.flow.clone()]
    }

    /// The limit of a topic, by its name on the source.
    pub fn of_topic(&self, topic: &Arc<str>) -> RateLimit {
        let mut rates = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates.of(topic);
        rates.limits.entry(topic.clone()).or_insert_with(|| RateLimit::new(rate)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_their_units() {
        assert_eq!(parse_rate("5MiB/s").unwrap().get(), 5 << 20);
        assert_eq!(parse_rate("1000").unwrap().get(), 1000);
        for wrong in ["0", "", "5 parsecs", "-1", "MiB"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
        assert!(RateOf::parse("5MiB").unwrap_err().to_string().contains("REGEX=RATE"));
        assert!(RateOf::parse("a(=5MiB").is_err());
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_new_rules_hold_for_topics_that_run() {
        let rates = Rates::default();
        let rule = |text| RateOf::parse(text).unwrap();
        rates.set(NonZeroU64::new(7), vec![rule("logs-.*=1KiB"), rule(".*=2KiB")]);
        let (logs, other) = (rates.of_topic(&"logs-a".into()), rates.of_topic(&"orders".into()));
        assert_eq!((logs.get(), other.get()), (NonZeroU64::new(1024), NonZeroU64::new(2048)));
        rates.set(None, vec![rule("orders=3")]);
        assert_eq!((logs.get(), other.get()), (None, NonZeroU64::new(3)));
        assert_eq!(rates.of_flow()[1].get(), None);
        assert!(rates.of_topic(&"orders".into()) == other, "the same one");
    }
}
