//! Everything a cluster knows, behind one lock.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use uuid::Uuid;

use crate::api::versions::Versions;
use crate::error::ErrorCode;
use crate::groups::group::Group;
use crate::topics::limits::Limits;
use crate::topics::topic::{Partition, Topic, Topics};
use crate::transactions::transaction::Transaction;

/// One broker as the metadata shows it.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_up: bool,
    pub(crate) fetch_sessions: crate::api::fetch::sessions::FetchSessions,
}

/// The cluster's state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) cluster_id: String,
    pub(crate) brokers: BTreeMap<i32, Broker>,
    pub(crate) topics: Topics,
    pub(crate) broker_configs: BTreeMap<String, String>,
    pub(crate) versions: Versions,
    pub(crate) throttles: HashMap<ApiKey, Duration>,
    pub(crate) transactions: BTreeMap<String, Transaction>,
    pub(crate) hold_markers: bool,
    pub(crate) groups: BTreeMap<String, Group>,
    next_producer_id: i64,
    next_topic: u64,
    next_member: u64,
}

impl State {
    pub(crate) fn new(cluster_id: String, brokers: BTreeMap<i32, Broker>) -> Self {
        Self {
            cluster_id,
            brokers,
            topics: Topics::default(),
            broker_configs: BTreeMap::new(),
            versions: Versions::default(),
            throttles: HashMap::new(),
            transactions: BTreeMap::new(),
            hold_markers: false,
            groups: BTreeMap::new(),
            next_producer_id: 1000,
            next_topic: 0,
            next_member: 0,
        }
    }

    pub(crate) fn is_up(&self, node: i32) -> bool {
        self.brokers.get(&node).is_some_and(|broker| broker.is_up)
    }

    /// Brokers that are up, by node id.
    pub(crate) fn up(&self) -> impl Iterator<Item = (i32, &Broker)> {
        self.brokers.iter().filter(|(_, broker)| broker.is_up).map(|(node, broker)| (*node, broker))
    }

    /// Takes a broker down: what it led goes to the first replica that is up.
    pub(crate) fn take_down(&mut self, node: i32) {
        let Some(broker) = self.brokers.get_mut(&node) else { return };
        broker.is_up = false;
        broker.fetch_sessions.evict_all();
        let up: Vec<i32> = self.up().map(|(node, _)| node).collect();
        let partitions = self.topics.iter_mut().flat_map(|(_, topic)| &mut topic.partitions);
        for partition in partitions.filter(|partition| partition.leader == Some(node)) {
            partition.elect(partition.replicas.iter().copied().find(|replica| up.contains(replica)));
        }
    }

    /// Brings a broker up again; what waited for it loses its last batches and is led by it. `false` if it was up.
    pub(crate) fn bring_up(&mut self, node: i32, lost_batches: usize) -> bool {
        let Some(broker) = self.brokers.get_mut(&node).filter(|broker| !broker.is_up) else {
            return false;
        };
        broker.is_up = true;
        let partitions = self.topics.iter_mut().flat_map(|(_, topic)| &mut topic.partitions);
        let waiting =
            |partition: &&mut Partition| partition.leader.is_none() && partition.replicas.contains(&node);
        for partition in partitions.filter(waiting) {
            partition.log.lose_tail(lost_batches);
            partition.elect(Some(node));
        }
        true
    }

    /// The controller: the first broker that is up.
    pub(crate) fn controller(&self) -> i32 {
        self.up().next().map_or(-1, |(node, _)| node)
    }

    /// Coordinator of a group or transactional id; it moves when its broker is down.
    pub(crate) fn coordinator(&self, key: &str) -> Option<i32> {
        let up: Vec<i32> = self.up().map(|(node, _)| node).collect();
        let nodes = self.brokers.len().max(1);
        let preferred = self.brokers.keys().nth(hash(key) as usize % nodes).copied()?;
        if up.contains(&preferred) { Some(preferred) } else { up.first().copied() }
    }

    /// `NOT_COORDINATOR` unless `node` coordinates `key`.
    pub(crate) fn check_coordinator(&self, node: i32, key: &str) -> Result<(), ErrorCode> {
        if self.coordinator(key) == Some(node) { Ok(()) } else { Err(ErrorCode::NOT_COORDINATOR) }
    }

