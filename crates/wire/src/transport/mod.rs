//! How bytes reach a broker: TCP, TLS over it, or an in-memory pipe for deterministic tests.

mod memory;
mod tcp;
mod tls;

pub use memory::MemoryConnector;
pub use tcp::{TcpConfig, TcpConnector};
pub use tls::{TlsConfig, TlsConfigError, TlsConnector};

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// An open byte stream to a broker.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The future of an opening stream.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, TransportError>> + Send + 'a>>;

/// Opens streams to brokers. Injected into a cluster, so that tests can bring their own network.
pub trait Connector: Debug + Send + Sync {
    /// Opens a stream to `host:port`.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Opening<'a>;
}

/// Why no stream could be opened.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The name has no address.
    #[error("no such host")]
    NoSuchHost(#[source] io::Error),
    /// The address refused or did not answer.
    #[error("{}", describe(.0))]
    Connect(#[source] io::Error),
    /// TCP worked, TLS did not.
    #[error("TLS handshake failed: {}", describe_tls(.0))]
    Tls(#[source] io::Error),
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: nothing is listening there".to_owned(),
        io::ErrorKind::TimedOut => "no answer: the connection attempt timed out".to_owned(),
        _ => error.to_string(),
    }
}

fn describe_tls(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the broker closed the connection; is this a plaintext listener? (then leave out tls://)"
                .to_owned()
        }
        _ => error.to_string(),
    }
}
