//! Where topics start that nothing is copied of yet, as it is written: `[REGEX=]WHERE`.

use crate::topics::{FilterError, TopicFilter};
use std::time::UNIX_EPOCH;
use verbatim_pipeline::Start;

/// Where the topics start that match.
#[derive(Debug, Clone)]
pub struct StartOf {
    /// Which topics.
    pub topics: TopicFilter,
    /// Where they start.
    pub start: Start,
}

/// A start that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The place is none.
    #[error(
        "start {text}: `{place}` is not earliest, latest, offset:N (N >= 0) or a time like 2026-01-31T12:00:00Z"
    )]
    Place {
        /// As written.
        text: String,
        /// What is not understood.
        place: String,
    },
    /// The pattern is none.
    #[error("start {text}: {source}")]
    Topics {
        /// As written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: FilterError,
    },
}

impl StartOf {
    /// Reads `[REGEX=]WHERE`: earliest, latest, `offset:N` or a time.
    ///
    /// # Errors
    /// When the pattern or the place cannot be read.
    pub fn parse(text: &str) -> Result<Self, StartError> {
        let (topics, place) = text.rsplit_once('=').unwrap_or((".*", text));
        let start = parse_place(place)
            .ok_or_else(|| StartError::Place { text: text.to_owned(), place: place.to_owned() })?;
        let topics = TopicFilter::new(topics)
            .map_err(|source| StartError::Topics { text: text.to_owned(), source })?;
        Ok(Self { topics, start })
    }
}

fn parse_place(place: &str) -> Option<Start> {
    if let Some(offset) = place.strip_prefix("offset:") {
        return offset.parse().ok().filter(|offset| *offset >= 0).map(Start::Offset);
    }
    match place {
        "earliest" => Some(Start::Earliest),
        "latest" => Some(Start::Latest),
        time => {
            let time = humantime::parse_rfc3339_weak(time).ok()?;
            let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
            i64::try_from(since_epoch.as_millis()).ok().map(Start::Timestamp)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, expected) in [
            ("earliest", Start::Earliest),
            ("orders=latest", Start::Latest),
            ("a=b=offset:42", Start::Offset(42)),
            ("1970-01-01T00:00:01Z", Start::Timestamp(1000)),
            ("1970-01-01 00:01:00", Start::Timestamp(60_000)),
        ] {
            assert_eq!(StartOf::parse(text).unwrap().start, expected, "{text}");
        }
        for text in ["", "first", "offset:", "offset:-1", "t=", "(=latest", "2026-13-01T00:00:00Z"] {
            assert!(StartOf::parse(text).is_err(), "{text}");
        }
    }
}
