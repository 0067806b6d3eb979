//! Promise: no record goes round, whatever way the flows lead: pair, triangle, ring, chain and fan-in, with names that say where a topic
//! came from; pair, triangle and fan-in also with the same names everywhere. For an hour, with flows ended, dropped and begun anew in
//! between, every record is everywhere it ought to be once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use verbatim_mirror::{Mirror, MirrorConfig, MirrorError, Naming, TopicFilter, TopicNaming, TopicSelection};
use verbatim_pipeline::{Cluster, ClusterConfig, Forward};
use verbatim_testbroker::{Control, ErrorCode, MemoryNetwork, TestCluster};
use verbatim_tests::scenario::{Dice, PATIENCE, committed, log, now_ms, numbered};
use verbatim_wire::cluster::ClusterError;
use verbatim_wire::transport::MemoryConnector;

/// Records of one batch.
const RECORDS: usize = 10;

/// Clusters by their names.
struct World {
    network: MemoryNetwork,
    clusters: BTreeMap<&'static str, TestCluster>,
    /// Id of the next producer.
    producers: AtomicI64,
}

/// What topics are called on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Prefixed,
    Kept,
}

/// What a flow carries: what was produced on its source, or on another cluster.
#[derive(Debug, Clone, Copy)]
struct Way {
    from: &'static str,
    to: &'static str,
    origin: Option<&'static str>,
}

/// A flow that runs.
struct Running {
    stop: watch::Sender<bool>,
    /// Ends with what stopped.
    task: JoinHandle<Vec<String>>,
}

impl World {
    fn new(names: &[&'static str]) -> Self {
        let network = MemoryNetwork::new();
        let start = |name: &&'static str| {
            let builder = TestCluster::builder().brokers(1).network(&network);
            let cluster = builder.start_ms(now_ms()).cluster_id(*name).start_memory();
            cluster.create_topic("orders", 2, &[]).unwrap();
            (*name, cluster)
        };
        let clusters = names.iter().map(start).collect();
        Self { clusters, network, producers: AtomicI64::new(1_000_000) }
    }

    async fn join(&self, name: &str) -> Result<Cluster, ClusterError> {
        let network = self.network.clone();
        let dial = move |host: &str, port| network.dial(host, port);
        let config = ClusterConfig::new(&self.clusters[name].bootstrap()).unwrap();
        Cluster::connect_through(config, Arc::new(MemoryConnector::new(dial))).await
    }

    /// Starts flows, each from its first to its second cluster.
    async fn start(
        &self,
        flows: &[(&'static str, &'static str)],
        topics: &str,
        names: Names,
    ) -> Vec<Running> {
        let plain = flows.iter().map(|(from, to)| Way { from, to, origin: None });
        self.start_ways(&plain.collect::<Vec<_>>(), topics, names).await
    }

