//! What keeps a partition from getting on, for now: trying again may help, and goes on; people are told after two seconds.

use crate::error::Side;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::BrokerError;

/// What lasts so long is said: leaders that move and brokers that restart are sooner over.
pub(crate) const WORD_AFTER: Duration = Duration::from_secs(2);

/// What a partition waits for, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is in the way.
    pub obstacle: Obstacle,
    /// When the partition got on last.
    pub since: Instant,
    /// Whether it has been said.
    pub(crate) is_said: bool,
}

/// What is in the way of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// Which cluster.
    pub side: Side,
    /// Which of its brokers, where it is one.
    pub broker: Option<i32>,
    /// What it is.
    pub cause: Cause,
}

/// Why a partition does not get on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A broker answers with an error that may pass.
    Refused {
        /// Which request.
        request: &'static str,
        /// What it answered.
        code: BrokerError,
    },
    /// No broker leads the partition.
    NoLeader,
    /// The cluster does not know the topic: it is deleted, or its metadata is on the way.
    NoTopic,
    /// The broker does not answer, or the connection to it is lost; the last error.
    Lost(Arc<str>),
    /// The leader cannot say yet what its log holds.
    Unclear,
    /// A transaction is open: what stands behind its first record is read only once it is committed or aborted.
    OpenTransaction {
        /// Source offset of its first record.
        from: i64,
        /// Offsets from there to the end of the log.
        behind: i64,
        /// Whose transaction it is, once the leader has said so.
        holder: Option<Holder>,
    },
}

/// A producer with an open transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Source offset of the first record of its transaction.
    pub from: i64,
    /// Its id.
    pub producer_id: i64,
    /// Time of the last record that it wrote to the partition, in milliseconds since the epoch.
    pub last_timestamp_ms: i64,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, broker, cause } = self;
        let who = |f: &mut fmt::Formatter<'_>| match broker {
            Some(broker) => write!(f, "broker {broker} of the {side} cluster"),
            None => write!(f, "the {side} cluster"),
        };
        match cause {
            Cause::Refused { request, code } => {
                who(f)?;
                write!(f, " refuses {request}: {code}")
            }
            Cause::NoLeader => write!(f, "no broker of the {side} cluster leads it"),
            Cause::NoTopic => write!(f, "the {side} cluster does not know the topic (any more)"),
            Cause::Lost(error) => {
                who(f)?;
                write!(f, " does not answer: {error}")
            }
            Cause::OpenTransaction { from, behind, holder } => {
                write!(
                    f,
                    "a transaction that is open on the {side} cluster holds back {behind} offsets from offset {from} on"
                )?;
                match holder {
                    Some(Holder { producer_id, last_timestamp_ms, .. }) => write!(
                        f,
                        "; it is that of producer id {producer_id}, whose last record is of {last_timestamp_ms} ms since the epoch"
                    )?,
                    None => f.write_str("; the leader does not say whose it is")?,
                }
                f.write_str(". If its producer is gone, end it: kafka-transactions.sh find-hanging, abort")
            }
            Cause::Unclear => {
                who(f)?;
                f.write_str(" cannot say yet what its log holds")
            }
        }
    }
}

impl Obstacle {
    pub(crate) fn refused(side: Side, broker: Option<i32>, request: &'static str, code: BrokerError) -> Self {
        Self { side, broker, cause: Cause::Refused { request, code } }
    }

    pub(crate) fn no_leader(side: Side) -> Self {
        Self { side, broker: None, cause: Cause::NoLeader }
    }

    /// Whether records that were sent have met it, so that only records that are taken show that it is gone.
    fn is_met_by_records(&self) -> bool {
        matches!(self.cause, Cause::Refused { request: PRODUCE, .. })
    }
}

/// The request that records go out with.
pub(crate) const PRODUCE: &str = "Produce";

/// The trouble of one partition, if it has any.
#[derive(Debug, Default)]
pub(crate) struct Troubled {
    now: Option<Trouble>,
    /// Was said, and is over; that has not been said.
    over: Option<Trouble>,
}

impl Troubled {
    /// Something is in the way; what was there before is still part of the same trouble.
    pub(crate) fn meets(&mut self, obstacle: Obstacle, now: Instant) {
        match &mut self.now {
            Some(trouble) => trouble.obstacle = obstacle,
            None => {
                let before = self.over.take();
                let is_said = before.is_some();
                let since = before.map_or(now, |trouble| trouble.since);
                self.now = Some(Trouble { obstacle, since, is_said });
            }
        }
    }

