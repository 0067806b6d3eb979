//! Two test clusters in memory and flows between them: the stage every scenario is played on.
//!
//! What is in a log is read by the [`oracle`](crate::oracle)'s parser from the bytes the test broker stores, so no line of the code
//! under test takes part in the judgement.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on ends here"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::task::JoinSet;
use verbatim_pipeline::{
    Cluster, ClusterConfig, Flow, FlowConfig, FlowError, FlowHandle, Offsets, StopReason,
};
use verbatim_testbroker::{BatchBuilder, MemoryNetwork, TestCluster, TestClusterBuilder, batch};
use verbatim_wire::transport::MemoryConnector;

use crate::oracle::{RawBatch, compare_batches, parse_batches};
use crate::sameness::seen;

/// How long anything that has to happen may take. With a paused clock this is not waited for, only counted.
pub const PATIENCE: Duration = Duration::from_secs(180);
const PIPE_BYTES: usize = 64 * 1024;

/// A source and a target in memory.
#[derive(Debug)]
pub struct Stage {
    /// Where records come from.
    pub source: TestCluster,
    /// Where they go.
    pub target: TestCluster,
    network: MemoryNetwork,
}

impl Default for Stage {
    fn default() -> Self {
        Self::of(1, 1)
    }
}

impl Stage {
    /// One broker each.
    pub fn new() -> Self {
        Self::default()
    }

    /// That many brokers in source and target.
    pub fn of(source: usize, target: usize) -> Self {
        let builder = |brokers| TestCluster::builder().brokers(brokers);
        Self::with(builder(source), builder(target))
    }

    /// Clusters as wished; names, network and time of day are set here.
    pub fn with(source: TestClusterBuilder, target: TestClusterBuilder) -> Self {
        let network = MemoryNetwork::new();
        // The flow stamps its state with the time of day, and brokers refuse what is from the future.
        let start = |builder: TestClusterBuilder, id| {
            builder.network(&network).start_ms(now_ms()).cluster_id(id).start_memory()
        };
        Self { source: start(source, "source"), target: start(target, "target"), network }
    }

    /// Creates a topic of the same name on both sides.
    pub fn topic(&self, name: &str, partitions: i32) {
        self.source.create_topic(name, partitions, &[]).unwrap();
        self.target.create_topic(name, partitions, &[]).unwrap();
    }

    /// Both clusters as the product sees them.
    pub async fn connect(&self) -> (Cluster, Cluster) {
        (self.join(&self.source).await, self.join(&self.target).await)
    }

    /// One cluster as the product sees it.
    pub async fn join(&self, cluster: &TestCluster) -> Cluster {
        let network = self.network.clone();
        let dial = move |host: &str, port| network.dial(host, port);
        let config = ClusterConfig::new(&cluster.bootstrap()).unwrap();
        Cluster::connect_through(config, Arc::new(MemoryConnector::new(dial))).await.unwrap()
    }

    /// A flow of `topics` with [`patient_config`], not started.
    pub async fn flow(&self, topics: &[&str]) -> Flow {
        let (source, target) = self.connect().await;
        let flow = Flow::new(source, target).config(patient_config());
        topics.iter().fold(flow, |flow, topic| flow.topic(topic))
    }

    /// A running flow of `topics` with the defaults.
    pub async fn start(&self, topics: &[&str]) -> FlowHandle {
        self.flow(topics).await.config(translated_config()).start().await.unwrap()
    }

    /// A flow of its own "process": see [`Instance`].
    pub async fn instance(&self, config: FlowConfig, topics: &[&str]) -> Result<Instance, FlowError> {
        let wires = Wires::default();
        let connect = async |cluster: &TestCluster| {
            let connector = Arc::new(MemoryConnector::new(wires.dialler(&self.network)));
            let config = ClusterConfig::new(&cluster.bootstrap()).unwrap();
            Cluster::connect_through(config, connector).await
        };
        let source = connect(&self.source).await.map_err(FlowError::Source)?;
        let target = connect(&self.target).await.map_err(FlowError::Target)?;
        let flow = Flow::new(source, target).config(config);
        let flow = topics.iter().fold(flow, |flow, topic| flow.topic(topic)).start().await?;
        Ok(Instance { flow, wires })
    }

