//! Several nodes that form a cluster in KRaft mode, each a broker and a controller.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::distribution::Distribution;
use super::error::Error;
use super::node::Node;
use super::options::{Options, Ports, server_properties};
use super::warden::Warden;
use super::{archive, probe, target_directory};

/// How long a broker may take to answer. Generous: several test suites may share two cores.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long a broker may take to end after SIGTERM before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const START_ATTEMPTS: u32 = 4;

/// A running cluster. Dropping it ends its processes and removes its directory.
#[derive(Debug)]
pub struct Cluster {
    distribution: Distribution,
    options: Options,
    nodes: Vec<Node>,
    warden: Warden,
    directory: PathBuf,
}

impl Cluster {
    /// Starts a cluster and waits until every broker answers and knows all the others.
    pub fn start(distribution: &Distribution, options: Options) -> Result<Self, Error> {
        for _ in 1..START_ATTEMPTS {
            match Self::start_once(distribution, options.clone()) {
                // Between our choice of a port and Kafka's use of it somebody else may take it.
                Err(Error::Died { log, .. }) if log.contains("Address already in use") => {}
                result => return result,
            }
        }
        Self::start_once(distribution, options)
    }

    fn start_once(distribution: &Distribution, options: Options) -> Result<Self, Error> {
        let (directory, host) = new_place(&options.name);
        fs::create_dir_all(&directory).map_err(Error::io(format!("create {}", directory.display())))?;
        let warden = Warden::new(&directory)?;
        let (host, ports) = free_ports(host, options.brokers)?;
        let cluster_id = archive::identifier(u64::from(std::process::id()));
        let mut cluster =
            Self { distribution: distribution.clone(), options, nodes: Vec::new(), warden, directory };
        for (id, own) in (1u32..).zip(&ports) {
            let node = Node {
                id,
                address: SocketAddr::new(host, own.client),
                ports: *own,
                directory: cluster.directory.join(format!("node-{id}")),
                process: None,
            };
            archive::format(distribution, &node.log_dir(), &cluster_id, id)?;
            let settings = server_properties(&cluster.options, id, host, &ports, &node.log_dir());
            let path = node.directory.join("server.properties");
            fs::write(&path, settings).map_err(Error::io(format!("write {}", path.display())))?;
            cluster.nodes.push(node);
        }
        for node in &mut cluster.nodes {
            node.spawn(&cluster.distribution, &cluster.options, &mut cluster.warden)?;
        }
        let everyone: Vec<u32> = cluster.nodes.iter().map(|node| node.id).collect();
        for id in &everyone {
            cluster.wait_until_ready(*id, &everyone)?;
        }
        Ok(cluster)
    }

    /// The brokers' plain addresses, `host:port` joined by commas.
    pub fn bootstrap(&self) -> String {
        self.addresses(|node| node.address.port())
    }

    /// The addresses of the second client listener, opened by [`Options::secure`].
    pub fn secure_bootstrap(&self) -> String {
        self.addresses(|node| node.ports.secure)
    }

    /// The address that the proxy of [`Options::proxy`] has to lead to.
    pub fn proxied(&self) -> Result<SocketAddr, Error> {
        let node = self.node(1)?;
        Ok(SocketAddr::new(node.address.ip(), node.ports.proxied))
    }

    /// The plain address of one node.
    pub fn address(&self, node: u32) -> Result<SocketAddr, Error> {
        Ok(self.node(node)?.address)
    }

    /// The name it was started under.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The Kafka it runs.
    pub fn distribution(&self) -> &Distribution {
        &self.distribution
    }

    /// The node ids, from 1.
    pub fn node_ids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Where a node keeps its logs: one folder `TOPIC-PARTITION` for each replica. Change it only while the node is stopped.
    pub fn log_dir(&self, node: u32) -> Result<PathBuf, Error> {
        Ok(self.node(node)?.log_dir())
    }

    /// The cluster's directory, for files that belong to it (key stores, client settings); removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process id of a node, for measurements.
    pub fn pid(&self, node: u32) -> Option<u32> {
        self.node(node).ok()?.process.as_ref().map(std::process::Child::id)
    }

    /// Whether the process of a node lives, paused or not.
    pub fn is_running(&mut self, node: u32) -> bool {
        self.node_mut(node).is_ok_and(Node::is_running)
    }

