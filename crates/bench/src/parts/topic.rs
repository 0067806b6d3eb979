//! A topic and the connections to the one broker that leads all of it.

use std::sync::Arc;
use verbatim_wire::cluster::{Cluster, ClusterConfig, Lane};
use verbatim_wire::connection::Connection;
use verbatim_wire::fetch::{self, TopicIdentity};
use verbatim_wire::primitives::TopicId;
use verbatim_wire::produce;
use xtask::command::Failure;

/// A topic of a cluster of one broker.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) cluster: Cluster,
    pub(super) identity: TopicIdentity,
    /// Its partitions are 0 to this, exclusive.
    pub(super) partitions: u32,
    broker: i32,
}

impl Topic {
    /// Connects to the cluster at `bootstrap` and looks `name` up.
    pub(super) async fn open(bootstrap: &str, name: &str) -> Result<Self, Failure> {
        let config = ClusterConfig::new(bootstrap).map_err(Failure::while_doing("read the address"))?;
        let cluster = Cluster::connect(config).await.map_err(Failure::while_doing("connect"))?;
        let names: [Arc<str>; 1] = [name.into()];
        let metadata =
            cluster.metadata(Some(&names)).await.map_err(Failure::while_doing("ask for the topic"))?;
        let topic = metadata.topic(name).filter(|topic| !topic.partitions.is_empty());
        let topic = topic.ok_or_else(|| Failure::Failed(format!("there is no topic {name}")))?;
        let broker = topic.partitions.first().map_or(-1, |partition| partition.leader);
        if topic.partitions.iter().any(|partition| partition.leader != broker) {
            return Err(Failure::Failed(format!("topic {name} has more than one leader")));
        }
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(0);
        Ok(Self { identity: topic.identity.clone(), cluster, partitions, broker })
    }

    /// A connection for producing, and the version of Produce to speak on it.
    pub(super) async fn producing(&self) -> Result<(Connection, i16), Failure> {
        self.lane(Lane::Produce(0), produce::API_KEY, produce::MIN_VERSION, produce::MAX_VERSION).await
    }

    /// A connection for fetching, and the version of Fetch to speak on it.
    pub(super) async fn fetching(&self) -> Result<(Connection, i16), Failure> {
        self.lane(Lane::Fetch(0), fetch::API_KEY, fetch::MIN_VERSION, fetch::MAX_VERSION).await
    }

    async fn lane(&self, lane: Lane, api_key: i16, min: i16, max: i16) -> Result<(Connection, i16), Failure> {
        let connection = self.cluster.connection(self.broker, lane).await;
        let connection = connection.map_err(Failure::while_doing("connect to the leader"))?;
        // Above 12 both APIs name topics by id, which older brokers do not give them.
        let max = if self.identity.id == TopicId::ZERO { max.min(12) } else { max };
        let version = connection.version(api_key, min, max);
        let version =
            version.ok_or_else(|| Failure::Failed("the broker speaks no version we speak".to_owned()))?;
        Ok((connection, version))
    }
}
