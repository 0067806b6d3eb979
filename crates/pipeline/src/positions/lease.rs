//! Who among several instances of a flow may do what brokers cannot make safe by themselves.
//!
//! Instances append claims to the state topic, whose one log puts them in order and stamps them with the broker's
//! time (LogAppendTime). A claim counts if, at its time, no other instance held one that had not ended. Everybody
//! reads the same log and comes to the same view. The holder trusts its claim for less than it lasts for the
//! others, counted on its own clock from before the claim was sent, so clocks need not agree.

use std::time::Duration;
use tokio::time::Instant;

/// How long a claim lasts for the others, in milliseconds of the broker's time.
pub(super) const TTL_MS: i64 = 3000;
/// How long its holder trusts it, from before it was sent.
pub(super) const TRUST: Duration = Duration::from_millis(2000);

/// Sole ownership for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The same while no other instance holds one in between, and greater than that of every claim granted before: a
    /// fence (a marker's coordinator epoch).
    pub number: i64,
    /// Until when it may be relied on, unless renewed.
    pub until: Instant,
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// Granted, or renewed.
    Ours(Claim),
    /// Another instance holds it; ask again after this.
    Theirs(Duration),
}

/// The claims read so far, folded.
#[derive(Debug, Clone, Default)]
pub(super) struct Holder {
    current: Option<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    owner: String,
    /// Offset of the first of its claims since another's.
    since: i64,
    ends_ms: i64,
}

impl Holder {
    /// The next claim of the log, which stands at offset `at`. One that lasts no time gives up what its owner holds.
    pub(super) fn read(&mut self, owner: &str, at: i64, time_ms: i64, ttl_ms: i64) {
        let before = self.current.as_ref();
        if before.is_some_and(|held| held.owner != owner && held.ends_ms > time_ms) {
            return;
        }
        let since = before.filter(|held| held.owner == owner).map_or(at, |held| held.since);
        let held = Held { owner: owner.to_owned(), since, ends_ms: time_ms.saturating_add(ttl_ms) };
        self.current = (ttl_ms > 0).then_some(held);
    }

    /// The number of `owner`'s claim, if it is the one that holds.
    pub(super) fn number_of(&self, owner: &str) -> Option<i64> {
        self.current.as_ref().filter(|held| held.owner == owner).map(|held| held.since)
    }

    /// How long the claim lasts that was current at `time_ms`.
    pub(super) fn left_ms(&self, time_ms: i64) -> i64 {
        self.current.as_ref().map_or(0, |held| (held.ends_ms - time_ms).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_counts_while_no_other_holds_one() {
        let mut holder = Holder::default();
        holder.read("a", 10, 1000, 3000);
        holder.read("b", 11, 3999, 3000);
        assert_eq!((holder.number_of("a"), holder.number_of("b")), (Some(10), None));
        assert_eq!(holder.left_ms(3999), 1);
        holder.read("a", 12, 3999, 3000);
        holder.read("b", 13, 4000, 3000);
        assert_eq!(holder.number_of("a"), Some(10), "renewed");
        holder.read("b", 14, 6999, 3000);
        assert_eq!(holder.number_of("b"), Some(14));
        holder.read("a", 15, 7000, 3000);
        assert_eq!(holder.number_of("b"), Some(14));
        holder.read("b", 16, 7001, 0);
        holder.read("a", 17, 7001, 3000);
        assert_eq!(holder.number_of("a"), Some(17), "given up, and another than it was before");
        holder.read("a", 18, 90_000, 3000);
        assert_eq!(holder.number_of("a"), Some(17), "nobody has been there meanwhile");
        holder.read("a", 19, 90_001, 0);
        holder.read("a", 20, 90_002, 3000);
        assert_eq!(holder.number_of("a"), Some(20));
    }
}
