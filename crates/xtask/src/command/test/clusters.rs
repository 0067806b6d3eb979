//! Kafka for a test run: fetched, prepared and started while everything is built.
//!
//! The suites share one pair of clusters where nothing speaks against it; they find it by [`Prepared::environment`].

use std::time::Instant;

use crate::kafka::{self, Cluster, Distribution, Error, Place, SHARED, shared_options};

/// Whether tests can have Kafka.
#[derive(Debug)]
pub(super) enum Kafka {
    Here,
    /// Not, and this is why.
    Missing(String),
    Unwanted,
}

impl Kafka {
    /// What `VERBATIM_KAFKA` tells the tests.
    pub(super) fn wish(&self) -> &'static str {
        match self {
            Self::Here => "require",
            // Each test that needs it then fails with the reason.
            Self::Missing(_) if std::env::var_os("CI").is_some() => "require",
            Self::Missing(_) | Self::Unwanted => "off",
        }
    }

    /// For the summary.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Here => format!("Kafka {} was used.", kafka::version()),
            Self::Unwanted => {
                "Nothing was tested against real Kafka, as asked for (--without-kafka).".to_owned()
            }
            Self::Missing(reason) => format!("Nothing was tested against real Kafka: {reason}"),
        }
    }
}

/// What was prepared.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) kafka: Kafka,
    clusters: Vec<Cluster>,
    places: Vec<Place>,
}

/// How much of Kafka is prepared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The pair of clusters is started. Where only few tests run they start it themselves if they need it.
    pub(super) starts_pair: bool,
    /// What only some suites need is fetched, too.
    pub(super) fetches_all: bool,
}

impl Prepared {
    pub(super) fn unwanted() -> Self {
        Self { kafka: Kafka::Unwanted, clusters: Vec::new(), places: Vec::new() }
    }

    /// Resolves Kafka and starts what is wished for.
    pub(super) fn prepare(wish: Wish) -> Self {
        let begun = Instant::now();
        match Self::start(wish) {
            Ok(prepared) => {
                println!("Kafka {} is there after {} s", kafka::version(), begun.elapsed().as_secs());
                prepared
            }
            Err(error) => Self { kafka: Kafka::Missing(error.to_string()), ..Self::unwanted() },
        }
    }

    fn start(wish: Wish) -> Result<Self, Error> {
        let distribution = kafka::available()?;
        let mut clusters = Vec::new();
        if wish.starts_pair {
            for options in shared_options() {
                clusters.push(Cluster::start(&distribution, options)?);
            }
        }
        if wish.fetches_all {
            // Whoever needs it fetches it itself if this fails, and says why.
            let _ = Distribution::resolve_with(&kafka::version(), &["connect-mirror"]);
        }
        let places = clusters.iter().map(Place::of).collect::<Result<_, _>>()?;
        Ok(Self { kafka: Kafka::Here, clusters, places })
    }

    /// What tells the suites where the clusters are.
    pub(super) fn environment(&self) -> Option<(String, String)> {
        (!self.places.is_empty()).then(|| (SHARED.to_owned(), Place::text(&self.places)))
    }

    /// Ends the clusters.
    pub(super) fn stop(&mut self) {
        self.clusters.clear();
    }
}
