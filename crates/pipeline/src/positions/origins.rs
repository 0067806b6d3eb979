//! Which producers of a cluster are flows: their batches came from elsewhere.

use super::{PositionError, PositionStore, TopicPositions};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use verbatim_wire::cluster::{Cluster, ClusterError};

/// Beginning of the names of state topics.
pub(super) const STATE_TOPICS: &str = "__verbatim.";
/// Producers remembered as local; more than that many are looked up again.
const LOCAL_LIMIT: usize = 100_000;

/// The producers of one cluster, as far as they are known, and whose records are copied.
#[derive(Debug)]
pub(crate) struct Origins {
    cluster: Cluster,
    /// Id of the cluster that the records copied were produced on; `None` for this one.
    wanted: Option<String>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Producers of flows, with the id of the cluster their records were produced on.
    flows: HashMap<i64, String>,
    local: HashSet<i64>,
}

impl Origins {
    pub(crate) fn new(cluster: Cluster, wanted: Option<String>) -> Self {
        Self { cluster, wanted, known: Mutex::default() }
    }

    /// Whether the producer's records are copied; `None` if it has to be learned first who it is.
    pub(crate) fn is_copied(&self, producer_id: i64) -> Option<bool> {
        if producer_id < 0 {
            return Some(self.wanted.is_none());
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = known.flows.get(&producer_id) {
            return Some(self.wanted.as_ref() == Some(origin));
        }
        known.local.contains(&producer_id).then_some(self.wanted.is_none())
    }

    /// Learns what `producers` are, whose batches have been read: a flow registers before it writes, so what is not registered
    /// now is none.
    ///
    /// # Errors
    /// When the state topics of the cluster cannot be read.
    pub(crate) async fn learn(&self, producers: &[i64]) -> Result<(), PositionError> {
        let failed = |source: ClusterError| PositionError::Cluster { topic: STATE_TOPICS.into(), source };
        let metadata = self.cluster.metadata(None).await.map_err(failed)?;
        let mut flows = HashMap::new();
        for topic in metadata.topics() {
            let Some(flow) = topic.identity.name.strip_prefix(STATE_TOPICS) else { continue };
            let state = TopicPositions::open(self.cluster.clone(), flow).await?.load().await?;
            flows.extend(state.producers.into_iter().map(|(origin, (id, _))| (id, origin)));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What was a flow once is one for ever, also when its state has been deleted.
        known.flows.extend(flows);
        if known.local.len() > LOCAL_LIMIT {
            known.local.clear();
        }
        let Known { flows, local } = &mut *known;
        local.extend(producers.iter().filter(|producer| !flows.contains_key(producer)));
        Ok(())
    }
}
