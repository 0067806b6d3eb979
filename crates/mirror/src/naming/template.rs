//! Names by a template.

use std::fmt;

const SOURCE: &str = "{source}";
const TOPIC: &str = "{topic}";

/// A template with `{topic}` once, and `{source}` at most once: what comes before the topic's name, and after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    before: String,
    after: String,
}

/// A template that names no topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// All topics would have the same name.
    #[error("the template `{0}` has to hold {{topic}} exactly once; for example {{source}}.{{topic}}")]
    Topic(String),
    /// Something in braces that means nothing.
    #[error("the template `{template}` holds `{unknown}`; it may hold {{source}} and {{topic}}")]
    Unknown {
        /// The template.
        template: String,
        /// What is not understood.
        unknown: String,
    },
    /// A letter that topic names cannot hold.
    #[error(
        "the template `{template}` holds `{letter}`, which a topic's name cannot; only letters, digits and . _ - are allowed"
    )]
    Letter {
        /// The template.
        template: String,
        /// The letter.
        letter: char,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it does not hold `{topic}` exactly once, or something else that cannot stand in a topic's name.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        let mut parts = text.split(TOPIC);
        let (Some(before), Some(after), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TemplateError::Topic(text.to_owned()));
        };
        let rest = format!("{before}{after}").replacen(SOURCE, "", 1);
        if let Some(at) = rest.find('{') {
            let unknown = rest.get(at..).unwrap_or_default();
            let unknown = unknown.split_inclusive('}').next().unwrap_or(unknown).to_owned();
            return Err(TemplateError::Unknown { template: text.to_owned(), unknown });
        }
        let is_wrong = |letter: &char| !letter.is_ascii_alphanumeric() && !"._-".contains(*letter);
        if let Some(letter) = rest.chars().find(is_wrong) {
            return Err(TemplateError::Letter { template: text.to_owned(), letter });
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The name itself.
    pub(super) fn same() -> Self {
        Self { before: String::new(), after: String::new() }
    }

    pub(super) fn target_of(&self, source: &str, topic: &str) -> String {
        format!("{}{topic}{}", self.before.replace(SOURCE, source), self.after.replace(SOURCE, source))
    }

    pub(super) fn target_prefix(&self, source: &str, prefix: &str) -> Option<String> {
        // What comes after the topic's name cannot be said of a beginning.
        self.after.is_empty().then(|| format!("{}{prefix}", self.before.replace(SOURCE, source)))
    }

    pub(super) fn source_of(&self, source: &str, topic: &str) -> Option<String> {
        let rest = topic.strip_prefix(&self.before.replace(SOURCE, source))?;
        let name = rest.strip_suffix(&self.after.replace(SOURCE, source))?;
        (!name.is_empty()).then(|| name.to_owned())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{TOPIC}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions() {
        for (template, target) in [
            ("{source}.{topic}", "A.orders"),
            ("{topic}", "orders"),
            ("copy-of-{topic}", "copy-of-orders"),
            ("{topic}-from-{source}", "orders-from-A"),
        ] {
            let read = Template::new(template).unwrap();
            assert_eq!(read.to_string(), template);
            assert_eq!(read.target_of("A", "orders"), target);
            assert_eq!(read.source_of("A", target).as_deref(), Some("orders"));
        }
        assert_eq!(Template::new("x-{topic}").unwrap().source_of("A", "orders"), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (template, part) in [
            ("orders", "exactly once"),
            ("{topic}{topic}", "exactly once"),
            ("{cluster}.{topic}", "{cluster}"),
            ("{topic} copy", "` `"),
        ] {
            let problem = Template::new(template).unwrap_err().to_string();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
