//! Plain TCP, with the socket options a long-lived bulk connection wants.

use super::{Connector, Opening, TransportError};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// Socket options.
#[derive(Debug, Clone)]
pub struct TcpConfig {
    /// How long one address may take to accept. Default 5 s.
    pub connect_timeout: Duration,
    /// Idle time before the first keep-alive probe. Default 30 s.
    pub keepalive: Duration,
    /// How long sent bytes may stay unacknowledged before the connection counts as lost (TCP_USER_TIMEOUT;
    /// Linux only). Default 30 s.
    pub user_timeout: Duration,
    /// Kernel send buffer in bytes; `None` leaves it to the system's autotuning (default).
    pub send_buffer_bytes: Option<u32>,
    /// Kernel receive buffer in bytes; `None` leaves it to the system's autotuning (default).
    pub receive_buffer_bytes: Option<u32>,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            user_timeout: Duration::from_secs(30),
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
        }
    }
}

/// Opens TCP connections.
#[derive(Debug, Clone, Default)]
pub struct TcpConnector {
    config: TcpConfig,
}

impl TcpConnector {
    /// A connector with these options.
    pub fn new(config: TcpConfig) -> Self {
        Self { config }
    }

    pub(super) async fn open(&self, host: &str, port: u16) -> Result<TcpStream, TransportError> {
        let addresses = lookup_host((host, port)).await.map_err(TransportError::NoSuchHost)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match self.open_address(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(TransportError::Connect(last))
    }

    async fn open_address(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let TcpConfig { connect_timeout, keepalive, user_timeout, send_buffer_bytes, receive_buffer_bytes } =
            &self.config;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        // Buffer sizes take effect on the window scale only when set before connecting.
        if let Some(bytes) = send_buffer_bytes {
            socket.set_send_buffer_size(*bytes)?;
        }
        if let Some(bytes) = receive_buffer_bytes {
            socket.set_recv_buffer_size(*bytes)?;
        }
        let stream = tokio::time::timeout(*connect_timeout, socket.connect(address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let options = SockRef::from(&stream);
        options.set_tcp_keepalive(&TcpKeepalive::new().with_time(*keepalive))?;
        #[cfg(target_os = "linux")]
        options.set_tcp_user_timeout(Some(*user_timeout))?;
        #[cfg(not(target_os = "linux"))]
        let _ = user_timeout;
        Ok(stream)
    }
}

impl Connector for TcpConnector {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Opening<'a> {
        Box::pin(async move {
            let stream = self.open(host, port).await?;
            Ok(Box::new(stream) as Box<dyn super::Stream>)
        })
    }

    fn is_plain_tcp(&self) -> bool {
        true
    }
}
