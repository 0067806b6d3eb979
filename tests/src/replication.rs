//! `verbatim run`, ready to be started again and again: what a test does that ends and kills it.

use std::sync::OnceLock;
use std::time::Duration;

use crate::TestResult;
use crate::kafka;
use crate::scene::Scene;
use crate::verbatim::{Ended, Verbatim};

/// How long a whole log may take to be copied, on a machine that has more to do.
const COPY_PATIENCE: Duration = Duration::from_secs(600);

/// What becomes of offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets {
    /// As the product decides.
    Auto,
    /// A record has on the target the offset it has on the source.
    Preserve,
    /// The target counts for itself.
    Translate,
}

/// A command line of `verbatim run`.
#[derive(Debug, Clone)]
pub struct Replication {
    from: String,
    to: String,
    topics: String,
    flow: String,
    offsets: Offsets,
    more: Vec<String>,
}

impl Replication {
    /// From the source to the target of a scene.
    pub fn new(scene: &Scene, flow: &str, topics: &str) -> Self {
        Self {
            from: scene.source(),
            to: scene.target(),
            topics: topics.to_owned(),
            flow: flow.to_owned(),
            offsets: Offsets::Auto,
            more: Vec::new(),
        }
    }

    /// Says what becomes of offsets.
    pub fn offsets(mut self, offsets: Offsets) -> Self {
        self.offsets = offsets;
        self
    }

    /// Further words of the command line.
    pub fn with(mut self, words: &[&str]) -> Self {
        self.more.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Starts it.
    pub fn start(&self) -> TestResult<Verbatim> {
        let Self { from, to, topics, flow, offsets, more } = self;
        let mut words =
            vec!["run", "--from", from, "--to", to, "--topics", topics, "--name", flow, "--log", "debug"];
        match offsets {
            Offsets::Auto => {}
            Offsets::Preserve => words.extend(["--offsets", "preserve"]),
            // All an executable without the option can do.
            Offsets::Translate if !knows("--offsets")? => {}
            Offsets::Translate => words.extend(["--offsets", "translate"]),
        }
        words.extend(more.iter().map(String::as_str));
        Ok(Verbatim::start(&words)?)
    }

    /// Copies until caught up; an error unless that succeeds.
    pub fn catch_up(&self) -> TestResult<Ended> {
        let running = self.clone().with(&["--until-caught-up"]).start()?;
        Ok(running.ended(COPY_PATIENCE)?.expect(0)?)
    }
}

/// Whether the executable can keep offsets; says so where a test is skipped because it cannot.
pub fn can_preserve_offsets() -> TestResult<bool> {
    let can = knows("--offsets")?;
    if !can {
        kafka::skip("this executable knows no --offsets");
    }
    Ok(can)
}

/// Whether `verbatim run` has an option of this name.
fn knows(option: &str) -> TestResult<bool> {
    static HELP: OnceLock<Result<String, String>> = OnceLock::new();
    let help = HELP.get_or_init(|| {
        let ended = Verbatim::run(&["run", "--help"]).map_err(|error| error.to_string())?;
        Ok(ended.stdout + &ended.stderr)
    });
    Ok(help.as_ref().map_err(Clone::clone)?.contains(option))
}
