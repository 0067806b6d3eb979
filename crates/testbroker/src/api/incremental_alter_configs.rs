//! IncrementalAlterConfigs, key 44, versions 0 to 1.
//!
//! * Operations: set (0), delete (1), append (2) and subtract (3) for lists. Resources: topic and broker; settings of
//!   one broker apply to all. A resource is altered as a whole or not at all.

use std::collections::BTreeMap;

use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::api::describe_configs::{BROKER_RESOURCE, TOPIC_RESOURCE};
use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::topics::configs;
use crate::topics::limits::Limits;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) struct IncrementalAlterConfigs;

impl Api for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    type Response = IncrementalAlterConfigsResponse;

    async fn answer(call: &Call, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
        let mut state = call.core.state();
        respond(&request, |resource| alter(&mut state, resource, request.validate_only))
    }

    fn refuse(
        request: &IncrementalAlterConfigsRequest,
        _: i16,
        code: ErrorCode,
    ) -> IncrementalAlterConfigsResponse {
        respond(request, |_| Err(code))
    }
}

fn respond(
    request: &IncrementalAlterConfigsRequest,
    mut alter: impl FnMut(&AlterConfigsResource) -> Result<(), ErrorCode>,
) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.iter().map(|resource| {
        AlterConfigsResourceResponse::default()
            .with_error_code(alter(resource).err().unwrap_or(ErrorCode::NONE).0)
            .with_error_message(None)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn alter(state: &mut State, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ErrorCode> {
    match resource.resource_type {
        TOPIC_RESOURCE => {
            let topic = state.topics.topic_mut(&resource.resource_name);
            let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            let altered = altered(&topic.configs, &resource.configs, configs::topic_default)?;
            let limits = Limits::parse(&altered)?;
            if !validate_only {
                topic.configs = altered;
                topic.limits = limits;
            }
            Ok(())
        }
        BROKER_RESOURCE => {
            let altered = altered(&state.broker_configs, &resource.configs, |_| "")?;
            if !validate_only {
                state.broker_configs = altered;
            }
            Ok(())
        }
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

fn altered(
    configs: &BTreeMap<String, String>,
    changes: &[AlterableConfig],
    default: impl Fn(&str) -> &'static str,
) -> Result<BTreeMap<String, String>, ErrorCode> {
    let mut configs = configs.clone();
    for change in changes {
        let name = change.name.to_string();
        let value = change.value.as_deref().unwrap_or_default();
        let present = configs.get(&name).map_or(default(&name), String::as_str);
        let entries = present.split(',').filter(|entry| !entry.is_empty());
        let joined = |entries: Vec<&str>| entries.join(",");
        let value = match change.config_operation {
            SET => value.to_owned(),
            DELETE => {
                configs.remove(&name);
                continue;
            }
            APPEND => joined(entries.filter(|entry| *entry != value).chain([value]).collect()),
            SUBTRACT => joined(entries.filter(|entry| !value.split(',').any(|it| it == *entry)).collect()),
            _ => return Err(ErrorCode::INVALID_REQUEST),
        };
        configs.insert(name, value);
    }
    Ok(configs)
}
