//! What most tests on real Kafka begin with: a source, a target, Kafka's own clients, and `verbatim run` between the two.

use xtask::kafka::Options;

use crate::java::Programs;
use crate::kafka::{self, Clusters};
use crate::oracle::{Client, Isolation, NewTopic};
use crate::verbatim::{Ended, Verbatim};
use crate::{Failure, TestResult};

/// Two clusters and what is needed around them.
#[derive(Debug)]
pub struct Scene {
    /// Source and target.
    pub clusters: Clusters,
    /// Kafka's own producer and consumer.
    pub programs: Programs,
}

impl Scene {
    /// Starts both clusters, or `None` where the test is to be skipped.
    pub fn open(source: Options, target: Options) -> TestResult<Option<Self>> {
        let Some(distribution) = kafka::distribution()? else { return Ok(None) };
        let clusters = kafka::start_two(&distribution, source, target)?;
        Ok(Some(Self { clusters, programs: Programs::compile(&distribution)? }))
    }

    /// Bootstrap addresses of the source.
    pub fn source(&self) -> String {
        self.clusters.source.bootstrap()
    }

    /// Bootstrap addresses of the target.
    pub fn target(&self) -> String {
        self.clusters.target.bootstrap()
    }

    /// The oracle's client of the source.
    pub fn at_source(&self) -> Client {
        Client::new(&self.source())
    }

    /// The oracle's client of the target.
    pub fn at_target(&self) -> Client {
        Client::new(&self.target())
    }

    /// Creates a topic on the source.
    pub fn create(&self, topic: &NewTopic) -> TestResult {
        Ok(self.at_source().create_topic(topic)?)
    }

    /// Starts `verbatim run` for `topics`, in a flow of the name `flow`.
    pub fn start(&self, flow: &str, topics: &str, more: &[&str]) -> TestResult<Verbatim> {
        start(&self.source(), &self.target(), flow, topics, more)
    }

    /// Copies `topics` until caught up; an error unless that succeeds.
    pub fn copy(&self, flow: &str, topics: &str) -> TestResult<Ended> {
        copy(&self.source(), &self.target(), flow, topics, 0)
    }

    /// Whether consumers of both sides see the same records, in the same order, in each partition; returns how many.
    pub fn consumers_agree(&self, topic: &str, isolation: Isolation) -> TestResult<u64> {
        consumers_agree(&self.programs, (&self.source(), isolation), (&self.target(), isolation), topic)
    }
}

/// Starts `verbatim run` between any two clusters.
pub fn start(from: &str, to: &str, flow: &str, topics: &str, more: &[&str]) -> TestResult<Verbatim> {
    let arguments = ["run", "--from", from, "--to", to, "--name", flow, "--topics", topics];
    Ok(Verbatim::start(&[&arguments, more].concat())?)
}

/// Copies `topics` between any two clusters until caught up; an error unless it ends with exit code `code`.
pub fn copy(from: &str, to: &str, flow: &str, topics: &str, code: i32) -> TestResult<Ended> {
    let running = start(from, to, flow, topics, &["--until-caught-up"])?;
    Ok(running.ended(crate::verbatim::PATIENCE)?.expect(code)?)
}

/// Whether two consumers see the same records, in the same order, in each partition of a topic; returns how many.
pub fn consumers_agree(
    programs: &Programs,
    (source, source_isolation): (&str, Isolation),
    (target, target_isolation): (&str, Isolation),
    topic: &str,
) -> TestResult<u64> {
    let (original, copy) = std::thread::scope(|scope| {
        let original = scope.spawn(|| programs.consume(source, topic, source_isolation));
        let copy = programs.consume(target, topic, target_isolation);
        (original.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), copy)
    });
    let (original, copy) = (original?, copy?);
    if original.hashes() == copy.hashes() {
        return Ok(original.records());
    }
    Err(Failure::from(format!(
        "{topic}: consumers see\n{original:?}\non the source, and\n{copy:?}\non the target"
    )))
}
