//! A cluster: its brokers, who leads what, and the connections to them.

mod acls;
mod address;
mod backoff;
mod broker_error;
mod by_topic;
mod config;
mod configs;
mod coordinator;
mod epochs;
mod error;
mod groups;
mod log;
mod markers;
mod metadata;
mod offsets;
mod partition_log;
mod producers;
mod read;
mod tails;
mod topics;
mod transactions;

pub use acls::{AclOperation, AclPattern, AclPermission, TopicAcl};
pub use address::{Bootstrap, BootstrapError};
pub use backoff::{Backoff, persist};
pub use broker_error::{BrokerError, ErrorClass};
pub use config::ClusterConfig;
pub use configs::{BrokerConfigs, ConfigSource, TopicConfig, TopicConfigs};
pub use epochs::EpochEnd;
pub use error::ClusterError;
pub use groups::{CommittedOffset, ListedGroup};
pub use log::Appended;
pub use markers::{AbortMarkers, MarkersWritten};
pub use metadata::{Broker, Metadata, PartitionMetadata, TopicMetadata};
pub use offsets::{OffsetAt, PartitionOffset};
pub use partition_log::{PartitionLog, PlainRecord, UnreadableBatch, plain_batch, plain_records};
pub use producers::{PartitionProducers, ProducerState};
pub use read::Range;
pub use tails::LastBatch;
pub use topics::NewTopic;

use crate::connection::{BufferPool, Cause, Connection, ConnectionError};
use crate::fetch;
use crate::messages::{ApiKey, MetadataRequest};
use crate::produce;
use crate::transport::Connector;
use kafka_protocol::protocol::Request;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// How long a broker may take over a request that changes something.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same as requests carry it.
const CHANGE_TIMEOUT_MS: i32 = 30_000;

/// What a connection to a broker is for. One broker works on one request of a connection at a time, so a
/// fetch that waits for data must not share one with anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Metadata, offsets, administration.
    Control,
    /// Fetch, numbered.
    Fetch(u8),
    /// Produce, numbered.
    Produce(u8),
}

type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// A cluster; clones share its connections.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ClusterConfig,
    connector: Arc<dyn Connector>,
    pool: Arc<BufferPool>,
    id: String,
    brokers: RwLock<Arc<Metadata>>,
    slots: Mutex<HashMap<(i32, Lane), Slot>>,
    bootstrap: tokio::sync::Mutex<Option<Connection>>,
}

/// How often a broker is asked to describe its cluster before that is an error.
const DESCRIBE_ATTEMPTS: u32 = 10;

impl Cluster {
    /// Connects to the first bootstrap address that answers and learns the brokers.
    ///
    /// # Errors
    /// When none answers, with what each said.
    pub async fn connect(config: ClusterConfig) -> Result<Self, ClusterError> {
        let connector = config.connector()?;
        Self::connect_through(config, connector).await
    }

