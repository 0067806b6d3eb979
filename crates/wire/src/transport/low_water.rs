//! A TCP connection that wakes its reader when there is something worth waking for.
//!
//! Brokers write TLS records of 16 KiB, each by itself, and an answer of a megabyte is of no use before its last byte is there. Left alone, the
//! system wakes the reader once for every record: with TLS on both sides that was a quarter of all CPU time. A socket's low-water mark
//! (SO_RCVLOWAT, socket(7)) makes it wait for more. It is no more than a hint: Linux wakes the reader all the same when the receive window
//! is full or memory is short (tcp_epollin_ready in net/ipv4/tcp_input.c), or when the peer closes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What may have been read from the socket already and stand between it and whoever reads the stream: a TLS record of 18 KiB being
/// put together, another whose plaintext is being handed out. To wait for those bytes again would be to wait for ever.
const SLACK_BYTES: usize = 64 << 10;
/// Marks in use, largest first, so that few are set. Larger ones than these save nothing more.
const MARKS: [usize; 3] = [256 << 10, 128 << 10, 64 << 10];

/// How many bytes of a stream its reader wants before it can do anything with them. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Due(Arc<AtomicUsize>);

impl Due {
    pub(crate) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// The mark for it.
    fn mark(&self) -> usize {
        let sure = self.0.load(Ordering::Relaxed).saturating_sub(SLACK_BYTES);
        MARKS.into_iter().find(|mark| *mark <= sure).unwrap_or(1)
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct LowWater {
    tcp: TcpStream,
    due: Due,
    mark: usize,
}

impl LowWater {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, due: Due::default(), mark: 1 }
    }

    /// What is to be told to have an effect on it.
    pub(crate) fn due(&self) -> Due {
        self.due.clone()
    }
}

impl AsyncRead for LowWater {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mark = this.due.mark();
        if mark != this.mark {
            // Where it cannot be set it stays as it was from the beginning.
            system::set_low_water(&this.tcp, mark);
            this.mark = mark;
        }
        Pin::new(&mut this.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for LowWater {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::AsRawFd;
    use std::sync::LazyLock;
    use tokio::net::TcpStream;
    use uapi::c;

    /// Older kernels may let a reader wait for ever where the window is full or memory is short.
    const SINCE: (u32, u32) = (5, 12);
    static IS_USABLE: LazyLock<bool> = LazyLock::new(|| {
        release(&rustix::system::uname().release().to_string_lossy()).is_some_and(|found| found >= SINCE)
    });

    pub(super) fn set_low_water(tcp: &TcpStream, mark: usize) {
        if let (true, Ok(mark)) = (*IS_USABLE, c::c_int::try_from(mark))
            && let Err(error) = uapi::setsockopt(tcp.as_raw_fd(), c::SOL_SOCKET, c::SO_RCVLOWAT, &mark)
        {
            tracing::debug!(%error, mark, "the low-water mark of a connection cannot be set");
        }
    }

    /// The first two numbers of a kernel's release.
    pub(super) fn release(text: &str) -> Option<(u32, u32)> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn set_low_water(_: &tokio::net::TcpStream, _: usize) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