    async fn start_ways(&self, ways: &[Way], topics: &str, names: Names) -> Vec<Running> {
        let mut running = Vec::new();
        for Way { from, to, origin } in ways.iter().copied() {
            let naming = match names {
                Names::Prefixed => Naming::default(),
                Names::Kept => Naming::Identity { separator: ".".to_owned() },
            };
            let naming = TopicNaming { source: from.to_owned(), naming, map: BTreeMap::new() };
            let filter = TopicFilter::new(topics).unwrap();
            let topics = TopicSelection {
                filter,
                naming,
                target: to.to_owned(),
                copies_heartbeats: true,
                brought: Vec::new(),
            };
            let mut config = MirrorConfig { topics, is_lenient: true, ..MirrorConfig::new(".*").unwrap() };
            config.flow.name =
                format!("{from}-{to}{}", origin.map(|o| format!(".from.{o}")).unwrap_or_default());
            if names == Names::Kept {
                (config.flow.forward, config.flow.shares_target) = (Forward::Local, true);
                config.flow.origin = origin.map(str::to_owned);
            }
            // With faults it may take more than one attempt, as the fleet makes them.
            let mut mirror = loop {
                let (source, target) = (self.join(from).await, self.join(to).await);
                if let (Ok(source), Ok(target)) = (source, target)
                    && let Ok(mirror) = Mirror::start(source, target, config.clone()).await
                {
                    break mirror;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            let (stop, mut stopping) = watch::channel(false);
            let task = tokio::spawn(async move {
                tokio::select! {
                    ended = mirror.watch() => panic!("{ended}"),
                    _ = stopping.wait_for(|is_over| *is_over) => {}
                }
                let status = mirror.flow().status().await.unwrap();
                let stopped = status.stopped().map(|(name, reason)| format!("{from}-{to}: {name}: {reason}"));
                let stopped: Vec<String> = stopped.collect();
                mirror.into_flow().shutdown().await.unwrap();
                stopped
            });
            running.push(Running { stop, task });
        }
        running
    }

    fn records(&self, cluster: &str, topic: &str) -> usize {
        let cluster = &self.clusters[cluster];
        let count = |partition| {
            let log = committed(&log(cluster, topic, partition));
            log.iter().map(|batch| usize::try_from(batch.count).unwrap()).sum::<usize>()
        };
        (0..2).map(count).sum()
    }

    fn topics(&self, cluster: &str) -> BTreeSet<String> {
        self.clusters[cluster].topics().into_iter().filter(|topic| !topic.starts_with("__")).collect()
    }

    /// An hour: every minute ten records on each cluster; every ten minutes the flows are started anew, after they were ended in order
    /// or dropped in the middle of their work.
    async fn an_hour(&self, flows: &[(&'static str, &'static str)], topics: &str, names: Names) -> usize {
        let plain = flows.iter().map(|(from, to)| Way { from, to, origin: None });
        self.an_hour_of(&plain.collect::<Vec<_>>(), topics, names).await
    }

    async fn an_hour_of(&self, ways: &[Way], topics: &str, names: Names) -> usize {
        let mut written = 0;
        for life in 0..6 {
            let running = self.start_ways(ways, topics, names).await;
            for minute in 0..10 {
                for (name, cluster) in &self.clusters {
                    self.write(name, cluster, &format!("{life} {minute}"), minute);
                }
                written += RECORDS;
                let is_last = minute == 9 && life % 2 == 0;
                // Some have been sent by then, and none has been noted.
                let pause = if is_last { Duration::from_millis(2050) } else { Duration::from_secs(60) };
                tokio::time::sleep(pause).await;
            }
            for Running { stop, task } in running {
                if life % 2 == 0 {
                    task.abort();
                    assert!(task.await.unwrap_err().is_cancelled());
                } else {
                    stop.send_replace(true);
                    assert_eq!(task.await.unwrap(), Vec::<String>::new());
                }
            }
        }
        written
    }

    /// Ten records of a producer of its own; returns how many.
    fn write(&self, name: &str, cluster: &TestCluster, tag: &str, round: u64) -> usize {
        let producer = self.producers.fetch_add(1, Ordering::Relaxed);
        let batch = numbered(&format!("{name} {tag}"), RECORDS);
        // Most producers are idempotent: their ids tell nothing until they have been asked about.
        let batch = if round.is_multiple_of(3) { batch } else { batch.producer(producer, 0, 0) };
        cluster.append("orders", i32::try_from(round % 2).unwrap(), &batch.build()).unwrap();
        RECORDS
    }

    /// All logs, batch by batch.
    fn logs(&self) -> String {
        let mut text = String::new();
        for (name, cluster) in &self.clusters {
            for partition in 0..2 {
                for batch in log(cluster, "orders", partition) {
                    let (offset, producer, sequence) =
                        (batch.base_offset, batch.producer_id, batch.base_sequence);
                    text += &format!(
                        "{name}-{partition} offset {offset} producer {producer} sequence {sequence}\n"
                    );
                }
            }
        }
        text
    }

    /// Every record of the cluster's topic is there once; returns how many.
    fn assert_once(&self, cluster: &str) -> usize {
        let mut seen = BTreeSet::new();
        let mut records = 0;
        for partition in 0..2 {
            for batch in committed(&log(&self.clusters[cluster], "orders", partition)) {
                for record in batch.records().unwrap() {
                    records += 1;
                    let is_new = seen.insert((record.key.clone(), record.value.clone()));
                    let (value, offset) = (record.value.as_deref().unwrap_or_default(), batch.base_offset);
                    let value = String::from_utf8_lossy(value);
                    assert!(
                        is_new,
                        "{cluster}-{partition}, offset {offset}: {value:?} twice\n{}",
                        self.logs()
                    );
                }
            }
        }
        records
    }

    /// The cluster has these topics and no others, each with that many records.
    fn assert_has(&self, cluster: &str, topics: &[&str], records: usize) {
        assert_eq!(
            self.topics(cluster),
            topics.iter().map(|topic| (*topic).to_owned()).collect(),
            "{cluster}"
        );
        for topic in topics {
            assert_eq!(self.records(cluster, topic), records, "{topic} of {cluster}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn active_active() {
    let world = World::new(&["a", "b"]);
    let records = world.an_hour(&[("a", "b"), ("b", "a")], ".*", Names::Prefixed).await;
    world.assert_has("a", &["orders", "b.orders"], records);
    world.assert_has("b", &["orders", "a.orders"], records);
}

/// Everybody to everybody; with all topics also over the third, as MirrorMaker 2 does it, and no further.
#[tokio::test(start_paused = true)]
async fn triangle() {
    let flows = [("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b")];
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&flows, "orders", Names::Prefixed).await;
    world.assert_has("a", &["orders", "b.orders", "c.orders"], records);
    world.assert_has("b", &["orders", "a.orders", "c.orders"], records);
    world.assert_has("c", &["orders", "a.orders", "b.orders"], records);
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&flows, ".*", Names::Prefixed).await;
    world.assert_has("a", &["orders", "b.orders", "c.orders", "b.c.orders", "c.b.orders"], records);
    world.assert_has("b", &["orders", "a.orders", "c.orders", "a.c.orders", "c.a.orders"], records);
    world.assert_has("c", &["orders", "a.orders", "b.orders", "a.b.orders", "b.a.orders"], records);
}

#[tokio::test(start_paused = true)]
async fn ring() {
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&[("a", "b"), ("b", "c"), ("c", "a")], ".*", Names::Prefixed).await;
    world.assert_has("a", &["orders", "c.orders", "c.b.orders"], records);
    world.assert_has("b", &["orders", "a.orders", "a.c.orders"], records);
    world.assert_has("c", &["orders", "b.orders", "b.a.orders"], records);
}

#[tokio::test(start_paused = true)]
async fn chain_and_fan_in() {
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&[("a", "b"), ("b", "c")], ".*", Names::Prefixed).await;
    world.assert_has("a", &["orders"], records);
    world.assert_has("b", &["orders", "a.orders"], records);
    world.assert_has("c", &["orders", "b.orders", "b.a.orders"], records);
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&[("a", "c"), ("b", "c")], ".*", Names::Prefixed).await;
    world.assert_has("a", &["orders"], records);
    world.assert_has("c", &["orders", "a.orders", "b.orders"], records);
}

