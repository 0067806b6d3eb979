//! Starting, watching and ending a flow.

use crate::config::FlowConfig;
use crate::error::{FlowError, PartitionName};
use crate::partition::Producers;
use crate::positions::{
    Claimed, OffsetMap, Position, PositionStore, ProducerRole, StoredState, TopicPositions,
};
use crate::prepare::{Known, Preparer, TopicPair};
use crate::status::Status;
use crate::task::events::Command;
use crate::task::{FlowTask, Parts};
use crate::view::FlowView;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
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
        self.pair(TopicPair::same(name))
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
        let origin = config.origin.as_deref().unwrap_or(source.id());
        is_ours(&config.name, stored.producers.keys(), origin)?;
        let known = known_producers(&stored, origin);
        let producers = match known {
            Some(producers) => producers,
            None => register(&target, &*store, origin).await?,
        };
        let (stored, running, is_new) = (&stored.partitions, &HashSet::new(), known.is_none());
        // Boxed: whoever awaits the start would carry its size along.
        let prepared = Box::pin(preparer.prepare(looked, Known { stored, running, is_new }, &*store)).await?;
        let commands = FlowTask::spawn(Parts { config, source, target, store: store.clone(), producers });
        let handle = FlowHandle { commands, preparer, store };
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
}

/// Whether the state of a flow that copies from the clusters `found` is that of one that copies from `origin`. A cluster without an id
/// is any.
///
/// # Errors
/// When it is another's.
pub fn is_ours<'a>(
    flow: &str,
    found: impl Iterator<Item = &'a String>,
    origin: &str,
) -> Result<(), FlowError> {
    let mut found: Vec<String> = found.filter(|id| !id.is_empty()).cloned().collect();
    if found.is_empty() || origin.is_empty() || found.iter().any(|id| id == origin) {
        return Ok(());
    }
    found.sort_unstable();
    Err(FlowError::OtherSource { flow: flow.to_owned(), found, source_id: origin.to_owned() })
}

/// The producer ids a flow has had.
fn known_producers(stored: &StoredState, origin: &str) -> Option<Producers> {
    Some(Producers { records: *stored.producers.get(origin)?, markers: stored.marker_producer? })
}

/// Registers producer ids before their first use; by one instance, for all.
async fn register(target: &Cluster, store: &dyn PositionStore, origin: &str) -> Result<Producers, FlowError> {
    /// How long to wait between looks while another instance may be registering.
    const PAUSE: Duration = Duration::from_millis(100);
    while let Claimed::Theirs(wait) = store.claim().await? {
        if let Some(registered) = known_producers(&store.load().await?, origin) {
            return Ok(registered);
        }
        tokio::time::sleep(wait.min(PAUSE)).await;
    }
    let state = store.load().await?;
    for (role, known) in [
        (ProducerRole::Records { origin }, state.producers.get(origin).copied()),
        (ProducerRole::Markers, state.marker_producer),
    ] {
        if known.is_none() {
            let producer = target.init_producer_id().await.map_err(FlowError::Target)?;
            store.save_producer(role, producer).await?;
        }
    }
    // What the log says counts, not what this instance thinks.
    let registered = known_producers(&store.load().await?, origin).ok_or(FlowError::Ended);
    store.release().await?;
    registered
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
        let running = &status.partitions.into_iter().map(|partition| partition.name).collect();
        let stored = &self.store.load().await?.partitions;
        let known = Known { stored, running, is_new: false };
        let prepared = self.preparer.prepare(looked, known, &*self.store).await?;
        self.command(Command::Add(prepared)).await
    }

    /// The flow, to be watched from elsewhere.
    pub fn view(&self) -> FlowView {
        FlowView { commands: self.commands.clone() }
    }

    /// Where the flow stands.
    ///
    /// # Errors
    /// When the flow has ended.
    pub async fn status(&self) -> Result<Status, FlowError> {
        self.view().status().await
    }

    /// The offset map of a source partition: which source offset is where on the target, and back. With preserved offsets every
    /// offset is mapped to itself. `None` if the partition is not being copied.
    ///
    /// # Errors
    /// When the flow has ended.
    pub async fn offset_map(&self, name: PartitionName) -> Result<Option<OffsetMap>, FlowError> {
        let (reply, map) = oneshot::channel();
        self.command(Command::Map(name, reply)).await?;
        map.await.map_err(|_| FlowError::Ended)
    }

    /// Ends the copying of a source topic and forgets where it stood: added again, it is copied anew. What is on the target
    /// stays there.
    ///
    /// # Errors
    /// When that could not be noted.
    pub async fn forget_topic(&self, source: &str) -> Result<(), FlowError> {
        let (reply, forgotten) = oneshot::channel();
        self.command(Command::Forget(source.into(), reply)).await?;
        forgotten.await.map_err(|_| FlowError::Ended)?
    }

    /// Waits until every partition has come to where its source ended when the flow first looked.
    ///
    /// # Errors
    /// When partitions stopped on the way; the others have caught up.
    pub async fn caught_up(&self) -> Result<(), FlowError> {
        self.view().caught_up().await
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
