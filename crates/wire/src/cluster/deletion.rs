//! What is taken away: DeleteRecords (21), DeleteTopics (20); and configs changed: IncrementalAlterConfigs (44).

use super::offsets::{by_topic_with, topic_name};
use super::{BrokerError, Cluster, ClusterError, PartitionOffset};
use crate::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::messages::{DeleteRecordsRequest, DeleteTopicsRequest, IncrementalAlterConfigsRequest, StrBytes};
use std::sync::Arc;

const TIMEOUT_MS: i32 = 15_000;
/// `ConfigResource.Type.TOPIC`.
const TOPIC_RESOURCE: i8 = 2;
/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;

impl Cluster {
    /// Deletes on broker `leader` the records below an offset of each partition; answers with where the logs begin
    /// then. Partitions of topics that are compacted and delete nothing are refused with POLICY_VIOLATION.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn delete_records(
        &self,
        leader: i32,
        before: &[(Arc<str>, i32, i64)],
    ) -> Result<Vec<PartitionOffset>, ClusterError> {
        let topics = by_topic_with(before).into_iter().map(|(topic, partitions)| {
            let asked = |(partition, offset)| {
                DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset)
            };
            DeleteRecordsTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions.into_iter().map(asked).collect())
        });
        let request =
            DeleteRecordsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(topics.collect());
        let answer = self.call(leader, &request).await?;
        let deleted = answer.topics.into_iter().flat_map(|answered| {
            let topic: Arc<str> = answered.name.as_str().into();
            answered.partitions.into_iter().map(move |p| PartitionOffset {
                topic: topic.clone(),
                partition: p.partition_index,
                offset: p.low_watermark,
                error: BrokerError(p.error_code),
            })
        });
        Ok(deleted.collect())
    }

    /// Deletes `topics`; one that is not there counts as deleted.
    ///
    /// # Errors
    /// When no broker answers, or one is refused.
    pub async fn delete_topics(&self, topics: &[Arc<str>]) -> Result<(), ClusterError> {
        let names = topics.iter().map(topic_name).collect();
        let by_name = topics.iter().map(|topic| {
            crate::messages::delete_topics_request::DeleteTopicState::default()
                .with_name(Some(topic_name(topic)))
        });
        let controller = self.brokers().controller();
        let speaks_of_ids = self.connection_version(controller, DELETE_TOPICS, 6).await?;
        let request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
        let request = if speaks_of_ids {
            request.with_topics(by_name.collect())
        } else {
            request.with_topic_names(names)
        };
        let answer = self.call_controller(&request).await?;
        for result in answer.responses {
            let code = BrokerError(result.error_code);
            if code != BrokerError::UNKNOWN_TOPIC_OR_PARTITION {
                let name = result.name.map(|name| name.to_string()).unwrap_or_default();
                code.check("delete topic", name, result.error_message.map(|message| message.to_string()))?;
            }
        }
        Ok(())
    }

    /// Sets configs of a topic, and takes others back to their defaults; the rest stay.
    ///
    /// # Errors
    /// When no broker answers, or it is refused.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        set: &[(String, String)],
        delete: &[String],
    ) -> Result<(), ClusterError> {
        let set = set.iter().map(|(name, value)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_config_operation(SET)
                .with_value(Some(StrBytes::from_string(value.clone())))
        });
        let delete = delete.iter().map(|name| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_config_operation(DELETE)
                .with_value(None)
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configs(set.chain(delete).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.call_controller(&request).await?;
        for result in answer.responses {
            let message = result.error_message.map(|message| message.to_string());
            BrokerError(result.error_code).check("alter configs of topic", topic, message)?;
        }
        Ok(())
    }
}

const DELETE_TOPICS: i16 = 20;