/// The same names on both sides: what was produced on one is on both, once.
#[tokio::test(start_paused = true)]
async fn active_active_under_the_same_names() {
    let world = World::new(&["a", "b"]);
    let records = world.an_hour(&[("a", "b"), ("b", "a")], ".*", Names::Kept).await;
    for cluster in ["a", "b"] {
        assert_eq!(world.assert_once(cluster), 2 * records, "{cluster}");
        assert_eq!(world.topics(cluster), ["orders".to_owned()].into());
    }
}

#[tokio::test(start_paused = true)]
async fn triangle_under_the_same_names() {
    let flows = [("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b")];
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&flows, "orders", Names::Kept).await;
    for cluster in ["a", "b", "c"] {
        assert_eq!(world.assert_once(cluster), 3 * records, "{cluster}");
    }
}

#[tokio::test(start_paused = true)]
async fn fan_in_under_the_same_name() {
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&[("a", "c"), ("b", "c")], "orders", Names::Kept).await;
    assert_eq!(world.assert_once("c"), 3 * records);
    assert_eq!((world.assert_once("a"), world.assert_once("b")), (records, records));
}

/// The same while answers get lost, requests fail, flows are dropped in the middle, and two instances of each run at once.
#[tokio::test(start_paused = true)]
async fn active_active_under_the_same_names_with_faults() {
    let seeds = std::env::var("VERBATIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    for seed in 1..=seeds {
        let mut dice = Dice::new(seed);
        let world = World::new(&["a", "b"]);
        for cluster in world.clusters.values() {
            for api in [ApiKey::Produce, ApiKey::Fetch, ApiKey::DescribeProducers, ApiKey::Metadata] {
                let mut dice = Dice::new(dice.roll(u64::MAX));
                cluster.on(api, move |_| match dice.roll(60) {
                    0 => Control::Disconnect,
                    1 => Control::ApplyThen(Box::new(Control::Disconnect)),
                    2 => Control::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                    3 => Control::ApplyThen(Box::new(Control::Error(ErrorCode::REQUEST_TIMED_OUT))),
                    4 => Control::Delay(Duration::from_millis(700)),
                    _ => Control::Pass,
                });
            }
        }
        let flows = [("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")];
        let mut written = 0;
        for life in 0..6 {
            let instances = if dice.roll(2) == 0 { 2 } else { 4 };
            let running = world.start(flows.get(..instances).unwrap(), "orders", Names::Kept).await;
            for round in 0..dice.roll(20) {
                for (name, cluster) in &world.clusters {
                    written += world.write(name, cluster, &format!("{life} {round}"), round);
                }
                tokio::time::sleep(Duration::from_millis(dice.roll(900))).await;
            }
            for Running { stop, task } in running {
                if dice.roll(3) > 0 {
                    task.abort();
                    drop(task.await);
                } else {
                    stop.send_replace(true);
                    let stopped = task.await.unwrap();
                    assert!(stopped.is_empty(), "seed {seed}: {stopped:#?}\n{}", world.logs());
                }
            }
        }
        for cluster in world.clusters.values() {
            cluster.clear_rules();
        }
        let running = world.start(flows.get(..2).unwrap(), "orders", Names::Kept).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !["a", "b"].iter().all(|cluster| world.records(cluster, "orders") >= written) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "seed {seed}: {written} records\n{}",
                world.logs()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        for Running { stop, task } in running {
            stop.send_replace(true);
            let stopped = task.await.unwrap();
            assert!(stopped.is_empty(), "seed {seed}: {stopped:#?}\n{}", world.logs());
        }
        for cluster in ["a", "b"] {
            assert_eq!(world.assert_once(cluster), written, "seed {seed}: {cluster}");
        }
    }
}

