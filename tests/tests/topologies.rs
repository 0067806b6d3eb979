//! Promise: with names that say where a topic came from no record goes round, whatever way the flows lead: pair, triangle, ring, chain
//! and fan-in. For an hour, with restarts in between, every record is everywhere it ought to be once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use verbatim_mirror::{Mirror, MirrorConfig, Naming, TopicFilter, TopicNaming, TopicSelection};
use verbatim_pipeline::{Cluster, ClusterConfig};
use verbatim_testbroker::{MemoryNetwork, TestCluster};
use verbatim_tests::scenario::{committed, log, now_ms, numbered};
use verbatim_wire::transport::MemoryConnector;

/// Clusters by their names.
struct World {
    network: MemoryNetwork,
    clusters: BTreeMap<&'static str, TestCluster>,
}

/// A flow that runs.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
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
        Self { clusters: names.iter().map(start).collect(), network }
    }

    async fn join(&self, name: &str) -> Cluster {
        let network = self.network.clone();
        let dial = move |host: &str, port| network.dial(host, port);
        let config = ClusterConfig::new(&self.clusters[name].bootstrap()).unwrap();
        Cluster::connect_through(config, Arc::new(MemoryConnector::new(dial))).await.unwrap()
    }

    /// Starts flows, each from its first to its second cluster.
    async fn start(&self, flows: &[(&'static str, &'static str)], topics: &str) -> Vec<Running> {
        let mut running = Vec::new();
        for (from, to) in flows {
            let naming =
                TopicNaming { source: (*from).to_owned(), naming: Naming::default(), map: BTreeMap::new() };
            let filter = TopicFilter::new(topics).unwrap();
            let topics = TopicSelection { filter, naming, target: (*to).to_owned(), copies_heartbeats: true };
            let mut config = MirrorConfig { topics, is_lenient: true, ..MirrorConfig::new(".*").unwrap() };
            config.flow.name = format!("{from}-{to}");
            let mut mirror = Mirror::start(self.join(from).await, self.join(to).await, config).await.unwrap();
            let (stop, mut stopping) = watch::channel(false);
            let task = tokio::spawn(async move {
                tokio::select! {
                    ended = mirror.watch() => panic!("{ended}"),
                    _ = stopping.wait_for(|is_over| *is_over) => {}
                }
                let status = mirror.flow().status().await.unwrap();
                assert_eq!(status.stopped().count(), 0, "{:?}", status.stopped().next());
                mirror.into_flow().shutdown().await.unwrap();
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

    /// An hour: every minute ten records on each cluster; every twenty minutes the flows are started anew.
    async fn an_hour(&self, flows: &[(&'static str, &'static str)], topics: &str) -> usize {
        const RECORDS: usize = 10;
        let mut written = 0;
        for _ in 0..3 {
            let running = self.start(flows, topics).await;
            for minute in 0..20 {
                for (name, cluster) in &self.clusters {
                    let batch = numbered(&format!("{name}-{minute}"), RECORDS).build();
                    cluster.append("orders", minute % 2, &batch).unwrap();
                }
                written += RECORDS;
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            for Running { stop, task } in running {
                stop.send_replace(true);
                task.await.unwrap();
            }
        }
        written
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
    let records = world.an_hour(&[("a", "b"), ("b", "a")], ".*").await;
    world.assert_has("a", &["orders", "b.orders"], records);
    world.assert_has("b", &["orders", "a.orders"], records);
}

/// Everybody to everybody; with all topics also over the third, as MirrorMaker 2 does it, and no further.
#[tokio::test(start_paused = true)]
async fn triangle() {
    let flows = [("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b")];
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&flows, "orders").await;
    world.assert_has("a", &["orders", "b.orders", "c.orders"], records);
    world.assert_has("b", &["orders", "a.orders", "c.orders"], records);
    world.assert_has("c", &["orders", "a.orders", "b.orders"], records);
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&flows, ".*").await;
    world.assert_has("a", &["orders", "b.orders", "c.orders", "b.c.orders", "c.b.orders"], records);
    world.assert_has("b", &["orders", "a.orders", "c.orders", "a.c.orders", "c.a.orders"], records);
    world.assert_has("c", &["orders", "a.orders", "b.orders", "a.b.orders", "b.a.orders"], records);
}

#[tokio::test(start_paused = true)]
async fn ring() {
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&[("a", "b"), ("b", "c"), ("c", "a")], ".*").await;
    world.assert_has("a", &["orders", "c.orders", "c.b.orders"], records);
    world.assert_has("b", &["orders", "a.orders", "a.c.orders"], records);
    world.assert_has("c", &["orders", "b.orders", "b.a.orders"], records);
}

#[tokio::test(start_paused = true)]
async fn chain_and_fan_in() {
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&[("a", "b"), ("b", "c")], ".*").await;
    world.assert_has("a", &["orders"], records);
    world.assert_has("b", &["orders", "a.orders"], records);
    world.assert_has("c", &["orders", "b.orders", "b.a.orders"], records);
    let world = World::new(&["a", "b", "c"]);
    let records = world.an_hour(&[("a", "c"), ("b", "c")], ".*").await;
    world.assert_has("a", &["orders"], records);
    world.assert_has("c", &["orders", "a.orders", "b.orders"], records);
}