    /// Waits until the target has as many batches of each partition as the committed part of the source, or more; panics
    /// when `flow` gives up on the way.
    pub async fn copied(&self, flow: &FlowHandle, topic: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for partition in 0..partitions(&self.source, topic) {
            let expected = committed(&log(&self.source, topic, partition)).len();
            loop {
                let found = self.target.log(topic, partition).unwrap().len();
                if found >= expected {
                    break;
                }
                let at = format!("{topic}-{partition} with {found} of {expected} batches");
                if let Some((name, reason)) = flow.status().await.unwrap().stopped().next() {
                    panic!("{at}: {name} stopped: {reason}");
                }
                assert!(tokio::time::Instant::now() < deadline, "{at} after {PATIENCE:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// The target has what is committed on the source, batch for batch; panics with the first difference.
    pub fn assert_equal(&self, topic: &str) {
        assert_equal(&self.source, &self.target, topic);
    }

    /// The target's partition holds exactly `expected`, as one idempotent writer without a gap would write it.
    pub fn assert_holds(&self, topic: &str, partition: i32, expected: &[RawBatch]) {
        assert_holds(&self.target, topic, partition, expected);
    }

    /// The partition on the target holds the same records as on the source, in batches of whatever size, all written by one producer,
    /// numbered without a gap.
    pub fn assert_holds_records(&self, topic: &str, partition: i32) {
        let (source, target) = (seen(&self.source, topic, partition), seen(&self.target, topic, partition));
        assert!(source.values().eq(target.values()), "{topic}-{partition}: {source:?} became {target:?}");
        assert_one_writer(topic, partition, &log(&self.target, topic, partition));
    }
}

/// `target` has what is committed on `source`, batch for batch; panics with the first difference.
pub fn assert_equal(source: &TestCluster, target: &TestCluster, topic: &str) {
    for partition in 0..partitions(source, topic) {
        assert_holds(target, topic, partition, &committed(&log(source, topic, partition)));
    }
}

/// The target's partition holds exactly `expected`, as one idempotent writer without a gap would write it.
fn assert_holds(target: &TestCluster, topic: &str, partition: i32, expected: &[RawBatch]) {
    let target = log(target, topic, partition);
    let (expected, found) = (expected.iter().cloned().map(Ok), target.iter().cloned().map(Ok));
    let report = compare_batches(partition, expected, found, false).unwrap();
    assert_eq!(report.difference, None, "{topic}-{partition} after {} equal batches", report.batches);
    assert_one_writer(topic, partition, &target);
}

/// Every batch of a copy comes from one producer, numbered without a gap, and none carries a transaction.
fn assert_one_writer(topic: &str, partition: i32, target: &[RawBatch]) {
    let Some(first) = target.first() else { return };
    let (mut offset, mut sequence) = (first.base_offset, first.base_sequence);
    for batch in target {
        let at = format!("{topic}-{partition} at offset {}", batch.base_offset);
        assert_eq!((batch.producer_id, batch.producer_epoch), (first.producer_id, 0), "{at}");
        assert!(batch.producer_id >= 0, "{at}");
        assert_eq!((batch.base_offset, batch.base_sequence), (offset, sequence), "{at}");
        assert_eq!(batch.last_offset_delta + 1, batch.count, "{at}");
        assert!(!batch.is_transactional() && !batch.is_control() && batch.attributes & 0x40 == 0, "{at}");
        offset += i64::from(batch.count);
        sequence += batch.count;
    }
}

/// A flow and the wires it hangs on, which can be cut together: what the end of a process does. Requests and answers
/// on their way are lost, nothing is noted.
#[derive(Debug)]
pub struct Instance {
    /// The flow.
    pub flow: FlowHandle,
    wires: Wires,
}

impl Instance {
    /// Ends it as `kill -9` would.
    pub fn kill(self) {
        self.wires.cut();
    }
}

/// Connections of one instance, each a pair of pipes with a task in between.
#[derive(Debug, Clone, Default)]
struct Wires(Arc<Mutex<Option<JoinSet<()>>>>);

impl Wires {
    fn dialler(
        &self,
        network: &MemoryNetwork,
    ) -> impl Fn(&str, u16) -> std::io::Result<DuplexStream> + Send + Sync + 'static {
        self.0.lock().unwrap().get_or_insert_default();
        let (wires, network) = (self.clone(), network.clone());
        move |host, port| {
            let mut set = wires.0.lock().unwrap();
            let Some(set) = set.as_mut() else { return Err(std::io::ErrorKind::NotConnected.into()) };
            let mut broker = network.dial(host, port)?;
            let (mut near, far) = duplex(PIPE_BYTES);
            set.spawn(async move { drop(copy_bidirectional(&mut near, &mut broker).await) });
            while set.try_join_next().is_some() {}
            Ok(far)
        }
    }

    fn cut(&self) {
        drop(self.0.lock().unwrap().take());
    }
}

/// The defaults, with offsets of the target's own.
pub fn translated_config() -> FlowConfig {
    FlowConfig { offsets: Offsets::Translate, ..FlowConfig::default() }
}

/// The defaults, with positions noted often enough to matter within seconds of a test.
pub fn patient_config() -> FlowConfig {
    FlowConfig { position_interval: Duration::from_millis(500), ..translated_config() }
}

/// Waits until `is_so`; panics with `what` if that never comes.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets `future` finish within [`PATIENCE`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Waits until partitions stopped and everything else has caught up; returns why, by partition.
pub async fn stops(flow: &FlowHandle) -> BTreeMap<i32, Stopped> {
    let stopped = match soon("every partition catches up or stops", flow.caught_up()).await {
        Ok(()) => Vec::new(),
        Err(FlowError::Stopped(stopped)) => stopped,
        Err(other) => panic!("{other}"),
    };
    let error = FlowError::Stopped(stopped.clone()).to_string();
    let sentence = |partition: i32| {
        let wanted = format!("partition {partition} of topic ");
        error.lines().find(|line| line.starts_with(&wanted)).unwrap().to_owned()
    };
    let named = stopped.into_iter().map(|(name, reason)| {
        (
            name.partition,
            Stopped { sentence: sentence(name.partition), reason, topic: name.topic.to_string() },
        )
    });
    named.collect()
}

/// Why a partition stopped.
#[derive(Debug, Clone)]
pub struct Stopped {
    /// Its topic.
    pub topic: String,
    /// What the user reads.
    pub sentence: String,
    /// What a program reads.
    pub reason: Arc<StopReason>,
}

impl Stopped {
    /// The sentence names the topic and the partition and contains each of `parts`.
    pub fn assert_says(&self, parts: &[&str]) {
        assert!(self.sentence.contains(&format!("topic {} stopped: ", self.topic)), "{}", self.sentence);
        for part in parts {
            assert!(self.sentence.contains(part), "`{part}` is missing in: {}", self.sentence);
        }
    }
}

/// Number of partitions of a topic.
pub fn partitions(cluster: &TestCluster, topic: &str) -> i32 {
    i32::try_from(cluster.partitions(topic).unwrap()).unwrap()
}

/// All batches of a partition, parsed by the oracle.
pub fn log(cluster: &TestCluster, topic: &str, partition: i32) -> Vec<RawBatch> {
    let raw: Vec<Bytes> = cluster.log(topic, partition).unwrap();
    parse_batches(&raw.concat()).unwrap()
}

/// What a reader of committed records gets of a whole log: no markers, nothing aborted, nothing undecided, nothing emptied.
pub fn committed(log: &[RawBatch]) -> Vec<RawBatch> {
    let mut open: HashMap<i64, Vec<usize>> = HashMap::new();
    let mut left_out = BTreeSet::new();
    for (index, batch) in log.iter().enumerate() {
        if batch.is_control() {
            let ended = open.remove(&batch.producer_id).unwrap_or_default();
            if batch.is_abort_marker() {
                left_out.extend(ended);
            }
            left_out.insert(index);
        } else if batch.is_transactional() {
            open.entry(batch.producer_id).or_default().push(index);
        }
        if batch.count == 0 {
            left_out.insert(index);
        }
    }
    let undecided = open.values().flatten().copied().min().unwrap_or(log.len());
    let kept = log.iter().take(undecided).enumerate().filter(|(index, _)| !left_out.contains(index));
    kept.map(|(_, batch)| batch.clone()).collect()
}

/// `count` records in one batch, recognisable by `tag`.
pub fn numbered(tag: &str, count: usize) -> BatchBuilder {
    let record = |index: usize| (format!("{tag}/{index}"), format!("value {index} of {tag}"));
    batch((0..count).map(record)).timestamp_ms(now_ms())
}

/// `count` records without keys that say nothing but their number.
pub fn batch_of(count: i32) -> BatchBuilder {
    batch((0..count).map(|index| (String::new(), index.to_string()))).timestamp_ms(now_ms())
}

/// Appends `batches` batches of 1 to 5 records to a partition.
pub fn fill(cluster: &TestCluster, topic: &str, partition: i32, batches: usize) {
    for index in 0..batches {
        let tag = format!("{topic}-{partition} {index} after {}", cluster.log_end(topic, partition).unwrap());
        cluster.append(topic, partition, &numbered(&tag, 1 + index % 5).build()).unwrap();
    }
}

/// The time of day in milliseconds.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as `seed` says.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// One of `0..sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[usize::try_from(self.roll(choices.len() as u64)).unwrap_or(0)]
    }
}
