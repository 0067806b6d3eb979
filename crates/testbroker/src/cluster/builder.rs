//! Starting a cluster, over TCP or in memory, and stopping it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::api::fetch::sessions::FetchSessions;
use crate::cluster::clock::Clock;
use crate::cluster::core::Core;
use crate::cluster::state::{Broker, State};
use crate::network::memory::{self, MemoryNetwork};
use crate::network::tcp::{self, Port};
use crate::records::builder::BatchBuilder;

/// A running cluster. Dropping it stops all brokers.
#[derive(Debug)]
pub struct TestCluster {
    pub(crate) core: Arc<Core>,
    pub(crate) transport: Transport,
}

/// How clients reach the brokers.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(BTreeMap<i32, Port>),
    Memory(MemoryNetwork),
}

/// Settings of a cluster to be started.
#[derive(Debug, Clone)]
pub struct TestClusterBuilder {
    brokers: usize,
    cluster_id: String,
    network: MemoryNetwork,
    start_ms: Option<i64>,
    fetch_session_slots: Option<usize>,
    broker_configs: BTreeMap<String, String>,
}

impl Default for TestClusterBuilder {
    fn default() -> Self {
        Self {
            brokers: 1,
            cluster_id: "test".to_owned(),
            network: MemoryNetwork::new(),
            start_ms: None,
            fetch_session_slots: None,
            broker_configs: BTreeMap::new(),
        }
    }
}

impl TestClusterBuilder {
    /// Number of brokers, at least 1; their node ids are 1, 2, 3, ...
    pub fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers.max(1);
        self
    }

    /// Cluster id; in memory it also makes the host names.
    pub fn cluster_id(mut self, cluster_id: impl Into<String>) -> Self {
        self.cluster_id = cluster_id.into();
        self
    }

    /// In-memory network to join, so that one dialler reaches several clusters.
    pub fn network(mut self, network: &MemoryNetwork) -> Self {
        self.network = network.clone();
        self
    }

    /// What the cluster's clock shows at the start, in milliseconds since the epoch. Default: the wall clock over
    /// TCP, [`BatchBuilder::DEFAULT_TIMESTAMP_MS`] in memory.
    pub fn start_ms(mut self, start_ms: i64) -> Self {
        self.start_ms = Some(start_ms);
        self
    }

    /// Fetch sessions each broker keeps (default 1000).
    pub fn fetch_session_slots(mut self, slots: usize) -> Self {
        self.fetch_session_slots = Some(slots);
        self
    }

    /// Sets a broker configuration.
    pub fn broker_config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.broker_configs.insert(name.into(), value.into());
        self
    }

    /// Starts brokers on 127.0.0.1, each on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_tcp(self) -> io::Result<TestCluster> {
        let mut ports = BTreeMap::new();
        for node in self.nodes() {
            ports.insert(node, Port::take()?);
        }
        let addresses = ports.iter().map(|(node, port)| (*node, ("127.0.0.1".to_owned(), port.number())));
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let core = self.core(addresses.collect(), wall.as_millis() as i64);
        for (node, port) in &ports {
            core.spawn(*node, tcp::accept(port.listen()?, Arc::clone(&core), *node));
        }
        Ok(TestCluster { core, transport: Transport::Tcp(ports) })
    }

    /// Starts brokers in memory: dial them with [`TestCluster::network`].
    pub fn start_memory(self) -> TestCluster {
        let host = |node: i32| format!("{}-{node}", self.cluster_id.to_lowercase());
        let addresses = self.nodes().map(|node| (node, (host(node), memory::PORT)));
        let core = self.core(addresses.collect(), BatchBuilder::DEFAULT_TIMESTAMP_MS);
        for node in self.nodes() {
            self.network.register(&host(node), memory::PORT, &core, node);
        }
        TestCluster { core, transport: Transport::Memory(self.network) }
    }

    fn nodes(&self) -> impl Iterator<Item = i32> + use<> {
        1..=self.brokers as i32
    }

    fn core(&self, addresses: BTreeMap<i32, (String, u16)>, now_ms: i64) -> Arc<Core> {
        let broker = |(host, port)| {
            let mut fetch_sessions = FetchSessions::default();
            fetch_sessions.slots = self.fetch_session_slots.unwrap_or(fetch_sessions.slots);
            Broker { host, port, is_up: true, fetch_sessions }
        };
        let brokers = addresses.into_iter().map(|(node, address)| (node, broker(address)));
        let mut state = State::new(self.cluster_id.clone(), brokers.collect());
        state.broker_configs.clone_from(&self.broker_configs);
        Arc::new(Core::new(state, Clock::starting_at(self.start_ms.unwrap_or(now_ms))))
    }
}

impl TestCluster {
    /// Settings of a new cluster.
    pub fn builder() -> TestClusterBuilder {
        TestClusterBuilder::default()
    }

    /// `host:port` of all brokers, comma separated.
    pub fn bootstrap(&self) -> String {
        let state = self.core.state();
        let addresses = state.brokers.values().map(|broker| format!("{}:{}", broker.host, broker.port));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// The in-memory network; `None` over TCP.
    pub fn network(&self) -> Option<&MemoryNetwork> {
        match &self.transport {
            Transport::Tcp(_) => None,
            Transport::Memory(network) => Some(network),
        }
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        for broker in self.core.state().brokers.values_mut() {
            broker.is_up = false;
        }
        self.core.stop_all();
    }
}
