//! Starting, watching and ending a flow.

use crate::config::FlowConfig;
use crate::error::{FlowError, PartitionName};
use crate::positions::{Position, PositionStore, TopicPositions};
use crate::prepare::{Preparer, TopicPair};
use crate::status::Status;
use crate::task::events::Command;
use crate::task::{FlowTask, Parts};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use verbatim_wire::cluster::Cluster;

/// A flow to be started: which topics go from where to where.
#[derive(Debug)]
pub struct Flow {
    config: FlowConfig,
    source: Cluster,
    target: Cluster,
    topics: Vec<TopicPair>,
    store: Option<Arc<dyn PositionStore>>,
}

impl Flow {
    /// A flow from `source` to `target`, without topics yet.
    pub fn new(source: Cluster, target: Cluster) -> Self {
        Self { config: FlowConfig::default(), source, target, topics: Vec::new(), store: None }
    }

    /// Replaces the settings.
    #[must_use]
    pub fn config(mut self, config: FlowConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds a topic, to be copied to the topic of the same name, which must exist on the target.
    #[must_use]
    pub fn topic(self, name: &str) -> Self {
        self.pair(TopicPair { source: name.into(), target: name.into() })
    }

    /// Adds a topic, to be copied to a topic of another name, which must exist on the target.
    #[must_use]
    pub fn pair(mut self, pair: TopicPair) -> Self {
        self.topics.push(pair);
        self
    }

    /// Keeps positions elsewhere than in a topic on the target.
    #[must_use]
    pub fn positions(mut self, store: Arc<dyn PositionStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Starts copying.
    ///
    /// # Errors
    /// When both clusters are the same, a topic is missing or has too few partitions on the target, or the
    /// flow's state cannot be read. Nothing is left half-done.
    pub async fn start(self) -> Result<FlowHandle, FlowError> {
        let Self { config, source, target, topics, store } = self;
        if source.id() == target.id() && !source.id().is_empty() {
            return Err(FlowError::SameCluster { id: source.id().to_owned() });
        }
        let preparer = Preparer { config: config.clone(), source: source.clone(), target: target.clone() };
        let looked = preparer.look(&topics).await?;
        let store = match store {
            Some(store) => store,
            None => Arc::new(TopicPositions::open(target.clone(), &config.name).await?),
        };
        let stored = store.load().await?;
        let known = stored.producers.get(source.id()).copied();
        let producer = match known {
            Some(producer) => producer,
            None => {
                let producer = target.init_producer_id().await.map_err(FlowError::Target)?;
                store.save_producer(source.id(), producer).await?;
                producer
            }
        };
        let prepared = preparer.prepare(looked, &stored.positions, &*store, known.is_none()).await?;
        let commands = FlowTask::spawn(Parts { config, source, target, store: store.clone(), producer });
        let handle = FlowHandle {
            commands,
            preparer,
            store,
            stored: stored.positions,
            producer_is_new: known.is_none(),
        };
        handle.command(Command::Add(prepared)).await?;
        Ok(handle)
    }
}

/// A running flow. Dropping it ends the flow at once, without noting the last positions: see
/// [`FlowHandle::shutdown`].
#[derive(Debug)]
pub struct FlowHandle {
    commands: mpsc::Sender<Command>,
    preparer: Preparer,
    store: Arc<dyn PositionStore>,
    stored: HashMap<PartitionName, Position>,
    producer_is_new: bool,
}

/// Where a flow stood when it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinalPositions(pub BTreeMap<PartitionName, Position>);

impl FlowHandle {
    /// Adds topics, or partitions that topics have grown by. What is being copied already is not touched.
    ///
    /// # Errors
    /// As [`Flow::start`].
    pub async fn add_topics(&self, pairs: &[TopicPair]) -> Result<(), FlowError> {
        let looked = self.preparer.look(pairs).await?;
        let status = self.status().await?;
        // Positions of running partitions are ahead of what was stored: they are not to be noted again.
        let mut known = self.stored.clone();
        known.extend(status.partitions.into_iter().map(|partition| (partition.name, partition.position)));
        let prepared = self.preparer.prepare(looked, &known, &*self.store, self.producer_is_new).await?;
        self.command(Command::Add(prepared)).await
    }

    /// Where the flow stands.
    ///
    /// # Errors
    /// When the flow has ended.
    pub async fn status(&self) -> Result<Status, FlowError> {
        let (reply, status) = oneshot::channel();
        self.command(Command::Status(reply)).await?;
        status.await.map_err(|_| FlowError::Ended)
    }

    /// Waits until every partition has come to where its source ended when the flow first looked.
    ///
    /// # Errors
    /// When partitions stopped on the way; the others have caught up.
    pub async fn caught_up(&self) -> Result<(), FlowError> {
        let (reply, caught_up) = oneshot::channel();
        self.command(Command::CaughtUp(reply)).await?;
        caught_up.await.map_err(|_| FlowError::Ended)?
    }

    /// Ends the flow: what is under way is answered, positions are noted.
    ///
    /// # Errors
    /// When the positions could not be noted; the flow has ended all the same.
    pub async fn shutdown(self) -> Result<FinalPositions, FlowError> {
        let (reply, ended) = oneshot::channel();
        self.command(Command::Shutdown(reply)).await?;
        ended.await.map_err(|_| FlowError::Ended)?
    }

    async fn command(&self, command: Command) -> Result<(), FlowError> {
        self.commands.send(command).await.map_err(|_| FlowError::Ended)
    }
}
