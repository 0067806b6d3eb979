//! Configs of topics and brokers: DescribeConfigs (32), IncrementalAlterConfigs (44).

use super::{BrokerError, Cluster, ClusterError};
use crate::messages::describe_configs_request::DescribeConfigsResource;
use crate::messages::describe_configs_response::DescribeConfigsResult;
use crate::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest, StrBytes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The value of a topic config and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// The value; `None` for sensitive ones.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// Whether its value is not told.
    pub is_sensitive: bool,
}

impl TopicConfig {
    /// Whether it was set on the topic itself, not inherited from the broker or Kafka's defaults.
    pub fn is_topic_override(&self) -> bool {
        self.source == ConfigSource::Topic
    }
}

/// Where the value of a config comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on brokers while they ran, for one or for all.
    DynamicBroker,
    /// In a broker's file.
    StaticBroker,
    /// Kafka's own default.
    Default,
    /// None of these.
    Other,
}

impl From<i8> for ConfigSource {
    fn from(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 | 3 => Self::DynamicBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            _ => Self::Other,
        }
    }
}

/// Configs of one topic by name.
pub type TopicConfigs = BTreeMap<String, TopicConfig>;

/// Configs of one broker by name, as they are in force; `None` for sensitive ones.
pub type BrokerConfigs = BTreeMap<String, Option<String>>;

/// `ConfigResource.Type.TOPIC`.
const TOPIC_RESOURCE: i8 = 2;
/// `ConfigResource.Type.BROKER`.
const BROKER_RESOURCE: i8 = 4;
/// `AlterConfigOp.OpType.SET`.
const SET: i8 = 0;
/// `AlterConfigOp.OpType.DELETE`.
const DELETE: i8 = 1;

impl Cluster {
    /// The configs of `topics`, one outcome per topic, in order.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn topic_configs(
        &self,
        topics: &[Arc<str>],
    ) -> Result<Vec<Result<TopicConfigs, ClusterError>>, ClusterError> {
        let resources = topics.iter().map(|name| described(TOPIC_RESOURCE, name)).collect();
        let answer = self.call_any(&DescribeConfigsRequest::default().with_resources(resources)).await?;
        let outcome = |name: &Arc<str>| {
            let configs = result("describe configs of topic", &answer.results, name)?.configs.iter();
            let configs = configs.map(|config| {
                let value = config.value.as_ref().map(ToString::to_string);
                let found = TopicConfig {
                    value,
                    source: config.config_source.into(),
                    is_read_only: config.read_only,
                    is_sensitive: config.is_sensitive,
                };
                (config.name.to_string(), found)
            });
            Ok(configs.collect())
        };
        Ok(topics.iter().map(outcome).collect())
    }

    /// The configs broker `node` works with, asked of that broker: only it knows its own file. Needs
    /// DESCRIBE_CONFIGS on the cluster.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses.
    pub async fn broker_configs(&self, node: i32) -> Result<BrokerConfigs, ClusterError> {
        let name = node.to_string();
        let resources = vec![described(BROKER_RESOURCE, &name)];
        let answer = self.call(node, &DescribeConfigsRequest::default().with_resources(resources)).await?;
        let configs = result("describe configs of broker", &answer.results, &name)?.configs.iter();
        let configs =
            configs.map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)));
        Ok(configs.collect())
    }

    /// Sets the configs `set` of `topic` and takes back those named in `delete`, all or none of them; others stay
    /// as they are. Needs Kafka 2.3 and ALTER_CONFIGS on the topic.
    ///
    /// # Errors
    /// When no broker answers, or it is refused: INVALID_CONFIG for a name or value the broker does not know.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        set: &[(String, String)],
        delete: &[String],
    ) -> Result<(), ClusterError> {
        let set = set.iter().map(|(name, value)| altered(name, SET, Some(value)));
        let configs = set.chain(delete.iter().map(|name| altered(name, DELETE, None))).collect();
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC_RESOURCE)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configs(configs);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.call_any(&request).await?;
        let request = "alter configs of topic";
        let missing = || ClusterError::Missing { request, subject: topic.to_owned() };
        let mut responses = answer.responses.into_iter();
        let response = responses.find(|response| *response.resource_name == *topic).ok_or_else(missing)?;
        let message = response.error_message.map(|message| message.to_string());
        BrokerError(response.error_code).check(request, topic, message)
    }
}

fn described(resource_type: i8, name: &str) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(StrBytes::from_string(name.to_owned()))
        .with_configuration_keys(None)
}

/// The result for `name`, unless it is missing or a refusal.
fn result<'a>(
    request: &'static str,
    results: &'a [DescribeConfigsResult],
    name: &str,
) -> Result<&'a DescribeConfigsResult, ClusterError> {
    let missing = || ClusterError::Missing { request, subject: name.to_owned() };
    let result = results.iter().find(|result| *result.resource_name == *name).ok_or_else(missing)?;
    let message = result.error_message.as_ref().map(ToString::to_string);
    BrokerError(result.error_code).check(request, name, message)?;
    Ok(result)
}

fn altered(name: &str, operation: i8, value: Option<&str>) -> AlterableConfig {
    AlterableConfig::default()
        .with_name(StrBytes::from_string(name.to_owned()))
        .with_config_operation(operation)
        .with_value(value.map(|value| StrBytes::from_string(value.to_owned())))
}
