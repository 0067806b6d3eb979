//! A network without sockets: connections are in-memory pipes, so a paused clock decides all timing.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::io::DuplexStream;

use crate::cluster::core::Core;
use crate::network::connection::serve;

/// Port of every in-memory broker.
pub(crate) const PORT: u16 = 9092;
/// Bytes that fit into one direction of a connection before the writer waits.
const PIPE_BYTES: usize = 256 * 1024;

/// Dials in-memory brokers by host and port. Clones share the network; clusters may share one, too.
#[derive(Debug, Clone, Default)]
pub struct MemoryNetwork {
    brokers: Arc<Mutex<BTreeMap<(String, u16), Endpoint>>>,
}

#[derive(Debug, Clone)]
struct Endpoint {
    core: Weak<Core>,
    node: i32,
}

impl MemoryNetwork {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to a broker.
    ///
    /// # Errors
    /// `ConnectionRefused` when no such broker is up.
    pub fn dial(&self, host: &str, port: u16) -> io::Result<DuplexStream> {
        let endpoint = {
            let brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
            brokers.get(&(host.to_owned(), port)).cloned()
        };
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let endpoint = endpoint.ok_or_else(refused)?;
        let core = endpoint.core.upgrade().ok_or_else(refused)?;
        if !core.state().is_up(endpoint.node) {
            return Err(refused());
        }
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        core.spawn(endpoint.node, serve(server, Arc::clone(&core), endpoint.node, "memory".to_owned()));
        Ok(client)
    }

    pub(crate) fn register(&self, host: &str, port: u16, core: &Arc<Core>, node: i32) {
        let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        brokers.insert((host.to_owned(), port), Endpoint { core: Arc::downgrade(core), node });
    }
}
