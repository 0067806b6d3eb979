//! How a cluster is reached.

use super::{Bootstrap, BootstrapError};
use crate::connection::ConnectionConfig;
use crate::transport::{Connector, TcpConfig, TcpConnector, TlsConfig, TlsConfigError, TlsConnector};
use std::sync::Arc;

/// Settings of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// First addresses to try.
    pub bootstrap: Bootstrap,
    /// Settings of every connection.
    pub connection: ConnectionConfig,
    /// Socket options.
    pub tcp: TcpConfig,
    /// Whom to trust, where the bootstrap address says `tls://`.
    pub tls: TlsConfig,
    /// Unused receive buffers kept for the next answers, in bytes. Default 16 MiB.
    pub buffer_bytes: usize,
}

impl ClusterConfig {
    /// Settings with defaults for brokers at `bootstrap`: `[tls://]host:port[,host:port...]`.
    ///
    /// # Errors
    /// When the addresses cannot be read.
    pub fn new(bootstrap: &str) -> Result<Self, BootstrapError> {
        Ok(Self {
            bootstrap: bootstrap.parse()?,
            connection: ConnectionConfig::default(),
            tcp: TcpConfig::default(),
            tls: TlsConfig::default(),
            buffer_bytes: 16 << 20,
        })
    }

    pub(super) fn connector(&self) -> Result<Arc<dyn Connector>, TlsConfigError> {
        Ok(if self.bootstrap.is_tls() {
            Arc::new(TlsConnector::new(self.tcp.clone(), &self.tls)?)
        } else {
            Arc::new(TcpConnector::new(self.tcp.clone()))
        })
    }
}
