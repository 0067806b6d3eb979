//! What most tests on real Kafka begin with: a source, a target, Kafka's own clients, and `verbatim run` between the two.

use std::path::Path;
use std::sync::OnceLock;

use xtask::kafka::{Distribution, Options, Place, shared, shared_options};

use crate::java::Programs;
use crate::kafka::{self, Clusters};
use crate::oracle::{Client, Isolation, NewTopic};
use crate::verbatim::{Ended, Verbatim};
use crate::workload::EAGER_CLEANER;
use crate::{Failure, TestResult};

/// Two clusters and what is needed around them.
#[derive(Debug)]
pub struct Scene {
    /// Kafka's own producer and consumer.
    pub programs: Programs,
    source: Place,
    target: Place,
    /// Where they are this scene's own, and not shared.
    clusters: Option<Clusters>,
}

/// A scene that is opened once for the whole program. It is never dropped: wardens end its clusters with the program.
type Once = OnceLock<Result<Option<Scene>, String>>;

impl Scene {
    /// Starts both clusters, or `None` where the test is to be skipped.
    pub fn open(source: Options, target: Options) -> TestResult<Option<Self>> {
        let Some(distribution) = kafka::distribution()? else { return Ok(None) };
        let clusters = kafka::start_two(&distribution, source, target)?;
        let (source, target) = (Place::of(&clusters.source)?, Place::of(&clusters.target)?);
        Ok(Some(Self {
            programs: Programs::compile(&distribution)?,
            source,
            target,
            clusters: Some(clusters),
        }))
    }

    /// The pair that all suites share that do nothing to the clusters themselves: one broker on each side, the source with an eager
    /// cleaner, the target with one that stays away. `None` where the test is to be skipped.
    ///
    /// Others are at work beside: every test has topics, groups and a flow of names that no other test has.
    pub fn shared() -> TestResult<Option<&'static Self>> {
        static SCENE: Once = OnceLock::new();
        once(&SCENE, || {
            let Some([source, target]) = shared() else {
                let [source, target] = shared_options();
                return Self::open(source, target);
            };
            let Some(distribution) = kafka::distribution()? else { return Ok(None) };
            let programs = Programs::compile(&distribution)?;
            Ok(Some(Self { programs, source, target, clusters: None }))
        })
    }

    /// The same with eager cleaners on both sides, for those who compare what is left then.
    pub fn shared_and_cleaned() -> TestResult<Option<&'static Self>> {
        static SCENE: Once = OnceLock::new();
        let options =
            |name: &str| Options::new(name).property(EAGER_CLEANER.0, EAGER_CLEANER.1).heap_mib(512);
        once(&SCENE, || Self::open(options("cleaned-source"), options("cleaned-target")))
    }

    /// The clusters, to be hurt; an error where they are shared.
    pub fn clusters(&self) -> TestResult<&Clusters> {
        self.clusters.as_ref().ok_or_else(|| "these clusters are shared".into())
    }

    /// The same.
    pub fn clusters_mut(&mut self) -> TestResult<&mut Clusters> {
        self.clusters.as_mut().ok_or_else(|| "these clusters are shared".into())
    }

    /// The Kafka that both run.
    pub fn distribution(&self) -> &Distribution {
        self.programs.distribution()
    }

    /// Bootstrap addresses of the source.
    pub fn source(&self) -> String {
        self.source.bootstrap.clone()
    }

    /// Bootstrap addresses of the target.
    pub fn target(&self) -> String {
        self.target.bootstrap.clone()
    }

    /// Where the source's first broker keeps its logs.
    pub fn source_logs(&self) -> &Path {
        &self.source.log_dir
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

/// What was opened the first time, by whoever came first.
fn once(
    scene: &'static Once,
    open: impl FnOnce() -> TestResult<Option<Scene>>,
) -> TestResult<Option<&'static Scene>> {
    let opened = scene.get_or_init(|| open().map_err(|error| format!("{error:?}")));
    Ok(opened.as_ref().map_err(Clone::clone)?.as_ref())
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
