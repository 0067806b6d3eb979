//! Which topics and groups are meant: patterns, as in MirrorMaker 2 (`DefaultTopicFilter`, `DefaultGroupFilter`).

use fancy_regex::Regex;

/// Names that match one regular expression as a whole, and none of others. Look-around is understood, as in Java.
#[derive(Debug, Clone)]
pub struct NameFilter {
    included: Vec<Regex>,
    excluded: Vec<Regex>,
}

/// A pattern that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Nothing there.
    #[error("no topic pattern given; write a topic name or a regular expression such as 'orders.*'")]
    Empty,
    /// No regular expression.
    #[error("`{pattern}` is not a regular expression: {problem}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong with it, in one line.
        problem: String,
    },
}

impl PartialEq for NameFilter {
    /// The same patterns in the same order.
    fn eq(&self, other: &Self) -> bool {
        let texts =
            |patterns: &[Regex]| patterns.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>();
        texts(&self.included) == texts(&other.included) && texts(&self.excluded) == texts(&other.excluded)
    }
}

impl Eq for NameFilter {}

impl NameFilter {
    /// Reads lists of patterns. What is excluded is not included.
    ///
    /// # Errors
    /// When one is no regular expression.
    pub fn new(included: &[impl AsRef<str>], excluded: &[impl AsRef<str>]) -> Result<Self, FilterError> {
        Ok(Self { included: compile(included)?, excluded: compile(excluded)? })
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let any = |patterns: &[Regex]| {
            // A pattern that backtracks without end has not matched.
            patterns.iter().any(|pattern| pattern.is_match(name).unwrap_or(false))
        };
        any(&self.included) && !any(&self.excluded)
    }
}

/// The topics to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFilter {
    names: NameFilter,
    never: NameFilter,
    text: String,
}

/// Never copied: Kafka's own topics, our state among them, and MirrorMaker 2's, under any separator
/// (`ReplicationPolicy.isInternalTopic` of Kafka 4.1; before KIP-1074 it held for all topics that end in `.internal`).
const NEVER: [&str; 4] =
    ["__.*", r"\..*", r"mm2.*[^a-zA-Z0-9]internal", r".*[^a-zA-Z0-9]checkpoints[^a-zA-Z0-9]internal"];

impl TopicFilter {
    /// Reads a comma-separated list of patterns. A comma inside brackets or braces belongs to its pattern. Nothing that they mean is
    /// left out but what can never be copied.
    ///
    /// # Errors
    /// When there is none, or one is no regular expression.
    pub fn new(patterns: &str) -> Result<Self, FilterError> {
        let included = split(patterns);
        if included.is_empty() {
            return Err(FilterError::Empty);
        }
        Self::of(&included, &[""; 0])
    }

    /// Of lists of patterns.
    ///
    /// # Errors
    /// When one is no regular expression.
    pub fn of(included: &[impl AsRef<str>], excluded: &[impl AsRef<str>]) -> Result<Self, FilterError> {
        let text = included.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
        Ok(Self {
            names: NameFilter { included: compile(included)?, excluded: compile(excluded)? },
            never: NameFilter { included: compile(&NEVER)?, excluded: Vec::new() },
            text,
        })
    }

    /// Whether a topic is to be copied.
    pub fn matches(&self, topic: &str) -> bool {
        self.names.matches(topic) && self.may_match(topic)
    }

    /// Whether a topic is meant by the patterns and can never be copied, though it is none of Kafka's own or ours.
    pub(crate) fn is_meant_in_vain(&self, topic: &str) -> bool {
        self.names.matches(topic) && !self.may_match(topic) && !topic.starts_with("__")
    }

    /// Whether a topic can be copied at all.
    pub(crate) fn may_match(&self, topic: &str) -> bool {
        !self.never.matches(topic)
    }
}

impl std::fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn compile(patterns: &[impl AsRef<str>]) -> Result<Vec<Regex>, FilterError> {
    let compiled = patterns.iter().map(|pattern| {
        let pattern = pattern.as_ref();
        // Read by itself first, so that the place in the error is the place in the pattern.
        Regex::new(pattern)
            .and_then(|_| Regex::new(&format!("^(?:{pattern})$")))
            .map_err(|error| FilterError::Pattern { pattern: pattern.to_owned(), problem: one_line(&error) })
    });
    compiled.collect()
}

/// Splits at commas outside of `[]`, `{}` and `()`.
pub(crate) fn split(patterns: &str) -> Vec<&str> {
    let mut depth = 0usize;
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (at, letter) in patterns.char_indices() {
        match letter {
            _ if is_escaped => {}
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(patterns.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    parts.push(patterns.get(start..).unwrap_or_default());
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The last line of the error says what is wrong; the others draw it.
fn one_line(error: &fancy_regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let filter = TopicFilter::new("orders, pay.*, x[a,b]{1,2}").unwrap();
        for (topic, expected) in [
            ("orders", true),
            ("orders2", false),
            ("payments", true),
            ("xa", true),
            ("xab", true),
            ("x", false),
            ("users", false),
        ] {
            assert_eq!(filter.matches(topic), expected, "{topic}");
        }
    }

    #[test]
    fn state_and_internal_topics_are_left_out() {
        let filter = TopicFilter::new(".*").unwrap();
        for topic in
            ["__consumer_offsets", "__verbatim.default", "mm2-offsets.a.internal", "a.checkpoints.internal"]
        {
            assert!(!filter.matches(topic), "{topic}");
        }
        assert!(filter.matches("orders") && filter.matches("orders.internal"));
    }

    #[test]
    fn wrong_patterns_are_named() {
        let error = TopicFilter::new("a, b(").unwrap_err().to_string();
        assert!(error.contains("`b(`") && error.contains("without closing parenthesis"), "{error}");
        assert!(matches!(TopicFilter::new(" , "), Err(FilterError::Empty)));
    }
}
