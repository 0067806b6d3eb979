//! The task of a connection: writes requests in order, reads answers in order, watches the oldest deadline.

use super::buffers::BufferPool;
use super::error::{Cause, ConnectionError};
use super::reply::Reply;
use crate::fetch;
use crate::frame::Frame;
use crate::transport::Stream;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// A request to write.
pub(super) struct Outgoing {
    pub(super) frame: Frame,
    pub(super) timeout: Duration,
    pub(super) reply: Reply,
}

/// A written request whose answer is due.
struct Waiting {
    correlation_id: i32,
    api_key: i16,
    timeout: Duration,
    deadline: Instant,
    reply: Reply,
}

/// Requests under way, oldest first.
#[derive(Default)]
struct InFlight(Mutex<VecDeque<Waiting>>);

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is asked for with the oldest.
    fn oldest(&self) -> Option<i16> {
        self.lock().front().map(|oldest| oldest.api_key)
    }
}

/// How often the oldest deadline is looked at: deadlines are tens of seconds, and a timer per request
/// would cost more than it tells.
const DEADLINE_CHECK: Duration = Duration::from_secs(1);

/// Read at once where answers are small.
const EARLY_BYTES: usize = 4 << 10;
/// Room for many of them, taken at once.
const EARLY_ROOM_BYTES: usize = 32 << 10;
/// With less room left than this, more is taken.
const LEAST_ROOM_BYTES: usize = 1 << 10;

pub(super) struct Driver {
    pub(super) address: Arc<str>,
    pub(super) failure: Arc<OnceLock<Arc<ConnectionError>>>,
    pub(super) pool: Arc<BufferPool>,
    pub(super) max_frame_bytes: usize,
}

impl Driver {
    /// Runs until the stream fails or every handle is gone; then tells all waiters the one cause.
    pub(super) async fn run(self, stream: Box<dyn Stream>, mut queued: mpsc::Receiver<Outgoing>) {
        let in_flight = InFlight::default();
        let (reader, writer) = tokio::io::split(stream);
        let cause = tokio::select! {
            ended = write_requests(writer, &mut queued, &in_flight) => match ended {
                Ok(()) => Cause::Closed { during: None },
                Err(error) => cause_of(error, &in_flight),
            },
            Err(cause) = self.read_answers(reader, &in_flight) => cause,
            cause = watch_deadlines(&in_flight) => cause,
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

    async fn read_answers(
        &self,
        mut reader: impl AsyncRead + Unpin,
        in_flight: &InFlight,
    ) -> Result<Infallible, Cause> {
        let mut early = Early::default();
        loop {
            let mut answer = self.read_frame(&mut reader, &mut early, in_flight).await?;
            let received = answer.get_i32();
            let waiting = in_flight.lock().pop_front();
            match waiting {
                Some(waiting) if waiting.correlation_id == received => {
                    // The first request of all says nothing of those to come.
                    early.is_usual |=
                        ![fetch::API_KEY, ApiKey::ApiVersions as i16].contains(&waiting.api_key);
                    waiting.reply.give(Ok(answer));
                }
                Some(waiting) => {
                    let expected = Some(waiting.correlation_id);
                    in_flight.lock().push_front(waiting);
                    return Err(Cause::OutOfStep { expected, received });
                }
                None => return Err(Cause::OutOfStep { expected: None, received }),
            }
        }
    }

    /// One answer with its correlation id, in one buffer of the pool, read without clearing it first.
    async fn read_frame(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        early: &mut Early,
        in_flight: &InFlight,
    ) -> Result<Bytes, Cause> {
        while early.len() < 4 {
            // What a Fetch answer brings is to stay where it is put.
            let is_small = in_flight.oldest().map_or(early.is_usual, |api_key| api_key != fetch::API_KEY);
            let most = if is_small { EARLY_BYTES } else { 4 - early.len() };
            read_some(reader, &mut early.room().limit(most), in_flight).await?;
        }
        let prefix = early.take_prefix();
        let size = i32::from_be_bytes(prefix);
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        if len > self.max_frame_bytes || len < 4 {
            return Err(match prefix {
                [b'H', b'T', b'T', b'P'] => Cause::Http,
                [0x15, 0x03, ..] => Cause::TlsListener,
                _ => Cause::FrameSize { bytes: size, limit: self.max_frame_bytes },
            });
        }
        if early.len() >= len {
            return Ok(early.take(len));
        }
        let mut buffer = self.pool.take(len);
        early.take_into(&mut buffer.bytes);
        while buffer.bytes.len() < len {
            let missing = len - buffer.bytes.len();
            read_some(reader, &mut (&mut buffer.bytes).limit(missing), in_flight).await?;
        }
        Ok(buffer.freeze())
    }
}

/// Reads what there is, as far as `room` goes.
async fn read_some(
    reader: &mut (impl AsyncRead + Unpin),
    room: &mut impl BufMut,
    in_flight: &InFlight,
) -> Result<(), Cause> {
    match reader.read_buf(room).await {
        Ok(0) => Err(cause_of(io::ErrorKind::UnexpectedEof.into(), in_flight)),
        Ok(_) => Ok(()),
        Err(error) => Err(cause_of(error, in_flight)),
    }
}

/// Bytes read before it was known what they belong to: small answers come whole with one read.
#[derive(Default)]
struct Early {
    bytes: BytesMut,
    /// Answers have been small: what comes next is while nothing is under way yet.
    is_usual: bool,
}

impl Early {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn room(&mut self) -> &mut BytesMut {
        if self.bytes.capacity() - self.bytes.len() < LEAST_ROOM_BYTES {
            self.bytes.reserve(EARLY_ROOM_BYTES);
        }
        &mut self.bytes
    }

    /// The length in front of an answer, of which at least that is there.
    fn take_prefix(&mut self) -> [u8; 4] {
        self.bytes.get_u32().to_be_bytes()
    }

    /// An answer that is there as a whole.
    fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len).freeze()
    }

    /// Moves what is there of an answer to where it is collected.
    fn take_into(&mut self, answer: &mut Vec<u8>) {
        answer.extend_from_slice(&self.bytes);
        self.bytes.clear();
    }
}

/// Writes until every handle is gone.
async fn write_requests(
    mut writer: impl AsyncWrite + Unpin,
    queued: &mut mpsc::Receiver<Outgoing>,
    in_flight: &InFlight,
) -> io::Result<()> {
    let mut correlation_id = 0i32;
    while let Some(Outgoing { frame, timeout, reply }) = queued.recv().await {
        correlation_id = correlation_id.wrapping_add(1);
        let api_key = frame.api_key();
        let deadline = Instant::now() + timeout;
        // Noted before the first byte is written, so that no answer can find it missing.
        in_flight.lock().push_back(Waiting { correlation_id, api_key, timeout, deadline, reply });
        let mut sealed = frame.seal(correlation_id);
        writer.write_all_buf(&mut sealed).await?;
        writer.flush().await?;
    }
    Ok(())
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

fn cause_of(error: io::Error, in_flight: &InFlight) -> Cause {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Cause::Closed { during: in_flight.lock().front().map(|oldest| oldest.api_key) }
        }
        _ => Cause::Io(error),
    }
}
