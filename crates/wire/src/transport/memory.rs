//! Streams that are pipes in this process.

use super::{Connector, Opening, Stream, TransportError};
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::io::DuplexStream;

/// What a host and port lead to.
type Dial = dyn Fn(&str, u16) -> io::Result<DuplexStream> + Send + Sync;

/// Opens streams by calling a function, usually an in-memory cluster's.
#[derive(Clone)]
pub struct MemoryConnector(Arc<Dial>);

impl MemoryConnector {
    /// A connector that asks `dial` for the other end.
    pub fn new(dial: impl Fn(&str, u16) -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self(Arc::new(dial))
    }
}

impl fmt::Debug for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryConnector")
    }
}

impl Connector for MemoryConnector {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Opening<'a> {
        let dialled = (self.0)(host, port);
        Box::pin(async move {
            dialled.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(TransportError::Connect)
        })
    }
}