    /// The source has given what was asked for, or the target has taken what it was sent.
    pub(crate) fn gets_on(&mut self, side: Side) {
        self.forget_if(|obstacle| obstacle.side == side);
    }

    /// The target has said what it holds.
    pub(crate) fn is_known(&mut self) {
        self.forget_if(|obstacle| obstacle.side == Side::Target && !obstacle.is_met_by_records());
    }

    fn forget_if(&mut self, is_gone: impl Fn(&Obstacle) -> bool) {
        if let Some(trouble) = self.now.take_if(|trouble| is_gone(&trouble.obstacle)) {
            self.over = Some(trouble).filter(|trouble| trouble.is_said);
        }
    }

    /// A partition that has stopped has told why.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }

    /// What keeps it, if anything does.
    pub(crate) fn current(&self) -> Option<&Trouble> {
        self.now.as_ref()
    }

    /// The offset at which an open transaction begins whose producer is not known, if that has lasted.
    pub(crate) fn is_held_by_unknown(&self, now: Instant) -> Option<i64> {
        let Trouble { obstacle, since, .. } = self.now.as_ref()?;
        match obstacle.cause {
            Cause::OpenTransaction { from, holder: None, .. } if now.duration_since(*since) >= WORD_AFTER => {
                Some(from)
            }
            _ => None,
        }
    }

    /// Whose transaction it is that begins at `holder.from`.
    pub(crate) fn is_held_by(&mut self, found: Holder) {
        if let Some(Trouble {
            obstacle: Obstacle { cause: Cause::OpenTransaction { from, holder, .. }, .. },
            ..
        }) = &mut self.now
            && *from == found.from
        {
            *holder = Some(found);
        }
    }

    /// What has to be said: of a trouble that lasts, once.
    pub(crate) fn take_word(&mut self, now: Instant) -> Option<Trouble> {
        let trouble = self.now.as_mut()?;
        // Whose transaction it is, is asked first.
        let is_unknown = matches!(trouble.obstacle.cause, Cause::OpenTransaction { holder: None, .. });
        let after = if is_unknown { 2 * WORD_AFTER } else { WORD_AFTER };
        let is_due = !trouble.is_said && now.duration_since(trouble.since) >= after;
        is_due.then(|| {
            trouble.is_said = true;
            trouble.clone()
        })
    }

    /// What was said and is over.
    pub(crate) fn take_over(&mut self) -> Option<Trouble> {
        self.over.take()
    }

    /// Whether there is, or may be, something to say later.
    pub(crate) fn is_pending(&self) -> bool {
        self.over.is_some() || self.now.as_ref().is_some_and(|trouble| !trouble.is_said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(side: Side, request: &'static str) -> Obstacle {
        Obstacle::refused(side, Some(2), request, BrokerError(19))
    }

    #[test]
    fn what_lasts_is_said_once_and_its_end_once() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut troubled = Troubled::default();
        troubled.meets(refused(Side::Target, PRODUCE), begin);
        assert!(troubled.take_word(after(1)).is_none() && troubled.is_pending());
        // Looked up in between, and refused again: the same trouble.
        troubled.is_known();
        troubled.meets(refused(Side::Target, PRODUCE), after(1));
        let said = troubled.take_word(after(2)).unwrap();
        assert_eq!(
            (said.since, said.obstacle.to_string()),
            (begin, "broker 2 of the target cluster refuses Produce: NOT_ENOUGH_REPLICAS (19)".to_owned())
        );
        assert!(troubled.take_word(after(3)).is_none() && !troubled.is_pending());
        troubled.gets_on(Side::Source);
        assert!(troubled.current().is_some());
        troubled.gets_on(Side::Target);
        assert!(troubled.current().is_none() && troubled.is_pending());
        assert_eq!(troubled.take_over().unwrap().since, begin);
        assert!(troubled.take_over().is_none());
    }

    #[test]
    fn what_is_over_soon_is_not_said() {
        let begin = Instant::now();
        let mut troubled = Troubled::default();
        troubled.meets(Obstacle::no_leader(Side::Source), begin);
        troubled.gets_on(Side::Source);
        assert!(troubled.take_word(begin + WORD_AFTER).is_none() && troubled.take_over().is_none());
        troubled.meets(refused(Side::Target, "OffsetForLeaderEpoch"), begin);
        troubled.is_known();
        assert!(troubled.current().is_none());
    }
}