    /// Ends a node at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self, node: u32) -> Result<(), Error> {
        let (node, warden) = self.parts(node)?;
        node.kill(warden);
        Ok(())
    }

    /// Ends a node in order (SIGTERM: it hands over its leaderships) and waits for it; kills it after 30 s.
    pub fn stop(&mut self, node: u32) -> Result<(), Error> {
        self.stop_within(node, STOP_PATIENCE)
    }

    pub(super) fn stop_within(&mut self, node: u32, patience: Duration) -> Result<(), Error> {
        let (node, warden) = self.parts(node)?;
        node.stop(warden, patience).map(|_orderly| ())
    }

    /// Starts a node again on its ports and its disk, after [`stop`](Self::stop) if it still runs; waits until it answers.
    pub fn restart(&mut self, node: u32) -> Result<(), Error> {
        if self.is_running(node) {
            self.stop(node)?;
        }
        let (found, warden) = Self::find(&mut self.nodes, &mut self.warden, node, &self.options.name)?;
        // An earlier process that died by itself.
        found.kill(warden);
        found.spawn(&self.distribution, &self.options, warden)?;
        self.wait_until_ready(node, &[node])
    }

    /// Freezes a node (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&mut self, node: u32) -> Result<(), Error> {
        self.running(node)?.freeze(STOP_PATIENCE)
    }

    /// Lets a frozen node go on (SIGCONT).
    pub fn resume(&mut self, node: u32) -> Result<(), Error> {
        self.running(node)?.signal("CONT")
    }

    /// Runs one of Kafka's command line tools, such as `org.apache.kafka.tools.TopicCommand`, and returns what it printed. The
    /// caller passes `--bootstrap-server` itself: tools differ in how they name it.
    pub fn tool(&self, main_class: &str, args: &[&str]) -> Result<String, Error> {
        self.distribution.tool(main_class, args)
    }

    fn running(&mut self, node: u32) -> Result<&Node, Error> {
        if !self.is_running(node) {
            return Err(Error::NotRunning { cluster: self.options.name.clone(), node });
        }
        self.node(node)
    }

    fn addresses(&self, port: impl Fn(&Node) -> u16) -> String {
        let of = |node: &Node| SocketAddr::new(node.address.ip(), port(node)).to_string();
        self.nodes.iter().map(of).collect::<Vec<_>>().join(",")
    }

    fn node(&self, id: u32) -> Result<&Node, Error> {
        self.nodes
            .iter()
            .find(|node| node.id == id)
            .ok_or_else(|| Error::NotRunning { cluster: self.options.name.clone(), node: id })
    }

    fn node_mut(&mut self, id: u32) -> Result<&mut Node, Error> {
        self.parts(id).map(|(node, _warden)| node)
    }

    fn parts(&mut self, id: u32) -> Result<(&mut Node, &mut Warden), Error> {
        Self::find(&mut self.nodes, &mut self.warden, id, &self.options.name)
    }

    fn find<'a>(
        nodes: &'a mut [Node],
        warden: &'a mut Warden,
        id: u32,
        cluster: &str,
    ) -> Result<(&'a mut Node, &'a mut Warden), Error> {
        match nodes.iter_mut().find(|node| node.id == id) {
            Some(node) => Ok((node, warden)),
            None => Err(Error::NotRunning { cluster: cluster.to_owned(), node: id }),
        }
    }

    /// Waits until node `id` answers and knows the brokers `expected`.
    fn wait_until_ready(&mut self, id: u32, expected: &[u32]) -> Result<(), Error> {
        let cluster = self.options.name.clone();
        let node = self.node_mut(id)?;
        let start = Instant::now();
        loop {
            let reason = match probe::brokers(node.address) {
                Ok(known) if expected.iter().all(|broker| known.contains(broker)) => return Ok(()),
                Ok(known) => format!("it knows the brokers {known:?} of {expected:?}"),
                Err(error) => error.to_string(),
            };
            if !node.is_running() {
                return Err(Error::Died { cluster, node: id, log: node.log_tail() });
            }
            if start.elapsed() > START_PATIENCE {
                let (waited, log) = (start.elapsed(), node.log_tail());
                return Err(Error::NotReady { cluster, node: id, waited, reason, log });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill(&mut self.warden);
        }
        // Dropping the warden removes the directory.
    }
}

/// A directory and a loopback address that no other cluster of this machine uses.
///
/// All of 127/8 is loopback on Linux. An address of its own spares a cluster two races of the shared one: a stranger's outgoing
/// connection taking the port of a stopped broker, and a client's reconnect to such a port meeting itself.
fn new_place(name: &str) -> (PathBuf, IpAddr) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = target_directory().join("kafka/run").join(format!("{name}-{process}-{count}"));
    let mixed = process.wrapping_mul(61).wrapping_add(count).to_be_bytes();
    let host = Ipv4Addr::new(127, 1 + mixed[1] % 250, mixed[2], 1 + mixed[3] % 250);
    (directory, IpAddr::V4(host))
}

/// Four ports of the system's choice for each node, on `host` if this machine has it, else on 127.0.0.1.
fn free_ports(host: IpAddr, nodes: u32) -> Result<(IpAddr, Vec<Ports>), Error> {
    let host = match TcpListener::bind((host, 0)) {
        Ok(_) => host,
        Err(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    // All stay bound until the last is chosen, so that none comes twice.
    let mut bound = Vec::new();
    let mut port = || -> std::io::Result<u16> {
        let listener = TcpListener::bind((host, 0))?;
        let port = listener.local_addr()?.port();
        bound.push(listener);
        Ok(port)
    };
    let mut all = Vec::new();
    for _ in 0..nodes {
        let ports =
            (|| Ok(Ports { client: port()?, controller: port()?, secure: port()?, proxied: port()? }))();
        all.push(ports.map_err(Error::io("find a free port"))?);
    }
    Ok((host, all))
}
