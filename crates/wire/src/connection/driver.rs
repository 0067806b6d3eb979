//! The task of a connection: writes requests in order, reads answers in order, watches the oldest deadline.

use super::buffers::BufferPool;
use super::error::{Cause, ConnectionError};
use super::reply::{Payloads, Reply};
use super::writing::write_requests;
use crate::frame::Frame;
use crate::transport::{Half, Plain, Stream, split};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// A request to write.
pub(super) struct Outgoing {
    pub(super) frame: Frame,
    pub(super) timeout: Duration,
    pub(super) payloads: Payloads,
    pub(super) reply: Reply,
}

/// A written request whose answer is due.
pub(super) struct Waiting {
    pub(super) correlation_id: i32,
    pub(super) api_key: i16,
    /// The version of a Fetch answer whose payloads may be left out.
    pub(super) scan_as: Option<i16>,
    pub(super) request_bytes: usize,
    /// The answer is no shorter.
    pub(super) least_answer_bytes: usize,
    pub(super) timeout: Duration,
    pub(super) deadline: Instant,
    pub(super) reply: Reply,
}

/// What is asked for with the oldest request under way.
pub(super) struct Oldest {
    pub(super) api_key: i16,
    pub(super) scan_as: Option<i16>,
}

/// More answers than this are not waited for at a time.
const MOST_TOGETHER: usize = 3;
/// Bytes of requests behind them that keep the broker busy meanwhile.
const LEAST_BEHIND: usize = 128 << 10;

/// Requests under way, oldest first.
#[derive(Default)]
pub(super) struct InFlight(Mutex<VecDeque<Waiting>>);

impl InFlight {
    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn oldest(&self) -> Option<Oldest> {
        self.lock().front().map(|oldest| Oldest { api_key: oldest.api_key, scan_as: oldest.scan_as })
    }

    /// How much will come, at the least, of the answers that may as well be read together: with much under way behind them the
    /// broker has enough to do, and being woken for each costs more than all else about it.
    pub(super) fn together_bytes(&self) -> usize {
        let waiting = self.lock();
        let mut behind: usize = waiting.iter().map(|waiting| waiting.request_bytes).sum();
        let may_wait = |waiting: &&Waiting| {
            behind -= waiting.request_bytes;
            waiting.least_answer_bytes > 0 && behind >= LEAST_BEHIND
        };
        waiting
            .iter()
            .take(MOST_TOGETHER)
            .take_while(may_wait)
            .map(|waiting| waiting.least_answer_bytes)
            .sum()
    }
}

/// How often the oldest deadline is looked at: deadlines are tens of seconds, and a timer per request
/// would cost more than it tells.
const DEADLINE_CHECK: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    pub(super) address: Arc<str>,
    pub(super) failure: Arc<OnceLock<Arc<ConnectionError>>>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) max_frame_bytes: usize,
}

impl Driver {
    /// Runs until the stream fails or every handle is gone; then tells all waiters the one cause.
    pub(super) async fn run(self, mut stream: Box<dyn Stream>, mut queued: mpsc::Receiver<Outgoing>) {
        let in_flight = InFlight::default();
        let cause = if let Some(tcp) = stream.as_tcp() {
            let (reader, writer) = tcp.split();
            self.drive(Plain::new(reader), writer, &mut queued, &in_flight).await
        } else {
            let (reader, writer) = split(stream);
            self.drive(reader, writer, &mut queued, &in_flight).await
        };
        let error = Arc::new(ConnectionError { address: self.address, cause });
        tracing::debug!(%error, "connection ended");
        // The cause is set before the queue closes: whoever finds the queue closed finds the cause.
        let error = self.failure.get_or_init(|| error);
        queued.close();
        let waiting: Vec<Waiting> = in_flight.lock().drain(..).collect();
        for waiting in waiting {
            waiting.reply.give(Err(error.clone()));
        }
        while let Some(outgoing) = queued.recv().await {
            outgoing.reply.give(Err(error.clone()));
        }
    }

    /// Moves bytes until something fails, and tells what.
    async fn drive(
        &self,
        reader: impl AsyncRead + Half,
        writer: impl AsyncWrite + Half,
        queued: &mut mpsc::Receiver<Outgoing>,
        in_flight: &InFlight,
    ) -> Cause {
        tokio::select! {
            biased;
            ended = write_requests(writer, queued, in_flight, &self.pool) => match ended {
                Ok(()) => Cause::Closed { during: None },
                Err(error) => cause_of(error, in_flight),
            },
            Err(cause) = self.read_answers(reader, in_flight) => cause,
            cause = watch_deadlines(in_flight) => cause,
        }
    }
}

async fn watch_deadlines(in_flight: &InFlight) -> Cause {
    let mut check = tokio::time::interval(DEADLINE_CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = check.tick().await;
        if let Some(oldest) = in_flight.lock().front()
            && oldest.deadline <= now
        {
            return Cause::TimedOut { api_key: oldest.api_key, after: oldest.timeout };
        }
    }
}

pub(super) fn cause_of(error: io::Error, in_flight: &InFlight) -> Cause {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Cause::Closed { during: in_flight.lock().front().map(|oldest| oldest.api_key) }
        }
        _ => Cause::Io(error),
    }
}
