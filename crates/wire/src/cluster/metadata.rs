//! Metadata (API key 3): brokers, topics, leaders.

use super::{BrokerError, ClusterError};
use crate::fetch::TopicIdentity;
use crate::messages::metadata_request::MetadataRequestTopic;
use crate::messages::metadata_response::MetadataResponseTopic;
use crate::messages::{MetadataRequest, MetadataResponse, StrBytes, TopicName};
use crate::primitives::TopicId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A broker's advertised address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Broker id.
    pub node: i32,
    /// Host as advertised.
    pub host: String,
    /// Port as advertised.
    pub port: u16,
}

/// A topic as one broker knew it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Name and id.
    pub identity: TopicIdentity,
    /// Error about the topic as a whole.
    pub error: BrokerError,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// Partitions, ascending by number.
    pub partitions: Vec<PartitionMetadata>,
}

/// A partition as one broker knew it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Partition number.
    pub partition: i32,
    /// Broker id of the leader; −1 for none.
    pub leader: i32,
    /// Epoch of that leader; −1 when not told (before Kafka 2.1).
    pub leader_epoch: i32,
    /// Number of replicas.
    pub replicas: usize,
}

/// One answer.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    brokers: Vec<Broker>,
    controller: i32,
    topics: BTreeMap<Arc<str>, TopicMetadata>,
}

/// What is asked for, in errors.
pub(super) const REQUEST: &str = "describe the cluster";

impl Metadata {
    /// The answer, unless it is a refusal: one without brokers says nothing of the cluster.
    pub(super) fn of_cluster(answer: &MetadataResponse) -> Result<Self, ClusterError> {
        BrokerError(answer.error_code).check(REQUEST, "", None)?;
        if answer.brokers.is_empty() {
            return Err(ClusterError::Missing { request: REQUEST, subject: "any broker".to_owned() });
        }
        Ok(Self::from_answer(answer))
    }

    fn from_answer(answer: &MetadataResponse) -> Self {
        let brokers = answer.brokers.iter().map(|broker| Broker {
            node: broker.node_id.0,
            host: broker.host.to_string(),
            port: u16::try_from(broker.port).unwrap_or(0),
        });
        let topics = answer.topics.iter().filter_map(topic).map(|topic| (topic.identity.name.clone(), topic));
        Self { brokers: brokers.collect(), controller: answer.controller_id.0, topics: topics.collect() }
    }

    /// All brokers that are up.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// One broker.
    pub fn broker(&self, node: i32) -> Option<&Broker> {
        self.brokers.iter().find(|broker| broker.node == node)
    }

    /// Broker id of the controller (with KRaft: of some broker, which forwards).
    pub fn controller(&self) -> i32 {
        self.controller
    }

    /// Topics in order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &TopicMetadata> {
        self.topics.values()
    }

    /// One topic.
    pub fn topic(&self, name: &str) -> Option<&TopicMetadata> {
        self.topics.get(name)
    }

    /// One partition, if the topic is there without error.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionMetadata> {
        let topic = self.topics.get(topic).filter(|topic| topic.error == BrokerError::NONE)?;
        topic.partitions.iter().find(|p| p.partition == partition)
    }
}

fn topic(answer: &MetadataResponseTopic) -> Option<TopicMetadata> {
    let name: &str = answer.name.as_ref()?;
    let mut partitions: Vec<_> = answer
        .partitions
        .iter()
        .map(|partition| PartitionMetadata {
            partition: partition.partition_index,
            leader: partition.leader_id.0,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.len(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.partition);
    Some(TopicMetadata {
        identity: TopicIdentity { name: name.into(), id: TopicId(answer.topic_id.into_bytes()) },
        error: BrokerError(answer.error_code),
        is_internal: answer.is_internal,
        partitions,
    })
}

/// `None` asks for all topics. Topics are never created by asking.
pub(super) fn request(topics: Option<&[Arc<str>]>) -> MetadataRequest {
    let topics = topics.map(|names| {
        let named = |name: &Arc<str>| {
            let name = TopicName(StrBytes::from_string(name.to_string()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        names.iter().map(named).collect()
    });
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false)
}
