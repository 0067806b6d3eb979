//! Payloads that stay in the kernel: splice(2) moves them from a socket into a pipe, and from the pipe into another socket, as
//! references to the kernel's own pages. No byte of them is copied, and none enters the process (Linux; `man 2 splice`).
//!
//! A pipe holds one payload at a time and is used again after it. Pipes are two file descriptors each, so there are few
//! (at most 240, by the process's limit of descriptors); where none is to be had payloads are read into memory, as everywhere else.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;

use crate::connection::BufferPool;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use system::Pipe;
use tokio::net::TcpStream;

/// No more pipes than this: with room for 64 pages each they stay below what the kernel lets a user without privileges have
/// (`/proc/sys/fs/pipe-user-pages-soft`, 16,384 pages).
const MOST_PIPES: usize = 240;
/// For so many of the process's file descriptors there may be one pipe, which takes two.
const DESCRIPTORS_PER_PIPE: usize = 6;

/// Payloads below this are cheaper read and written; above the upper bound they may not fit a pipe.
pub(crate) const PIPED_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=160 << 10;

/// Pipes that hold nothing.
#[expect(clippy::vec_box, reason = "each goes from here to where it is used, and back, as it is")]
static SPARE: Mutex<Vec<Box<Open>>> = Mutex::new(Vec::new());
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// How many pipes the process may have, by its limit of file descriptors.
fn most_pipes() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| MOST_PIPES.min(system::most_descriptors() / DESCRIPTORS_PER_PIPE))
}

/// A pipe, counted, and what is in it.
#[derive(Debug)]
struct Open {
    pipe: Pipe,
    len: usize,
    /// Where so many bytes count as alive.
    counted: Option<(Arc<BufferPool>, usize)>,
}

impl Open {
    fn new() -> Option<Box<Self>> {
        if OPEN.fetch_add(1, Ordering::Relaxed) < most_pipes()
            && let Ok(pipe) = Pipe::open()
        {
            return Some(Box::new(Self { pipe, len: 0, counted: None }));
        }
        OPEN.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

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
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.or_else(Open::new).map(|open| Self(Some(open)))
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
        let (outcome, bytes) = open.pipe.fill(stream, most)?;
        open.len += bytes;
        Ok(outcome)
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
        // With something in it a pipe is of no use to the next.
        if open.len == 0 {
            SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(open);
        }
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
