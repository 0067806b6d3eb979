//! Payloads that stay in the kernel: splice(2) moves them from a socket into a pipe, and from the pipe into another socket, as
//! references to the kernel's own pages. No byte of them is copied, and none enters the process (Linux; `man 2 splice`).
//!
//! A pipe holds one payload at a time and is used again after it. A large answer comes in through a wider one, its basin. Pipes are two
//! file descriptors each, so there are few (`stock.rs`); where none is to be had payloads are read into memory, as everywhere else.

mod basin;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
mod stock;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

pub(crate) use basin::Basin;

use crate::connection::BufferPool;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use stock::{Open, PAYLOADS};
use tokio::net::TcpStream;

/// Payloads below this are cheaper read and written; above the upper bound they may not fit a pipe.
pub(crate) const PIPED_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=160 << 10;

/// What came of filling a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are no pipes"))]
pub(crate) enum Filled {
    /// So many bytes are in it now.
    More,
    /// It takes no more: its pages are used up.
    Full,
    /// The stream has ended.
    End,
}

/// Whether it is the system call that is not to be had (sandboxes), not the stream.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

/// Bytes in a pipe, front to back.
#[derive(Debug)]
pub(crate) struct PipedBytes(Option<Box<Open>>);

impl PipedBytes {
    /// An empty pipe, if one is to be had.
    pub(crate) fn none_yet() -> Option<Self> {
        PAYLOADS.take().map(|open| Self(Some(open)))
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |open| open.len)
    }

    fn count_in(&mut self, pool: &Arc<BufferPool>) {
        if let Some(open) = &mut self.0 {
            pool.came(open.len);
            open.counted = Some((pool.clone(), open.len));
        }
    }

    /// Moves up to `most` bytes out of the stream behind those that are here.
    ///
    /// # Errors
    /// Those of the stream; `WouldBlock` where it has nothing.
    pub(crate) fn fill(&mut self, stream: &TcpStream, most: usize) -> io::Result<Filled> {
        let Some(open) = &mut self.0 else { return Ok(Filled::Full) };
        match open.pipe.fill(stream, most) {
            Ok(0) => Ok(Filled::End),
            Ok(bytes) => {
                open.len += bytes;
                Ok(Filled::More)
            }
            // A stream without bytes and a pipe without room answer alike, also where the stream has ended.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && open.len > 0 && open.pipe.is_full()? =>
            {
                Ok(Filled::Full)
            }
            Err(error) => Err(error),
        }
    }

    /// Moves bytes into the stream, as many as it takes; with `more` it is told that others follow.
    ///
    /// # Errors
    /// Those of the stream; `WouldBlock` where it takes none.
    pub(crate) fn pour(&mut self, stream: &TcpStream, more: bool) -> io::Result<usize> {
        let Some(open) = &mut self.0 else { return Ok(0) };
        let bytes = open.pipe.pour(stream, open.len, more)?;
        open.len = open.len.saturating_sub(bytes);
        Ok(bytes)
    }

    /// Takes all of them into memory, behind what `out` holds.
    ///
    /// # Errors
    /// Where the kernel does not give them.
    pub(crate) fn read_into(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(open) = &mut self.0 else { return Ok(()) };
        out.reserve(open.len);
        while open.len > 0 {
            match open.pipe.read(out)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => open.len = open.len.saturating_sub(bytes),
            }
        }
        Ok(())
    }
}

impl Drop for PipedBytes {
    fn drop(&mut self) {
        let Some(mut open) = self.0.take() else { return };
        if let Some((pool, bytes)) = open.counted.take() {
            pool.went(bytes);
        }
        open.give_back();
    }
}

/// The end of a batch's payload, in a pipe: it can be taken once.
#[derive(Debug)]
pub struct Tail {
    bytes: Mutex<Option<PipedBytes>>,
    len: usize,
}

impl Tail {
    pub(crate) fn new(bytes: PipedBytes) -> Self {
        Self { len: bytes.len(), bytes: Mutex::new(Some(bytes)) }
    }

    /// Bytes of it, taken or not.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// From now on they count as alive in `pool`, as a frame in memory does.
    pub(crate) fn count_in(&mut self, pool: &Arc<BufferPool>) {
        if let Some(piped) = self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner) {
            piped.count_in(pool);
        }
    }

    pub(crate) fn take(&self) -> Option<PipedBytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A tail left out of a frame.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The place in the frame, or in a field of it, behind which it belongs.
    pub(crate) at: usize,
    pub(crate) tail: Tail,
}
