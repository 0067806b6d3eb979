//! Pipes that hold nothing, and how many there may be.
//!
//! The kernel counts a pipe by the pages it has room for, and lets a user without privileges have 16,384 of them
//! (`/proc/sys/fs/pipe-user-pages-soft`), at most 256 in one pipe (`pipe-max-size`). All of ours together stay below that.

use super::system::{self, Pipe};
use crate::connection::BufferPool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// No more pipes for payloads than this.
const MOST_PIPES: usize = 220;
/// For so many of the process's file descriptors there may be one of them, which takes two.
const DESCRIPTORS_PER_PIPE: usize = 6;

/// Of 64 pages, of whatever fill: a payload of 64 KiB is 17 pages of a file, or 45 packets.
pub(super) static PAYLOADS: Stock = Stock::new(64, 1);
/// Of 256 pages: some 15 such payloads. At most eight: connections have one for as long as an answer comes in.
pub(super) static BASINS: Stock = Stock::new(256, 27);

/// Pipes of one width.
#[derive(Debug)]
pub(super) struct Stock {
    pages: usize,
    /// One of these for so many pipes that there may be for payloads.
    divisor: usize,
    #[expect(clippy::vec_box, reason = "each goes from here to where it is used, and back, as it is")]
    spare: Mutex<Vec<Box<Open>>>,
    open: AtomicUsize,
}

impl Stock {
    const fn new(pages: usize, divisor: usize) -> Self {
        Self { pages, divisor, spare: Mutex::new(Vec::new()), open: AtomicUsize::new(0) }
    }

    /// An empty one, if one is to be had.
    pub(super) fn take(&'static self) -> Option<Box<Open>> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.or_else(|| self.make())
    }

    fn make(&'static self) -> Option<Box<Open>> {
        if self.open.fetch_add(1, Ordering::Relaxed) < most_pipes() / self.divisor
            && let Ok(pipe) = Pipe::open(self.pages)
        {
            return Some(Box::new(Open { pipe, len: 0, counted: None, stock: self }));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

/// How many pipes for payloads the process may have, by its limit of file descriptors.
fn most_pipes() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| MOST_PIPES.min(system::most_descriptors() / DESCRIPTORS_PER_PIPE))
}

/// A pipe, counted, and what is in it.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) pipe: Pipe,
    pub(super) len: usize,
    /// Where so many bytes count as alive.
    pub(super) counted: Option<(Arc<BufferPool>, usize)>,
    stock: &'static Stock,
}

impl Open {
    /// For the next to use it; with something in it, it is of no use to the next.
    pub(super) fn give_back(self: Box<Self>) {
        if self.len == 0 {
            let stock = self.stock;
            stock.spare.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stock.open.fetch_sub(1, Ordering::Relaxed);
    }
}
