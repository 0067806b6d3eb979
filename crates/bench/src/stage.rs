//! The two clusters of a benchmark, and what is done with topics around the runs.

use super::authority::Authority;
use super::process::Nursery;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use verbatim_wire::cluster::{self, BrokerError, ClusterConfig, NewTopic, OffsetAt, PartitionOffset};
use xtask::command::Failure;
use xtask::kafka::{Cluster, Distribution, Options, Tuning, version};

/// How long a broker may take to remove the files of deleted topics.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(60);
/// How long a broker may take to lead a new topic.
const LEADER_PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
/// Heap of each broker, in MiB: the default of Kafka's own scripts.
const HEAP_MIB: u32 = 1024;

/// Both clusters; they end with it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) source: Side,
    pub(super) target: Side,
    pub(super) nursery: Nursery,
    /// Who signed the brokers' certificates, where they have any.
    pub(super) authority: Option<Authority>,
    pub(super) runtime: Rc<Runtime>,
}

/// One cluster of one broker, and a client of ours.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) cluster: Cluster,
    client: cluster::Cluster,
    runtime: Rc<Runtime>,
}

impl Stage {
    /// Starts both clusters. `authority`: with a TLS listener each, signed by it; `proxies`: with a listener behind each of these.
    pub(super) fn start(
        nursery: Nursery,
        authority: Option<Authority>,
        proxies: Option<[SocketAddr; 2]>,
    ) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = Rc::new(runtime.map_err(Failure::while_doing("start a runtime"))?);
        let distribution = Distribution::resolve(&version())?;
        let side = |name: &str, proxy: Option<SocketAddr>| {
            let mut options = Options::new(name)
                .heap_mib(HEAP_MIB)
                .tuning(Tuning::Throughput)
                // Thousands of partitions are created and deleted; their indexes are preallocated.
                .property("log.index.size.max.bytes", (1 << 20).to_string())
                // Otherwise the first deleted topics keep their files until 30 s after the start.
                .property("log.initial.task.delay.ms", "1000");
            if let Some(authority) = &authority {
                options = authority.listener(options)?;
            }
            if let Some(proxy) = proxy {
                options = options.proxy(proxy);
            }
            let mut cluster = Cluster::start(&distribution, options)?;
            if let Some(authority) = &authority {
                authority.certify_broker(&mut cluster)?;
            }
            Side::new(cluster, &runtime)
        };
        let source = side("source", proxies.map(|proxies| proxies[0]))?;
        let target = side("target", proxies.map(|proxies| proxies[1]))?;
        Ok(Self { source, target, nursery, authority, runtime })
    }
}

impl Side {
    fn new(cluster: Cluster, runtime: &Rc<Runtime>) -> Result<Self, Failure> {
        let config =
            ClusterConfig::new(&cluster.bootstrap()).map_err(Failure::while_doing("read the address"))?;
        let client = runtime.block_on(cluster::Cluster::connect(config));
        let client = client.map_err(Failure::while_doing("connect"))?;
        Ok(Self { cluster, client, runtime: runtime.clone() })
    }

    pub(super) fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    /// Creates a topic that must not be there.
    pub(super) fn create(&self, topic: &str, partitions: u32) -> Result<(), Failure> {
        let new = NewTopic::new(topic, i32::try_from(partitions).unwrap_or(i32::MAX));
        self.runtime.block_on(async {
            let created = self.client.create_topic(new).await;
            created.map_err(Failure::while_doing(format!("create topic {topic}")))?;
            let begin = Instant::now();
            // A broker names itself leader a moment before it is one.
            while self.ends(topic, partitions).await?.iter().any(|end| end.error != BrokerError::NONE) {
                if begin.elapsed() > LEADER_PATIENCE {
                    return Err(Failure::Failed(format!("topic {topic} has no leaders")));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        })
    }

    /// Deletes all topics but `kept` and Kafka's own, and waits until their files are gone too: removing them takes the disk and
    /// the CPU of whatever is measured next.
    pub(super) fn clear(&self, kept: &[&str]) -> Result<(), Failure> {
        let kafkas = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
        let doomed: Vec<Arc<str>> = self.runtime.block_on(async {
            let metadata = self.client.metadata(None).await.map_err(Failure::while_doing("list topics"))?;
            let names = metadata.topics().map(|topic| topic.identity.name.clone());
            let doomed: Vec<Arc<str>> =
                names.filter(|name| !kafkas.contains(&&**name) && !kept.contains(&&**name)).collect();
            if doomed.is_empty() {
                return Ok::<_, Failure>(doomed);
            }
            for outcome in
                self.client.delete_topics(&doomed).await.map_err(Failure::while_doing("delete topics"))?
            {
                outcome.map_err(Failure::while_doing("delete a topic"))?;
            }
            self.client.topics_are_gone(&doomed).await.map_err(Failure::while_doing("delete topics"))?;
            Ok(doomed)
        })?;
        let logs = self.cluster.log_dir(1)?;
        let begin = Instant::now();
        while begin.elapsed() < REMOVAL_PATIENCE {
            let names = fs::read_dir(&logs).map_err(Failure::while_doing("look at the broker's files"))?;
            let names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            // A broker goes on answering for a topic until its folders have other names.
            let is_left = |name: String| {
                let topic = name.rsplit_once('-').map_or("", |(topic, _)| topic);
                name.ends_with("-delete") || doomed.iter().any(|doomed| **doomed == *topic)
            };
            if !names.into_iter().any(is_left) {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Err(Failure::Failed("the broker does not remove the files of deleted topics".to_owned()))
    }

    /// How many records the topic holds: the sum of its end offsets, as it was created empty. Where it is not there yet, none.
    pub(super) async fn records(&self, topic: &str, partitions: u32) -> Result<u64, Failure> {
        let ends = self.ends(topic, partitions).await?;
        Ok(ends.iter().map(|end| u64::try_from(end.offset).unwrap_or(0)).sum())
    }

    async fn ends(&self, topic: &str, partitions: u32) -> Result<Vec<PartitionOffset>, Failure> {
        let node = self.client.brokers().brokers().first().map_or(1, |broker| broker.node);
        let topic: Arc<str> = topic.into();
        let asked: Vec<(Arc<str>, i32)> = (0..i32::try_from(partitions).unwrap_or(i32::MAX))
            .map(|partition| (topic.clone(), partition))
            .collect();
        let answer = self.client.list_offsets(node, &asked, OffsetAt::Latest).await;
        answer.map_err(Failure::while_doing("ask for end offsets"))
    }

    /// Bytes of a topic's batches as they stand in the log.
    pub(super) fn log_bytes(&self, topic: &str) -> Result<u64, Failure> {
        let logs = self.cluster.log_dir(1)?;
        let of_topic = |path: &Path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.rsplit_once('-').is_some_and(|(name, _)| name == topic)
        };
        let doing = "look at the broker's files";
        let mut bytes = 0;
        for folder in fs::read_dir(logs).map_err(Failure::while_doing(doing))?.flatten() {
            if !of_topic(&folder.path()) {
                continue;
            }
            for file in fs::read_dir(folder.path()).map_err(Failure::while_doing(doing))?.flatten() {
                if file.path().extension().is_some_and(|extension| extension == "log") {
                    bytes += file.metadata().map_or(0, |metadata| metadata.len());
                }
            }
        }
        Ok(bytes)
    }
}
