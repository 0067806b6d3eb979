//! How a cluster is to be started, and the `server.properties` that follow from it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// What the Java processes of a cluster are tuned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    /// Up quickly and light on the machine: first compiler stage only, serial collector, few threads. For tests.
    #[default]
    Start,
    /// Kafka's own choice of compiler, collector (G1) and thread numbers. For measurements.
    Throughput,
}

/// How to start a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name for directories and messages.
    pub name: String,
    /// Number of nodes, each a broker and a controller. Three survive the loss of one.
    pub brokers: u32,
    /// Further lines of `server.properties`; they win over ours.
    pub properties: Vec<(String, String)>,
    /// Largest Java heap of each node, in MiB.
    pub heap_mib: u32,
    /// What to tune for.
    pub tuning: Tuning,
    /// Further Java options.
    pub java_options: Vec<String>,
    /// Security protocol of a second client listener beside the plain one: `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    /// Its `listener.name.client.*` settings go into `properties`; its address is [`Cluster::secure_bootstrap`].
    ///
    /// [`Cluster::secure_bootstrap`]: super::Cluster::secure_bootstrap
    pub secure: Option<String>,
    /// Address of a proxy in front of a further plain listener, which tells clients to come through it; for clusters of one broker.
    /// The listener's own address, where the proxy has to lead to, is [`Cluster::proxied`].
    ///
    /// [`Cluster::proxied`]: super::Cluster::proxied
    pub proxy: Option<SocketAddr>,
}

impl Options {
    /// One broker, 384 MiB of heap, tuned for a quick start.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            brokers: 1,
            properties: Vec::new(),
            heap_mib: 384,
            tuning: Tuning::Start,
            java_options: Vec::new(),
            secure: None,
            proxy: None,
        }
    }

    /// Sets the number of nodes.
    pub fn brokers(mut self, brokers: u32) -> Self {
        self.brokers = brokers;
        self
    }

    /// Adds a line to `server.properties`.
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((key.into(), value.into()));
        self
    }

    /// Sets the largest heap of each node, in MiB.
    pub fn heap_mib(mut self, heap_mib: u32) -> Self {
        self.heap_mib = heap_mib;
        self
    }

    /// Sets what to tune for.
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Opens a second client listener of this security protocol.
    pub fn secure(mut self, protocol: impl Into<String>) -> Self {
        self.secure = Some(protocol.into());
        self
    }

    /// Opens a listener behind a proxy at this address.
    pub fn proxy(mut self, address: SocketAddr) -> Self {
        self.proxy = Some(address);
        self
    }

    /// The Java options that follow from the tuning.
    pub(super) fn all_java_options(&self) -> Vec<String> {
        let tuning: &[&str] = match self.tuning {
            Tuning::Start => &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
            Tuning::Throughput => {
                &["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
            }
        };
        tuning.iter().map(|option| (*option).to_owned()).chain(self.java_options.iter().cloned()).collect()
    }
}

/// The ports of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) controller: u16,
    pub(super) secure: u16,
    pub(super) proxied: u16,
}

