//! A connection to one broker: a FIFO of requests and their promised answers.
//!
//! The broker works on one request at a time per connection and answers in order (`SocketServer` mutes the
//! channel meanwhile), so a connection is a queue, and parallelism means several connections. One task
//! drives a writer, a reader and the deadlines; the first of them to fail ends the connection once, and
//! every waiter, present and late, hears the same cause.

mod buffers;
mod driver;
mod error;
mod handshake;
mod inflow;
mod reading;
mod reply;
mod writing;

pub use buffers::BufferPool;
pub use error::{Cause, ConnectionError};
pub use handshake::ApiVersionRanges;
pub use reply::{Answered, Asked, Payloads, Received, Reception};

use crate::frame::Frame;
use crate::messages;
use crate::transport::Connector;
use bytes::Bytes;
use driver::Outgoing;
use kafka_protocol::protocol::Request;
use reply::Reply;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The bytes of an answer after its correlation id, or why there is none.
pub type Answer = Result<Bytes, Arc<ConnectionError>>;

/// Settings of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Name the broker logs and counts us under. Default `verbatim`.
    pub client_id: Arc<str>,
    /// How long an answer may take, beyond what the request itself asks the broker to wait. Default 15 s.
    pub request_timeout: Duration,
    /// How long opening a connection may take, handshake included. Default 10 s.
    pub open_timeout: Duration,
    /// Largest answer accepted, in bytes. Default 256 MiB.
    pub max_frame_bytes: usize,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            client_id: "verbatim".into(),
            request_timeout: Duration::from_secs(15),
            open_timeout: Duration::from_secs(10),
            max_frame_bytes: 256 << 20,
        }
    }
}

/// Requests that may wait to be written.
const QUEUED_REQUESTS: usize = 512;

/// A handle; clones share the connection, and it closes when the last is dropped.
#[derive(Debug, Clone)]
pub struct Connection {
    queue: mpsc::Sender<Outgoing>,
    failure: Arc<OnceLock<Arc<ConnectionError>>>,
    versions: Arc<ApiVersionRanges>,
    address: Arc<str>,
    config: ConnectionConfig,
    round_trip: Duration,
}

impl Connection {
    /// Opens a stream to `host:port` and negotiates versions.
    ///
    /// Answers are received into buffers of `pool`.
    ///
    /// # Errors
    /// When the broker cannot be reached, is not a Kafka broker, or does not answer in time.
    pub async fn open(
        connector: &dyn Connector,
        host: &str,
        port: u16,
        config: &ConnectionConfig,
        pool: &Arc<BufferPool>,
    ) -> Result<Self, Arc<ConnectionError>> {
        let address: Arc<str> = format!("{host}:{port}").into();
        let failed = |cause| Arc::new(ConnectionError { address: address.clone(), cause });
        let opening = async {
            let stream = connector.connect(host, port).await.map_err(|e| failed(Cause::Transport(e)))?;
            let (queue, queued) = mpsc::channel(QUEUED_REQUESTS);
            let failure = Arc::new(OnceLock::new());
            let driver = driver::Driver {
                address: address.clone(),
                failure: failure.clone(),
                pool: pool.clone(),
                max_frame_bytes: config.max_frame_bytes,
            };
            tokio::spawn(driver.run(stream, queued));
            let mut connection = Self {
                queue,
                failure,
                versions: Arc::default(),
                address: address.clone(),
                config: config.clone(),
                round_trip: Duration::ZERO,
            };
            let asked = Instant::now();
            connection.versions = Arc::new(handshake::negotiate(&connection).await?);
            connection.round_trip = asked.elapsed();
            Ok(connection)
        };
        tokio::time::timeout(config.open_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(failed(Cause::OpenTimedOut { after: config.open_timeout })))
    }

    /// Queues `frame`; `reply` is called exactly once, from the connection's task. It must not block.
    ///
    /// The answer may take `wait`, what the request asks the broker to wait, plus the request timeout.
    pub fn submit(&self, frame: Frame, wait: Duration, reply: impl FnOnce(Answer) + Send + 'static) {
        self.enqueue(frame, wait, Payloads::InMemory, Reply::Call(Box::new(reply)));
    }

