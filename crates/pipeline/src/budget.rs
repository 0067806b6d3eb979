//! How much fetched data may be held: frames, not slices, because a slice of 100 bytes keeps its frame.

use std::sync::Arc;
use verbatim_wire::connection::BufferPool;

/// The flow's memory bound.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: usize,
    frames: Arc<BufferPool>,
    /// Asked for and not answered yet.
    reserved_bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit_bytes: usize, frames: Arc<BufferPool>) -> Self {
        frames.set_bound(limit_bytes);
        Self { limit_bytes, frames, reserved_bytes: 0 }
    }

    /// Bytes held or asked for.
    pub(crate) fn held_bytes(&self) -> usize {
        self.frames.alive_bytes() + self.reserved_bytes
    }

    /// Sets `bytes` aside for an answer; always granted when nothing is held, so that the flow moves however
    /// small the bound.
    pub(crate) fn reserve(&mut self, bytes: usize) -> bool {
        let held = self.held_bytes();
        let is_granted = held == 0 || held + bytes <= self.limit_bytes;
        if is_granted {
            self.reserved_bytes += bytes;
        }
        is_granted
    }

    /// As [`Budget::reserve`] for what is read ahead of others: leaves a quarter to them.
    pub(crate) fn reserve_ahead(&mut self, bytes: usize) -> bool {
        self.held_bytes() + bytes <= self.limit_bytes - self.limit_bytes / 4 && self.reserve(bytes)
    }

    /// A wider bound from now on, unless it is wider already.
    pub(crate) fn widen(&mut self, limit_bytes: usize) {
        self.limit_bytes = self.limit_bytes.max(limit_bytes);
        self.frames.set_bound(self.limit_bytes);
    }

    /// The bound.
    pub(crate) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Whether `bytes` may be taken for records put together anew. What they were in goes soon after, so a quarter more than the
    /// bound may be held.
    pub(crate) fn has_room_to_merge(&self, bytes: usize) -> bool {
        self.held_bytes() + bytes <= self.limit_bytes + self.limit_bytes / 4
    }

    /// Whether another run of compressed batches may be unpacked, which takes `bytes`, beside so many `others`: a quarter of the
    /// bound is for that, and one may always.
    pub(crate) fn has_room_to_unpack(&self, others: usize, bytes: usize) -> bool {
        others == 0 || (others + 1) * bytes <= self.limit_bytes / 4
    }

    /// The answer is here (and counts as a frame from now on), or will not come.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.reserved_bytes = self.reserved_bytes.saturating_sub(bytes);
    }

    /// What one of `brokers` may be asked for at a time, so that one is answering while another's answer is
    /// on its way to the target. With much queued (`queued_bytes`) it is a part of what is left, which so is never used up by
    /// partitions that all wait for the same target: there has to be room for the others.
    pub(crate) fn share(&self, brokers: usize, most: usize, queued_bytes: usize) -> usize {
        const LEAST: usize = 64 << 10;
        let bytes = if queued_bytes > self.limit_bytes / 8 * 3 {
            self.limit_bytes.saturating_sub(self.frames.alive_bytes()) / 8
        } else {
            self.limit_bytes / 2
        };
        (bytes / brokers.max(1)).clamp(LEAST.min(most), most)
    }

    /// Bytes queued for one target broker at which partitions with a share in it are no longer fetched.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.limit_bytes / 2
    }

    /// Queue length in bytes at which a partition is no longer fetched. What is under way to a far target is part of it.
    pub(crate) fn pause_bytes(&self) -> usize {
        self.limit_bytes / 8 * 3
    }
}
