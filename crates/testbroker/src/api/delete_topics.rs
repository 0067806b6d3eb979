//! DeleteTopics, key 20, versions 1 to 6.
//!
//! * What groups have committed for a topic goes with it. 6: topics may be named by id (`UNKNOWN_TOPIC_ID`).

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::{Api, Call};
use crate::cluster::state::State;
use crate::error::ErrorCode;

pub(crate) struct DeleteTopics;

impl Api for DeleteTopics {
    type Request = DeleteTopicsRequest;
    type Response = DeleteTopicsResponse;

    async fn answer(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let mut state = call.core.state();
        let results = named(&request).map(|(name, id)| delete(&mut state, name, id)).collect();
        drop(state);
        call.core.changed.notify_waiters();
        DeleteTopicsResponse::default().with_responses(results)
    }

    fn refuse(request: &DeleteTopicsRequest, _: i16, code: ErrorCode) -> DeleteTopicsResponse {
        let results = named(request).map(|(name, id)| result(name.cloned(), id, code));
        DeleteTopicsResponse::default().with_responses(results.collect())
    }
}

fn named(request: &DeleteTopicsRequest) -> impl Iterator<Item = (Option<&TopicName>, Uuid)> {
    let by_name = request.topic_names.iter().map(|name| (Some(name), Uuid::nil()));
    by_name.chain(request.topics.iter().map(|topic| (topic.name.as_ref(), topic.topic_id)))
}

fn delete(state: &mut State, name: Option<&TopicName>, id: Uuid) -> DeletableTopicResult {
    let (found, missing) = match name {
        Some(name) => (Some(name.to_string()), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        None => (state.topics.name(id).map(str::to_owned), ErrorCode::UNKNOWN_TOPIC_ID),
    };
    let removed = found.and_then(|name| Some((state.delete_topic(&name)?.id, name)));
    match removed {
        Some((id, removed)) => result(Some(TopicName(StrBytes::from_string(removed))), id, ErrorCode::NONE),
        None => result(name.cloned(), id, missing),
    }
}

fn result(name: Option<TopicName>, id: Uuid, code: ErrorCode) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(id)
        .with_error_code(code.0)
        .with_error_message(None)
}
