//! How bytes reach a broker: TCP, TLS over it, or an in-memory pipe for deterministic tests.

mod low_water;
mod memory;
mod tcp;
mod tls;

pub use memory::MemoryConnector;
pub use tcp::{TcpConfig, TcpConnector};
pub use tls::{TlsConfig, TlsConfigError, TlsConnector};

pub(crate) use low_water::Plain;
use low_water::{Due, LowWater};
use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// An open byte stream to a broker.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + Any {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + Any> Stream for T {}

/// One direction of a stream, which may be that of a TCP connection itself.
pub(crate) trait Half: Unpin {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }

    /// Tells how many bytes are still to come before anything can be done with them.
    fn wants(&mut self, _bytes: usize) {}

    /// To be called before waiting for [`Half::tcp`] to be readable; reading does it by itself.
    fn will_wait(&mut self) {}
}

/// The reading direction of a stream between which and the network something stands.
pub(crate) struct Incoming {
    half: ReadHalf<Box<dyn Stream>>,
    due: Option<Due>,
}

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().half).poll_read(cx, buf)
    }
}

impl Half for Incoming {
    fn wants(&mut self, bytes: usize) {
        if let Some(due) = &self.due {
            due.set(bytes);
        }
    }
}

impl<T: Unpin> Half for WriteHalf<T> {}

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

/// Both directions of a stream that is no TCP connection itself.
pub(crate) fn split(stream: Box<dyn Stream>) -> (Incoming, WriteHalf<Box<dyn Stream>>) {
    let tls = (&*stream as &dyn Any).downcast_ref::<TlsStream<LowWater>>();
    let due = tls.map(|tls| tls.get_ref().0.due());
    let (half, writer) = tokio::io::split(stream);
    (Incoming { half, due }, writer)
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