    /// As [`Connection::submit`]; the answer goes to the queue that `room` is in, without a call.
    /// `payloads` says what becomes of those of a Fetch request's answer.
    pub fn submit_to(
        &self,
        frame: Frame,
        wait: Duration,
        payloads: Payloads,
        asked: Asked,
        room: mpsc::OwnedPermit<Answered>,
    ) {
        self.enqueue(frame, wait, payloads, Reply::Queue(asked, room));
    }

    fn enqueue(&self, frame: Frame, wait: Duration, payloads: Payloads, reply: Reply) {
        let outgoing = Outgoing { frame, timeout: wait + self.config.request_timeout, payloads, reply };
        match self.queue.try_send(outgoing) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(outgoing)) => outgoing.reply.give(Err(self.failure())),
            Err(mpsc::error::TrySendError::Full(outgoing)) => {
                outgoing.reply.give(Err(self.error(Cause::QueueFull)));
            }
        }
    }

    /// Sends `frame` and waits for the answer.
    ///
    /// # Errors
    /// When the connection ends first.
    pub async fn exchange(&self, frame: Frame, wait: Duration) -> Answer {
        let (sender, answer) = oneshot::channel();
        let timeout = wait + self.config.request_timeout;
        let reply = Reply::Call(Box::new(move |answer| drop(sender.send(answer))));
        let payloads = Payloads::InMemory;
        if self.queue.send(Outgoing { frame, timeout, payloads, reply }).await.is_err() {
            return Err(self.failure());
        }
        answer.await.unwrap_or_else(|_| Err(self.failure()))
    }

    /// Sends `request` in the newest version both sides speak and decodes the answer.
    ///
    /// # Errors
    /// When the broker does not have the API, or the connection ends, or the answer is malformed.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, Arc<ConnectionError>> {
        self.call_limited(request, i16::MAX, Duration::ZERO).await
    }

    /// As [`Connection::call`], in no version above `max_version`; the answer may take `wait`, what the request
    /// asks the broker to wait, plus the request timeout.
    pub(crate) async fn call_limited<R: Request>(
        &self,
        request: &R,
        max_version: i16,
        wait: Duration,
    ) -> Result<R::Response, Arc<ConnectionError>> {
        let range = self.versions.range(R::KEY);
        let version = range
            .and_then(|range| messages::newest_version::<R>(*range.start()..=max_version.min(*range.end())))
            .ok_or_else(|| self.error(Cause::Unsupported { api_key: R::KEY }))?;
        let undecodable = |error| self.error(Cause::Message(error));
        let frame = messages::encode(request, version, &self.config.client_id).map_err(undecodable)?;
        let answer = self.exchange(frame, wait).await?;
        messages::decode::<R>(&answer, version).map_err(undecodable)
    }

    /// The newest version of an API within `min..=max` that the broker speaks too.
    pub fn version(&self, api_key: i16, min: i16, max: i16) -> Option<i16> {
        let range = self.versions.range(api_key)?;
        let version = max.min(*range.end());
        (version >= min && version >= *range.start()).then_some(version)
    }

    /// How long the broker took to answer the first request: the time to it and back, and little more.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// How long a small request takes now.
    ///
    /// # Errors
    /// When the connection ends first.
    pub async fn ping(&self) -> Result<Duration, Arc<ConnectionError>> {
        let asked = Instant::now();
        handshake::negotiate(self).await?;
        Ok(asked.elapsed())
    }

    /// `host:port` of the broker.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name we send with every request.
    pub fn client_id(&self) -> &str {
        &self.config.client_id
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.failure.get().is_some() || self.queue.is_closed()
    }

    fn failure(&self) -> Arc<ConnectionError> {
        self.failure.get().cloned().unwrap_or_else(|| self.error(Cause::Closed { during: None }))
    }

    fn error(&self, cause: Cause) -> Arc<ConnectionError> {
        Arc::new(ConnectionError { address: self.address.clone(), cause })
    }
}

#[cfg(test)]
mod tests;
