//! DescribeConfigs, key 32, versions 1 to 4.
//!
//! * Resources: topic (2) and broker (4, by node id or "" for all). Every known configuration is listed with its
//!   source: topic (1), dynamic broker (2) or default (5).
//! * Synonyms are left out; 3+: the type is always "string", documentation is never sent.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::topics::configs::{BROKER_DEFAULTS, TOPIC_DEFAULTS};

pub(crate) const TOPIC_RESOURCE: i8 = 2;
pub(crate) const BROKER_RESOURCE: i8 = 4;
const TOPIC_SOURCE: i8 = 1;
const DYNAMIC_BROKER_SOURCE: i8 = 2;
const DEFAULT_SOURCE: i8 = 5;
const STRING_TYPE: i8 = 2;

pub(crate) struct DescribeConfigs;

impl Api for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    type Response = DescribeConfigsResponse;

    async fn answer(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
        let state = call.core.state();
        let results = request.resources.iter().map(|resource| match describe(&state, resource) {
            Ok(configs) => result(resource, ErrorCode::NONE).with_configs(configs),
            Err(code) => result(resource, code),
        });
        DescribeConfigsResponse::default().with_results(results.collect())
    }

    fn refuse(request: &DescribeConfigsRequest, _: i16, code: ErrorCode) -> DescribeConfigsResponse {
        let results = request.resources.iter().map(|resource| result(resource, code)).collect();
        DescribeConfigsResponse::default().with_results(results)
    }
}

fn result(resource: &DescribeConfigsResource, code: ErrorCode) -> DescribeConfigsResult {
    DescribeConfigsResult::default()
        .with_error_code(code.0)
        .with_error_message(None)
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone())
}

fn describe(
    state: &State,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ErrorCode> {
    match resource.resource_type {
        TOPIC_RESOURCE => {
            let topic = state.topics.topic(&resource.resource_name);
            let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            Ok(values(&topic.configs, TOPIC_DEFAULTS, TOPIC_SOURCE, resource))
        }
        BROKER_RESOURCE => {
            let node = resource.resource_name.parse().ok();
            if !resource.resource_name.is_empty() && node.is_none_or(|node| !state.is_up(node)) {
                return Err(ErrorCode::INVALID_REQUEST);
            }
            Ok(values(&state.broker_configs, BROKER_DEFAULTS, DYNAMIC_BROKER_SOURCE, resource))
        }
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

fn values(
    set: &BTreeMap<String, String>,
    defaults: &[(&'static str, &'static str)],
    source: i8,
    resource: &DescribeConfigsResource,
) -> Vec<DescribeConfigsResourceResult> {
    // No list and an empty list both mean all of them (`ConfigHelper.describeConfigs`).
    let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
    let wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
    defaults
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, default)| {
            let own = set.get(*name);
            let value = own.map_or((*default).to_owned(), Clone::clone);
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_string(value)))
                .with_config_source(if own.is_some() { source } else { DEFAULT_SOURCE })
                .with_config_type(STRING_TYPE)
        })
        .collect()
}
