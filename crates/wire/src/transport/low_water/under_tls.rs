//! Below TLS: brokers write records of 16 KiB, each by itself, and to be woken for each was a quarter of all CPU time with TLS on both sides.

use super::Mark;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many bytes of a stream its reader wants before it can do anything with them. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Due(Arc<AtomicUsize>);

impl Due {
    pub(crate) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much of a record has been read: it may hold bytes that are wanted, which will not come again.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: [u8; HEADER_BYTES],
    /// Bytes of the record that were read, with its header, and are still to come.
    read: usize,
    missing: usize,
}

/// Type, version, length (RFC 8446, 5.1).
const HEADER_BYTES: usize = 5;

impl Records {
    /// Bytes of the record that has begun.
    pub(super) fn read(&self) -> usize {
        self.read
    }

    pub(super) fn came(&mut self, mut bytes: &[u8]) {
        while let [first, ..] = bytes {
            if let Some(field) = self.header.get_mut(self.read) {
                *field = *first;
                (self.read, bytes) = (self.read + 1, bytes.get(1..).unwrap_or_default());
                if self.read == HEADER_BYTES {
                    let [.., high, low] = self.header;
                    self.missing = usize::from(u16::from_be_bytes([high, low]));
                }
            } else {
                let (more, rest) = bytes.split_at(self.missing.min(bytes.len()));
                (self.read, self.missing, bytes) = (self.read + more.len(), self.missing - more.len(), rest);
            }
            if self.read >= HEADER_BYTES && self.missing == 0 {
                self.read = 0;
            }
        }
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct LowWater {
    tcp: TcpStream,
    due: Due,
    records: Records,
    mark: Mark,
}

impl LowWater {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, due: Due::default(), records: Records::default(), mark: Mark::default() }
    }

    /// What is to be told to have an effect on it.
    pub(crate) fn due(&self) -> Due {
        self.due.clone()
    }

    #[cfg(test)]
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl AsyncRead for LowWater {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.tcp).poll_read(cx, buf);
        this.records.came(buf.filled().get(before..).unwrap_or_default());
        if polled.is_pending() {
            // rustls reads on only where it has nothing to hand out but, perhaps, what is in the record that has begun. The rest
            // of what is due takes no fewer bytes on the way than in the clear.
            this.mark.set(&this.tcp, this.due.get().saturating_sub(this.records.read()));
        }
        polled
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
