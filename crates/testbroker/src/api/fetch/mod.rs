//! Fetch, key 1, versions 4 to 18.
//!
//! In order: [`sessions`] say what is wanted, [`mod@gather`] reads it (again and again while polling), [`response`] is
//! written by hand so that stored payloads are never copied.
//!
//! * Long poll: answers at `min_bytes`, at any error or divergence, or after `max_wait_ms`.
//! * read_committed reads to the last stable offset and lists aborted transactions.
//! * A byte limit cuts the last batch anywhere; the first partition with data gets at least one whole batch.
//! * Only leaders answer, also to versions that may ask a follower.
//! * 7+: sessions. 9+: leader epochs. 12+: `LastFetchedEpoch` is answered with the diverging epoch. 13+: topic ids.
//!   16+: the new leader beside `NOT_LEADER_OR_FOLLOWER` and `FENCED_LEADER_EPOCH`.
//! * When throttled: an empty answer at once, then silence for the throttle time.

pub(crate) mod gather;
pub(crate) mod response;
pub(crate) mod sessions;

use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use tokio::time::Instant;

use crate::api::fetch::gather::{Gathered, gather};
use crate::api::fetch::response::FetchReply;
use crate::api::fetch::sessions::Wanted;
use crate::api::{Api, Call};
use crate::error::ErrorCode;

/// `fetch.max.bytes` of a broker.
const BROKER_MAX_BYTES: usize = 55 * 1024 * 1024;

pub(crate) struct Fetch;

/// What a request allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchLimits {
    pub(crate) max_bytes: usize,
    pub(crate) min_bytes: usize,
    pub(crate) read_committed: bool,
}

impl Api for Fetch {
    type Request = FetchRequest;
    type Response = FetchReply;

    async fn answer(call: &Call, request: FetchRequest) -> FetchReply {
        let limits = limits(&request);
        let max_wait = Duration::from_millis(request.max_wait_ms.max(0) as u64);
        let session = match sessions::begin(call, &request) {
            Ok(session) => session,
            Err(code) => return FetchReply::refused(code),
        };
        let throttle = call.throttle();
        if throttle > Duration::ZERO {
            return FetchReply::throttled(session.id(), throttle);
        }
        let wanted = session.wanted(call, &request);
        let gathered = poll(call, &wanted, limits, Instant::now() + max_wait).await;
        sessions::finish(call, &session, &wanted, gathered)
    }

    fn refuse(request: &FetchRequest, version: i16, code: ErrorCode) -> FetchReply {
        if version >= sessions::SESSION_VERSION {
            return FetchReply::refused(code);
        }
        let wanted = sessions::requested(request);
        FetchReply::of(0, wanted.iter().map(|wanted| (wanted, gather::refused(code))).collect())
    }
}

/// Reads until there is enough, or time is up.
async fn poll(call: &Call, wanted: &[Wanted], limits: FetchLimits, deadline: Instant) -> Vec<Gathered> {
    loop {
        // Made before the read: `notify_waiters` reaches it from now on, so no change is missed before the wait.
        let changed = call.core.changed.notified_at(call.node);
        let gathered = gather(call, wanted, limits);
        let bytes: usize = gathered.iter().map(|it| it.slice.bytes).sum();
        let urgent = gathered.iter().any(Gathered::is_urgent);
        if urgent || bytes >= limits.min_bytes || wanted.is_empty() || Instant::now() >= deadline {
            return gathered;
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

fn limits(request: &FetchRequest) -> FetchLimits {
    let max_bytes = (request.max_bytes.max(0) as usize).min(BROKER_MAX_BYTES);
    FetchLimits {
        max_bytes,
        min_bytes: (request.min_bytes.max(0) as usize).min(max_bytes),
        read_committed: request.isolation_level == 1,
    }
}
