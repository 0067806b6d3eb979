//! The pair of clusters that test suites share: started once, by `cargo xtask test`, and found by way of the environment.

use std::env;
use std::path::PathBuf;

use super::{Cluster, Options};

/// The variable that says where the pair is: a line for each cluster, its bootstrap addresses and where its first node keeps its logs,
/// with a tabulator between them.
pub const SHARED: &str = "VERBATIM_KAFKA_SHARED";

/// How the pair is to be started: source and target, of one broker each.
///
/// The source's cleaner looks often, so that a compacted topic is compacted while a test waits. The target's has looked once, at nothing,
/// before there is anything: what it took would not be there to be compared.
pub fn shared_options() -> [Options; 2] {
    let options = |name: &str, pause_ms: &str| {
        Options::new(name).property("log.cleaner.backoff.ms", pause_ms).heap_mib(512)
    };
    [options("shared-source", "100"), options("shared-target", "3600000")]
}

/// Where a cluster is that somebody else started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its bootstrap addresses.
    pub bootstrap: String,
    /// Where its first node keeps its logs: one folder `TOPIC-PARTITION` for each replica.
    pub log_dir: PathBuf,
}

impl Place {
    /// Where a cluster of ours is.
    pub fn of(cluster: &Cluster) -> Result<Self, super::Error> {
        Ok(Self { bootstrap: cluster.bootstrap(), log_dir: cluster.log_dir(1)? })
    }

    /// The text that [`shared`] understands.
    pub fn text(places: &[Self]) -> String {
        let line = |place: &Self| format!("{}\t{}\n", place.bootstrap, place.log_dir.display());
        places.iter().map(line).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let (bootstrap, log_dir) = line.split_once('\t')?;
        Some(Self { bootstrap: bootstrap.to_owned(), log_dir: PathBuf::from(log_dir) })
    }
}

/// The pair that this process was told of, if it was.
pub fn shared() -> Option<[Place; 2]> {
    parse(&env::var(SHARED).ok()?)
}

fn parse(text: &str) -> Option<[Place; 2]> {
    let places: Option<Vec<Place>> = text.lines().map(Place::parse).collect();
    places?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_found_as_it_was_written() {
        let place = |number: u8| Place {
            bootstrap: format!("127.0.0.{number}:1"),
            log_dir: PathBuf::from(format!("/with blanks/{number}")),
        };
        let pair = [place(1), place(2)];
        assert_eq!(parse(&Place::text(&pair)), Some(pair.clone()));
        assert_eq!(parse(&Place::text(&pair[..1])), None);
        assert_eq!(parse("nonsense\nnonsense"), None);
    }
}
