//! One run of the command: what was asked for, the clusters, who takes part, and what came out so far.

use super::contenders::Contender;
use super::options::BenchOptions;
use super::parts::Link;
use super::stage::Stage;
use super::table::Row;
use std::cell::RefCell;
use std::time::Instant;
use xtask::command::Failure;

/// All of it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) options: BenchOptions,
    pub(super) stage: Stage,
    /// Long lines, where a load needs them.
    pub(super) links: Option<Links>,
    pub(super) contenders: Vec<Contender>,
    /// The rows of the loads that were copied, for the chart.
    pub(super) measured: Vec<(&'static str, Vec<Row>)>,
    pub(super) failures: RefCell<Vec<String>>,
    pub(super) started: Instant,
}

/// A long line in front of each cluster.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) source: Link,
    pub(super) target: Link,
}

impl Session {
    /// Says how far it is.
    pub(super) fn progress(&self, text: &str) {
        eprintln!("[{:>5.0} s] {text}", self.started.elapsed().as_secs_f64());
    }

    /// Notes a failure that does not end the others; returns its text.
    pub(super) fn failed(&self, load: &str, contender: &str, failure: Failure) -> String {
        let (Failure::Failed(text) | Failure::Usage(text)) = failure;
        self.progress(&format!("{load}: {contender} failed: {text}"));
        self.failures.borrow_mut().push(format!("{load}: {contender}"));
        text
    }
}