/// The `server.properties` of node `node` (from 1).
pub(super) fn server_properties(
    options: &Options,
    node: u32,
    host: IpAddr,
    ports: &[Ports],
    log_dir: &Path,
) -> String {
    let index = usize::try_from(node).unwrap_or(0).saturating_sub(1);
    let Some(own) = ports.get(index) else { return String::new() };
    let voters: Vec<String> = (1u32..)
        .zip(ports)
        .map(|(voter, ports)| format!("{voter}@{}", SocketAddr::new(host, ports.controller)))
        .collect();
    let address = |port: u16| SocketAddr::new(host, port).to_string();
    let replicas = options.brokers.min(3).to_string();
    let in_sync = options.brokers.min(2).to_string();
    let mut clients = format!("PLAINTEXT://{}", address(own.client));
    let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    if let Some(protocol) = &options.secure {
        clients += &format!(",CLIENT://{}", address(own.secure));
        protocols += &format!(",CLIENT:{protocol}");
    }
    let mut advertised = clients.clone();
    if let Some(proxy) = options.proxy {
        clients += &format!(",PROXIED://{}", address(own.proxied));
        advertised += &format!(",PROXIED://{proxy}");
        protocols += ",PROXIED:PLAINTEXT";
    }
    let mut lines = vec![
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", node.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", format!("{clients},CONTROLLER://{}", address(own.controller))),
        ("advertised.listeners", advertised),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("listener.security.protocol.map", protocols),
        ("log.dirs", log_dir.display().to_string()),
        // A misspelt topic must be an error, not a topic.
        ("auto.create.topics.enable", "false".to_owned()),
        ("default.replication.factor", replicas.clone()),
        ("offsets.topic.replication.factor", replicas.clone()),
        ("transaction.state.log.replication.factor", replicas.clone()),
        ("transaction.state.log.min.isr", in_sync.clone()),
        ("share.coordinator.state.topic.replication.factor", replicas),
        ("share.coordinator.state.topic.min.isr", in_sync),
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("log.retention.ms", "-1".to_owned()),
        ("log.segment.delete.delay.ms", "1000".to_owned()),
        // The default allocates 128 MiB at once. Enough for 300 thousand keys a round.
        ("log.cleaner.dedupe.buffer.size", (8 << 20).to_string()),
        // A killed broker is noticed after 4 s instead of 9.
        ("broker.heartbeat.interval.ms", "500".to_owned()),
        ("broker.session.timeout.ms", "4000".to_owned()),
        ("replica.lag.time.max.ms", "4000".to_owned()),
        ("controller.quorum.election.timeout.ms", "500".to_owned()),
        ("controller.quorum.election.backoff.max.ms", "300".to_owned()),
    ];
    if options.tuning == Tuning::Start {
        lines.push(("num.network.threads", "2".to_owned()));
        lines.push(("num.io.threads", "4".to_owned()));
    }
    let given = options.properties.iter().map(|(key, value)| (key.as_str(), value.clone()));
    lines.into_iter().chain(given).map(|(key, value)| format!("{key}={value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_vote_together_and_the_callers_lines_come_last() {
        let ports: Vec<Ports> = (0..3)
            .map(|n| Ports { client: 100 + n, controller: 200 + n, secure: 300 + n, proxied: 400 + n })
            .collect();
        let options = Options::new("x").brokers(3).property("num.io.threads", "9").secure("SASL_SSL");
        let text =
            server_properties(&options, 2, IpAddr::from([127, 0, 0, 1]), &ports, Path::new("/somewhere"));
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        has("controller.quorum.voters=1@127.0.0.1:200,2@127.0.0.1:201,3@127.0.0.1:202");
        has("listeners=PLAINTEXT://127.0.0.1:101,CLIENT://127.0.0.1:301,CONTROLLER://127.0.0.1:201");
        has("advertised.listeners=PLAINTEXT://127.0.0.1:101,CLIENT://127.0.0.1:301");
        has("listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_SSL");
        has("offsets.topic.replication.factor=3");
        assert_eq!(text.lines().last(), Some("num.io.threads=9"));
    }

    #[test]
    fn a_listener_behind_a_proxy_names_the_proxy() {
        let ports = [Ports { client: 100, controller: 200, secure: 300, proxied: 400 }];
        let options = Options::new("x").proxy(SocketAddr::from(([127, 0, 0, 9], 77)));
        let text =
            server_properties(&options, 1, IpAddr::from([127, 0, 0, 1]), &ports, Path::new("/somewhere"));
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        has("listeners=PLAINTEXT://127.0.0.1:100,PROXIED://127.0.0.1:400,CONTROLLER://127.0.0.1:200");
        has("advertised.listeners=PLAINTEXT://127.0.0.1:100,PROXIED://127.0.0.9:77");
        has("listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT");
    }
}