/// Round the ring each way carries what was produced on its source, and on the cluster before that, and stops there.
#[tokio::test(start_paused = true)]
async fn ring_under_the_same_names() {
    let world = World::new(&["a", "b", "c"]);
    let ring = [("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")];
    let ways: Vec<Way> = ring
        .iter()
        .flat_map(|(from, to, origin)| [None, Some(*origin)].map(|origin| Way { from, to, origin }))
        .collect();
    let records = world.an_hour_of(&ways, "orders", Names::Kept).await;
    for cluster in ["a", "b", "c"] {
        assert_eq!(world.assert_once(cluster), 3 * records, "{cluster}");
    }
}

impl World {
    /// A flow as one process of its own runs it.
    async fn alone(&self, from: &str, to: &str, config: MirrorConfig) -> Result<Mirror, MirrorError> {
        Mirror::start(self.join(from).await.unwrap(), self.join(to).await.unwrap(), config).await
    }
}

/// Topics under their own names, as `verbatim run --from --to` copies them.
fn same_names(flow: &str, topics: &str) -> MirrorConfig {
    let mut config = MirrorConfig { may_wait_for_topics: false, ..MirrorConfig::new(topics).unwrap() };
    config.flow.name = flow.to_owned();
    config
}

/// Each of two sites has a file of its own and calls the other one `remote`: the names do not tell that a topic has come round.
#[tokio::test(start_paused = true)]
async fn two_files_that_call_each_other_remote() {
    for pause_s in [0, 1, 30] {
        let world = World::new(&["a", "b"]);
        let mut running = Vec::new();
        for (from, to) in [("a", "b"), ("b", "a")] {
            world.write(from, &world.clusters[from], "first", 1);
            let mut config = MirrorConfig { is_lenient: true, ..MirrorConfig::new(".*").unwrap() };
            let naming = Naming::default();
            config.topics.naming = TopicNaming { source: "remote".to_owned(), naming, map: BTreeMap::new() };
            config.topics.target = "local".to_owned();
            config.flow.name = "remote-local".to_owned();
            let mut mirror = world.alone(from, to, config).await.unwrap();
            running.push(tokio::spawn(async move { panic!("{}", mirror.watch().await) }));
            tokio::time::sleep(Duration::from_secs(pause_s)).await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        for cluster in ["a", "b"] {
            world.assert_has(cluster, &["orders", "remote.orders"], RECORDS);
        }
        running.into_iter().for_each(|task| task.abort());
    }
}

/// One way runs; somebody starts the other way, under the same names, in another process: it would copy the copies back.
#[tokio::test(start_paused = true)]
async fn a_way_back_in_another_process_is_refused() {
    let world = World::new(&["a", "b"]);
    let written = world.write("a", &world.clusters["a"], "first", 1);
    let there = world.alone("a", "b", same_names("there", "orders")).await.unwrap();
    there.flow().caught_up().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let refusal = world.alone("b", "a", same_names("back", "orders")).await.unwrap_err().to_string();
    for words in ["topic orders is not copied", "flow there has brought it", "__verbatim.there"] {
        assert!(refusal.contains(words), "{refusal}");
    }
    assert_eq!((world.records("a", "orders"), world.records("b", "orders")), (written, written));
    assert!(
        !world.clusters["a"].topics().contains(&"__verbatim.back".to_owned()),
        "nothing has been created"
    );
    // What the first flow does not bring may go the other way.
    world.clusters["b"].create_topic("payments", 2, &[]).unwrap();
    let back = world.alone("b", "a", same_names("back", "payments")).await.unwrap();
    back.flow().caught_up().await.unwrap();
    assert_eq!(world.topics("a"), ["orders".to_owned(), "payments".to_owned()].into());
}

/// Nobody has given a name, so both flows are called the same: the second one does not take the state of the first for its own.
#[tokio::test(start_paused = true)]
async fn a_flow_from_elsewhere_does_not_take_over_the_state_of_another() {
    let world = World::new(&["a", "b", "c"]);
    world.write("a", &world.clusters["a"], "first", 1);
    let first = world.alone("a", "c", same_names("default", "orders")).await.unwrap();
    first.flow().caught_up().await.unwrap();
    world.clusters["b"].create_topic("invoices", 2, &[]).unwrap();
    for topics in ["invoices", "orders"] {
        let refusal = world.alone("b", "c", same_names("default", topics)).await.unwrap_err().to_string();
        assert!(
            refusal.contains("flow default on the target cluster copies from the cluster of id a"),
            "{refusal}"
        );
        assert!(refusal.contains("this source has id b") && refusal.contains("--name"), "{refusal}");
    }
    assert_eq!(world.topics("c"), ["orders".to_owned()].into(), "nothing has been created");
    world.alone("b", "c", same_names("other", "invoices")).await.unwrap().flow().caught_up().await.unwrap();
}
