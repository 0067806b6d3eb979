//! Receive buffers that come back when the last slice of their frame is dropped.
//!
//! Large frames follow one another at the rate of the network; taking fresh memory for each would have
//! the kernel clear and map every page again. The pool also knows how many bytes of frames are alive,
//! slices or not: that is the figure a memory budget has to count. And it knows how many bytes were copied: into the process, within
//! it, and out of it again.

use bytes::Bytes;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Frames below this are not worth keeping.
const SMALL_BYTES: usize = 16 << 10;
/// Buffers are this many bytes or a multiple, so that frames of similar size share them.
const GRAIN_BYTES: usize = 64 << 10;

/// Shared by all connections of a cluster.
#[derive(Debug)]
pub struct BufferPool {
    free: Mutex<Vec<Vec<u8>>>,
    max_free_bytes: usize,
    /// Unused buffers are kept only while they and what is alive are below this.
    bound_bytes: AtomicUsize,
    alive_bytes: AtomicUsize,
    /// Of these, in frames that are not here yet.
    coming_bytes: AtomicUsize,
    copied_bytes: AtomicU64,
}

impl BufferPool {
    /// A pool that keeps at most `max_free_bytes` of unused buffers.
    pub fn new(max_free_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::default(),
            max_free_bytes,
            bound_bytes: AtomicUsize::new(usize::MAX),
            alive_bytes: AtomicUsize::new(0),
            coming_bytes: AtomicUsize::new(0),
            copied_bytes: AtomicU64::new(0),
        })
    }

    /// From now on unused buffers are kept only while all together are below `bytes`: as much as may be alive.
    pub fn set_bound(&self, bytes: usize) {
        self.bound_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of received frames that are still referred to, by whatever small slice.
    pub fn alive_bytes(&self) -> usize {
        let coming = self.coming_bytes.load(Ordering::Relaxed);
        self.alive_bytes.load(Ordering::Relaxed).saturating_sub(coming)
    }

    /// Bytes that connections have read into memory and written from it, and that were copied to be put together anew, each time one.
    /// What the kernel moves by itself is not among them; what TLS copies is not either.
    pub fn copied_bytes(&self) -> u64 {
        self.copied_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn copied(&self, bytes: usize) {
        self.copied_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes have come that are not in a buffer.
    pub(crate) fn came(&self, bytes: usize) {
        self.alive_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn will_come(&self, bytes: usize) {
        self.came(bytes);
        self.coming_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// They are gone.
    pub(crate) fn went(&self, bytes: usize) {
        self.alive_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        self.will_come(len);
        let bytes = if len < SMALL_BYTES { Vec::with_capacity(len) } else { self.reuse(len) };
        Buffer { bytes, len, is_coming: true, pool: self.clone() }
    }

    /// Bytes written by `fill` into a buffer of the pool with room for `capacity`; they count as alive until their last slice goes.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn build<E>(
        self: &Arc<Self>,
        capacity: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let mut buffer = self.take(capacity);
        fill(&mut buffer.bytes)?;
        self.copied(buffer.bytes.len());
        Ok(buffer.freeze())
    }

    /// The smallest free buffer that fits, or a new one. One that is much too large would be memory that nobody counts.
    fn reuse(&self, len: usize) -> Vec<u8> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let room = len.next_multiple_of(GRAIN_BYTES);
        let fitting =
            free.iter().enumerate().filter(|(_, buffer)| (len..=2 * room).contains(&buffer.capacity()));
        let best = fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(index, _)| index);
        best.map_or_else(|| Vec::with_capacity(room), |index| free.swap_remove(index))
    }

    fn put_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() < SMALL_BYTES {
            return;
        }
        bytes.clear();
        let alive_bytes = self.alive_bytes.load(Ordering::Relaxed);
        let most = self.bound_bytes.load(Ordering::Relaxed).saturating_sub(alive_bytes);
        let most = most.min(self.max_free_bytes);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept: usize = bytes.capacity() + free.iter().map(Vec::capacity).sum::<usize>();
        free.push(bytes);
        // Small ones go first: a large frame finds no use for them, a small frame fits a large buffer.
        while kept > most {
            let smallest = free.iter().enumerate().min_by_key(|(_, buffer)| buffer.capacity());
            let Some((index, _)) = smallest else { return };
            kept -= free.swap_remove(index).capacity();
        }
    }
}

/// A buffer being filled, then the owner behind a frame's slices.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    len: usize,
    is_coming: bool,
    pool: Arc<BufferPool>,
}

impl Buffer {
    pub(super) fn freeze(mut self) -> Bytes {
        self.has_come();
        Bytes::from_owner(self)
    }

    /// Makes room for `len` bytes in all; they count from now on.
    pub(super) fn grow(&mut self, len: usize) {
        if self.bytes.capacity() < len {
            let mut larger = self.pool.take(len);
            larger.bytes.extend_from_slice(&self.bytes);
            self.pool.copied(self.bytes.len());
            *self = larger;
        } else if let Some(more) = len.checked_sub(self.len) {
            self.pool.will_come(more);
            self.len = len;
        }
    }

    fn has_come(&mut self) {
        if std::mem::replace(&mut self.is_coming, false) {
            self.pool.coming_bytes.fetch_sub(self.len, Ordering::Relaxed);
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.has_come();
        self.pool.went(self.len);
        self.pool.put_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_alive_until_its_last_slice_goes_and_then_its_memory_is_used_again() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(100_000);
        buffer.bytes.resize(100_000, 1);
        let address = buffer.bytes.as_ptr();
        let frame = buffer.freeze();
        let slice = frame.slice(5..6);
        drop(frame);
        assert_eq!(pool.alive_bytes(), 100_000);
        drop(slice);
        assert_eq!(pool.alive_bytes(), 0);
        assert_eq!(pool.take(90_000).bytes.as_ptr(), address);
    }

    #[test]
    fn a_frame_that_grows_counts_in_full_wherever_it_is() {
        let pool = BufferPool::new(1 << 20);
        drop(pool.take(200_000));
        for len in [20_000, 100_000, 400_000] {
            let mut buffer = pool.take(16 << 10);
            buffer.grow(len);
            buffer.grow(10);
            assert!(buffer.bytes.capacity() >= len);
            let frame = buffer.freeze();
            assert_eq!(pool.alive_bytes(), len);
            drop(frame);
            assert_eq!(pool.alive_bytes(), 0);
        }
    }

    #[test]
    fn unused_memory_is_bounded() {
        let pool = BufferPool::new(200_000);
        let buffers: Vec<_> = (0..10).map(|_| pool.take(70_000)).collect();
        drop(buffers);
        let kept: usize = pool.free.lock().unwrap().iter().map(Vec::capacity).sum();
        assert!(kept <= 200_000 && kept > 0, "{kept}");
    }

    #[test]
    fn unused_memory_makes_way_for_what_is_in_use() {
        let pool = BufferPool::new(1 << 20);
        pool.set_bound(500_000);
        let kept = || pool.free.lock().unwrap().iter().map(Vec::capacity).sum::<usize>();
        let in_use = pool.take(300_000);
        drop((pool.take(140_000), pool.take(140_000)));
        assert!(kept() > 0 && kept() <= 200_000, "{}", kept());
        drop(in_use);
        assert!(kept() > 300_000 && kept() <= 500_000, "{}", kept());
    }
}