    /// As [`Cluster::connect`], over a transport of the caller's.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect_through(
        config: ClusterConfig,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, ClusterError> {
        let pool = BufferPool::new(config.buffer_bytes);
        let bootstrap = open_bootstrap(&config, &*connector, &pool).await?;
        // Better now than at the first record.
        for (api_key, oldest) in
            [(fetch::API_KEY, fetch::MIN_VERSION), (produce::API_KEY, produce::MIN_VERSION)]
        {
            if bootstrap.version(api_key, oldest, i16::MAX).is_none() {
                let cause = Cause::Unsupported { api_key };
                return Err(Arc::new(ConnectionError { address: bootstrap.address().into(), cause }).into());
            }
        }
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1), 1);
        let (id, metadata) = loop {
            match described(&bootstrap).await {
                // A broker that has just started may not know its cluster yet.
                Err(ClusterError::Missing { .. }) if backoff.attempts() < DESCRIBE_ATTEMPTS => {
                    tokio::time::sleep(backoff.pause()).await;
                }
                outcome => break outcome?,
            }
        };
        Ok(Self(Arc::new(Inner {
            config,
            connector,
            pool,
            id,
            brokers: RwLock::new(Arc::new(metadata)),
            slots: Mutex::default(),
            bootstrap: tokio::sync::Mutex::new(Some(bootstrap)),
        })))
    }

    /// The cluster's own id.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The settings it was connected with.
    pub fn config(&self) -> &ClusterConfig {
        &self.0.config
    }

    /// Whether its brokers are reached by TCP, with nothing between.
    pub fn is_plain_tcp(&self) -> bool {
        self.0.connector.is_plain_tcp()
    }

    /// Where answers are received.
    pub fn pool(&self) -> &Arc<BufferPool> {
        &self.0.pool
    }

    /// The brokers as last heard.
    pub fn brokers(&self) -> Arc<Metadata> {
        self.0.brokers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The open connection of `lane` to broker `node`, or a new one.
    ///
    /// # Errors
    /// When the broker is not known or cannot be reached.
    pub async fn connection(&self, node: i32, lane: Lane) -> Result<Connection, ClusterError> {
        let slot = {
            let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry((node, lane)).or_default().clone()
        };
        // Held while opening: whoever else wants this connection waits for it instead of opening another.
        let mut slot = slot.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(open.clone());
        }
        let brokers = self.brokers();
        let broker = brokers.broker(node).ok_or(ClusterError::UnknownBroker { node })?;
        let opened = self.open(&broker.host, broker.port).await?;
        *slot = Some(opened.clone());
        Ok(opened)
    }

    /// The time to broker `node` and back: of several small requests, one after the other, the quickest.
    ///
    /// # Errors
    /// When the broker is not known, cannot be reached, or ends the connection.
    pub async fn round_trip(&self, node: i32) -> Result<Duration, ClusterError> {
        const REQUESTS: usize = 2;
        let connection = self.connection(node, Lane::Control).await?;
        let mut quickest = connection.round_trip();
        for _ in 0..REQUESTS {
            quickest = quickest.min(connection.ping().await?);
        }
        Ok(quickest)
    }

    async fn open(&self, host: &str, port: u16) -> Result<Connection, Arc<ConnectionError>> {
        Connection::open(&*self.0.connector, host, port, &self.0.config.connection, &self.0.pool).await
    }

    /// Sends `request` to whichever broker answers.
    ///
    /// # Errors
    /// When no broker does.
    pub async fn call_any<R: Request>(&self, request: &R) -> Result<R::Response, ClusterError> {
        self.call_any_limited(request, i16::MAX).await
    }

    /// As [`Cluster::call_any`], in no version above `max_version`.
    pub(crate) async fn call_any_limited<R: Request>(
        &self,
        request: &R,
        max_version: i16,
    ) -> Result<R::Response, ClusterError> {
        let mut failures = Vec::new();
        let brokers = self.brokers();
        // Brokers we are connected to first: one that is down can take seconds to say so.
        let (connected, others): (Vec<_>, Vec<_>) =
            brokers.brokers().iter().partition(|broker| self.is_connected(broker.node));
        for broker in connected.into_iter().chain(others) {
            match self.call_limited(broker.node, request, max_version, Duration::ZERO).await {
                Err(ClusterError::Connection(failure)) => failures.push(failure),
                other => return other,
            }
        }
        // Every broker we know is gone: perhaps all have new addresses.
        let mut bootstrap = self.0.bootstrap.lock().await;
        if bootstrap.as_ref().is_none_or(Connection::is_closed) {
            *bootstrap = Some(open_bootstrap(&self.0.config, &*self.0.connector, &self.0.pool).await?);
        }
        match bootstrap.as_ref() {
            Some(connection) => Ok(connection.call_limited(request, max_version, Duration::ZERO).await?),
            None => Err(ClusterError::Unreachable { failures }),
        }
    }

    fn is_connected(&self, node: i32) -> bool {
        let slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get(&(node, Lane::Control)).and_then(|slot| slot.try_lock().ok());
        slot.is_some_and(|slot| slot.as_ref().is_some_and(|connection| !connection.is_closed()))
    }

    /// Sends `request` to broker `node` on its control lane.
    ///
    /// # Errors
    /// When the broker cannot be reached or does not answer.
    pub async fn call<R: Request>(&self, node: i32, request: &R) -> Result<R::Response, ClusterError> {
        self.call_limited(node, request, i16::MAX, Duration::ZERO).await
    }

    /// As [`Cluster::call`], in no version above `max_version`; the broker itself may take `wait`.
    pub(crate) async fn call_limited<R: Request>(
        &self,
        node: i32,
        request: &R,
        max_version: i16,
        wait: Duration,
    ) -> Result<R::Response, ClusterError> {
        let connection = self.connection(node, Lane::Control).await?;
        Ok(connection.call_limited(request, max_version, wait).await?)
    }

    /// Whether broker `node` offers the API of this number in a version we speak.
    ///
    /// # Errors
    /// When the broker is not known or cannot be reached.
    pub async fn supports(&self, node: i32, api_key: i16) -> Result<bool, ClusterError> {
        let Ok(spoken) = ApiKey::try_from(api_key).map(|api| api.valid_versions()) else { return Ok(false) };
        let connection = self.connection(node, Lane::Control).await?;
        Ok(connection.version(api_key, spoken.min, spoken.max).is_some())
    }

    /// Sends `request` to the controller, as brokers before KRaft demand for administration.
    pub(crate) async fn call_controller<R: Request>(
        &self,
        request: &R,
        max_version: i16,
    ) -> Result<R::Response, ClusterError> {
        let controller = self.brokers().controller();
        match self.call_limited(controller, request, max_version, CHANGE_TIMEOUT).await {
            Err(ClusterError::UnknownBroker { .. }) => self.call_any_limited(request, max_version).await,
            other => other,
        }
    }

    /// Asks for the brokers and for `topics` (all topics with `None`), and remembers the brokers.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn metadata(&self, topics: Option<&[Arc<str>]>) -> Result<Arc<Metadata>, ClusterError> {
        let answer = self.call_any(&metadata::request(topics)).await?;
        let metadata = Arc::new(Metadata::of_cluster(&answer)?);
        *self.0.brokers.write().unwrap_or_else(PoisonError::into_inner) = metadata.clone();
        Ok(metadata)
    }
}

/// The cluster's id and brokers. A flow's state belongs to the ids of both clusters: without one there is no telling whose it is.
async fn described(bootstrap: &Connection) -> Result<(String, Metadata), ClusterError> {
    let answer = bootstrap.call(&MetadataRequest::default().with_topics(Some(Vec::new()))).await?;
    let metadata = Metadata::of_cluster(&answer)?;
    let no_id =
        || ClusterError::Missing { request: metadata::REQUEST, subject: "the cluster's id".to_owned() };
    Ok((answer.cluster_id.as_ref().map(ToString::to_string).ok_or_else(no_id)?, metadata))
}

/// The first bootstrap address that answers, or what each of them said.
async fn open_bootstrap(
    config: &ClusterConfig,
    connector: &dyn Connector,
    pool: &Arc<BufferPool>,
) -> Result<Connection, ClusterError> {
    let mut failures = Vec::new();
    for (host, port) in config.bootstrap.addresses() {
        match Connection::open(connector, host, *port, &config.connection, pool).await {
            Ok(connection) => return Ok(connection),
            Err(failure) => failures.push(failure),
        }
    }
    Err(ClusterError::Unreachable { failures })
}
