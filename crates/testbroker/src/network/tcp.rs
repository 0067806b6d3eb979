//! Listeners on 127.0.0.1. A broker that is down refuses connections and still owns its port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};

use crate::cluster::core::Core;
use crate::network::connection::serve;

const BACKLOG: u32 = 1024;

/// A port held for one broker over its crashes.
///
/// The holding socket is bound and never listens: connections are refused, and nobody else is given the port. The
/// broker listens on a second socket bound to the same port.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    /// Takes a free port.
    pub(crate) fn take() -> io::Result<Self> {
        let held = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self { address: held.local_addr()?, _held: held })
    }

    pub(crate) fn number(&self) -> u16 {
        self.address.port()
    }

    /// Begins to listen.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        bind(self.address)?.listen(BACKLOG)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections for one broker until aborted.
pub(crate) async fn accept(listener: TcpListener, core: Arc<Core>, node: i32) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: let others finish.
            tokio::task::yield_now().await;
            continue;
        };
        // Requests are answered one by one: waiting to fill a segment only adds latency.
        if stream.set_nodelay(true).is_ok() {
            core.spawn(node, serve(stream, Arc::clone(&core), node, peer.ip().to_string()));
        }
    }
}