    /// A partition, if `node` leads it in the epoch the client knows.
    pub(crate) fn led(
        &mut self,
        node: i32,
        topic: &str,
        partition: i32,
        current_leader_epoch: i32,
    ) -> Result<&mut Partition, ErrorCode> {
        let partition = self.topics.partition_mut(topic, partition)?;
        if !partition.replicas.contains(&node) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        partition.check_epoch(current_leader_epoch)?;
        if partition.leader != Some(node) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(partition)
    }

    /// Creates a topic.
    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: BTreeMap<String, String>,
    ) -> Result<&Topic, ErrorCode> {
        self.check_new_topic(name, partitions, replication_factor)?;
        let limits = Limits::parse(&configs)?;
        let replication_factor =
            if replication_factor == -1 { self.default_replication_factor() } else { replication_factor };
        let first = self.next_topic as usize;
        let partitions = if partitions == -1 { 1 } else { partitions };
        let partitions = (0..partitions as usize)
            .map(|partition| self.new_partition(first + partition, replication_factor))
            .collect();
        self.next_topic += 1;
        let id = topic_id(&self.cluster_id, self.next_topic);
        self.topics.insert(name.to_owned(), Topic { id, partitions, configs, limits, replication_factor });
        self.topics.topic(name).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)
    }

    /// Deletes a topic, and what groups have committed for it (`GroupCoordinatorService.onPartitionsDeleted`).
    pub(crate) fn delete_topic(&mut self, name: &str) -> Option<Topic> {
        let removed = self.topics.remove(name)?;
        for group in self.groups.values_mut() {
            group.offsets.retain(|(topic, _), _| topic != name);
        }
        Some(removed)
    }

    /// Everything `CreateTopics` refuses, without creating.
    pub(crate) fn check_new_topic(
        &self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
    ) -> Result<(), ErrorCode> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name == "." || name == ".." || name.len() > 249 || !name.chars().all(legal) {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        if self.topics.topic(name).is_some() {
            return Err(ErrorCode::TOPIC_ALREADY_EXISTS);
        }
        if partitions == 0 || partitions < -1 {
            return Err(ErrorCode::INVALID_PARTITIONS);
        }
        let brokers = self.brokers.len() as i32;
        if replication_factor == 0 || replication_factor < -1 || i32::from(replication_factor) > brokers {
            return Err(ErrorCode::INVALID_REPLICATION_FACTOR);
        }
        Ok(())
    }

    /// A new partition with its replicas spread from the `index`-th broker on.
    pub(crate) fn new_partition(&self, index: usize, replication_factor: i16) -> Partition {
        let nodes: Vec<i32> = self.brokers.keys().copied().collect();
        let replicas: Vec<i32> = (0..replication_factor.max(1) as usize)
            .filter_map(|replica| nodes.get((index + replica) % nodes.len().max(1)).copied())
            .collect();
        let leader = replicas.iter().copied().find(|node| self.is_up(*node));
        Partition::new(replicas, leader)
    }

    pub(crate) fn allocate_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id - 1
    }

    pub(crate) fn allocate_member(&mut self) -> u64 {
        self.next_member += 1;
        self.next_member
    }

    pub(crate) fn broker_config_number(&self, name: &str) -> i64 {
        let default = crate::topics::configs::BROKER_DEFAULTS.iter().find(|(known, _)| *known == name);
        self.broker_configs
            .get(name)
            .map(String::as_str)
            .or(default.map(|(_, value)| *value))
            .and_then(|value| value.parse().ok())
            .unwrap_or(0)
    }

    fn default_replication_factor(&self) -> i16 {
        self.brokers.len().min(3) as i16
    }
}

/// A topic id that is the same in every run and differs between clusters.
fn topic_id(cluster_id: &str, number: u64) -> Uuid {
    let cluster = u64::from(hash(cluster_id)) << 32 | 0x5eed;
    Uuid::from_u64_pair(cluster, number)
}

/// FNV-1a.
fn hash(key: &str) -> u32 {
    key.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
