//! Which topics are copied: patterns, as in MirrorMaker 2 (`DefaultTopicFilter`).

use regex::Regex;

/// A comma-separated list of regular expressions, each matching whole topic names.
#[derive(Debug, Clone)]
pub struct TopicFilter {
    included: Vec<Regex>,
    excluded: Vec<Regex>,
    text: String,
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

/// Never copied: Kafka's own topics, MirrorMaker 2's and our own state, other tools' copies.
const EXCLUDED: &str =
    r"__.*,verbatim\..*,mm2-.*\.internal,.*\.checkpoints\.internal,.*[\-\.]internal,.*\.replica";

impl TopicFilter {
    /// Reads a list of patterns. A comma inside brackets or braces belongs to its pattern.
    ///
    /// # Errors
    /// When there is none, or one is no regular expression.
    pub fn new(patterns: &str) -> Result<Self, FilterError> {
        let included = compile(patterns)?;
        if included.is_empty() {
            return Err(FilterError::Empty);
        }
        Ok(Self { included, excluded: compile(EXCLUDED)?, text: patterns.to_owned() })
    }

    /// Whether a topic is to be copied.
    pub fn matches(&self, topic: &str) -> bool {
        self.included.iter().any(|pattern| pattern.is_match(topic))
            && !self.excluded.iter().any(|pattern| pattern.is_match(topic))
    }
}

impl std::fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn compile(patterns: &str) -> Result<Vec<Regex>, FilterError> {
    let compiled = split(patterns).into_iter().map(|pattern| {
        Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| FilterError::Pattern { pattern: pattern.to_owned(), problem: one_line(&error) })
    });
    compiled.collect()
}

/// Splits at commas outside of `[]`, `{}` and `()`.
fn split(patterns: &str) -> Vec<&str> {
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
fn one_line(error: &regex::Error) -> String {
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
            ["__consumer_offsets", "verbatim.default", "mm2-offsets.a.internal", "a.checkpoints.internal"]
        {
            assert!(!filter.matches(topic), "{topic}");
        }
        assert!(filter.matches("orders"));
    }

    #[test]
    fn wrong_patterns_are_named() {
        let error = TopicFilter::new("a, b(").unwrap_err().to_string();
        assert!(error.contains("`b(`") && error.contains("unclosed group"), "{error}");
        assert!(matches!(TopicFilter::new(" , "), Err(FilterError::Empty)));
    }
}
