//! How bytes reach a broker: TCP, TLS over it, or an in-memory pipe for deterministic tests.

mod memory;
mod tcp;
mod tls;

pub use memory::MemoryConnector;
pub use tcp::{TcpConfig, TcpConnector};
pub use tls::{TlsConfig, TlsConfigError, TlsConnector};

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// An open byte stream to a broker.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + Any {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + Any> Stream for T {}

/// One direction of a stream, which may be that of a TCP connection itself.
pub(crate) trait Half: Unpin {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl<T: Unpin> Half for tokio::io::ReadHalf<T> {}
impl<T: Unpin> Half for tokio::io::WriteHalf<T> {}

impl Half for tokio::net::tcp::ReadHalf<'_> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.as_ref())
    }
}

impl Half for tokio::net::tcp::WriteHalf<'_> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.as_ref())
    }
}

impl dyn Stream {
    /// The TCP connection that it is, if it is one.
    pub(crate) fn as_tcp(&mut self) -> Option<&mut TcpStream> {
        (self as &mut dyn Any).downcast_mut()
    }
}

/// The future of an opening stream.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, TransportError>> + Send + 'a>>;

/// Opens streams to brokers. Injected into a cluster, so that tests can bring their own network.
pub trait Connector: Debug + Send + Sync {
    /// Opens a stream to `host:port`.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Opening<'a>;

    /// Whether its streams are TCP connections, with nothing between: what comes out of one such can go into another
    /// without being read.
    fn is_plain_tcp(&self) -> bool {
        false
    }
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
