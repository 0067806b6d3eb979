//! `--start`: where topics start.

use std::time::UNIX_EPOCH;
use verbatim_mirror::{FilterError, StartOf, TopicFilter};
use verbatim_pipeline::Start;

/// A `--start` that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(
        "--start {text}: `{place}` is not earliest, latest, offset:N (N >= 0) or a time like 2026-01-31T12:00:00Z"
    )]
    Place { text: String, place: String },
    #[error("--start {text}: {source}")]
    Topics {
        text: String,
        #[source]
        source: FilterError,
    },
}

/// `[REGEX=]WHERE`.
pub(crate) fn parse(text: &str) -> Result<StartOf, StartError> {
    let (topics, place) = text.rsplit_once('=').unwrap_or((".*", text));
    let start = parse_place(place)
        .ok_or_else(|| StartError::Place { text: text.to_owned(), place: place.to_owned() })?;
    let topics =
        TopicFilter::new(topics).map_err(|source| StartError::Topics { text: text.to_owned(), source })?;
    Ok(StartOf { topics, start })
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
            assert_eq!(parse(text).unwrap().start, expected, "{text}");
        }
        for text in ["", "first", "offset:", "offset:-1", "t=", "(=latest", "2026-13-01T00:00:00Z"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
