//! Topics and partitions: who leads what, since which epoch.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::error::ErrorCode;
use crate::log::partition_log::PartitionLog;
use crate::topics::limits::Limits;

/// One partition.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// `None` while no replica is up.
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    /// Nominal: the log lives in the cluster, not in a broker.
    pub(crate) replicas: Vec<i32>,
    pub(crate) log: PartitionLog,
}

impl Partition {
    pub(crate) fn new(replicas: Vec<i32>, leader: Option<i32>) -> Self {
        let mut log = PartitionLog::default();
        log.epochs.begin(0, 0);
        Self { leader, leader_epoch: 0, replicas, log }
    }

    /// Makes `node` the leader in a new epoch.
    pub(crate) fn elect(&mut self, node: Option<i32>) {
        self.leader = node;
        self.leader_epoch += 1;
        if node.is_some() {
            self.log.epochs.begin(self.leader_epoch, self.log.end());
        }
    }

    /// KIP-320: a client that knows an older epoch is fenced, one that knows a newer one is ahead of us.
    pub(crate) fn check_epoch(&self, current_leader_epoch: i32) -> Result<(), ErrorCode> {
        match current_leader_epoch {
            ..0 => Ok(()),
            epoch if epoch < self.leader_epoch => Err(ErrorCode::FENCED_LEADER_EPOCH),
            epoch if epoch > self.leader_epoch => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
            _ => Ok(()),
        }
    }
}

/// One topic.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) limits: Limits,
    pub(crate) replication_factor: i16,
}

/// All topics, by name and by id.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: BTreeMap<String, Topic>,
    names: HashMap<Uuid, String>,
}

impl Topics {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Topic)> {
        self.by_name.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Topic)> {
        self.by_name.iter_mut()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub(crate) fn topic_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    pub(crate) fn name(&self, id: Uuid) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    pub(crate) fn insert(&mut self, name: String, topic: Topic) {
        self.names.insert(topic.id, name.clone());
        self.by_name.insert(name, topic);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Topic> {
        let topic = self.by_name.remove(name)?;
        self.names.remove(&topic.id);
        Some(topic)
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Result<&Partition, ErrorCode> {
        self.by_name
            .get(topic)
            .and_then(|topic| topic.partitions.get(usize::try_from(partition).ok()?))
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    pub(crate) fn partition_mut(&mut self, topic: &str, partition: i32) -> Result<&mut Partition, ErrorCode> {
        self.by_name
            .get_mut(topic)
            .and_then(|topic| topic.partitions.get_mut(usize::try_from(partition).ok()?))
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}
