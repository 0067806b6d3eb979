//! WriteTxnMarkers, key 27, version 1.
//!
//! * Every entry of the list is one append, in order. Duplicates are not detected, unknown producer ids are fine, and a
//!   marker costs an offset whether a transaction is open or not.
//! * A coordinator epoch below the last one of that producer id is fenced (52), a producer epoch too (47).
//! * Answered once everything is replicated (acks −1), or after 30 seconds.
//! * Errors are grouped by producer id and partition, the last entry wins: partial success cannot be seen. A refusal
//!   of the whole request names only the last entry of each producer id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{ProducerId, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::api::replicated::{self, Written};
use crate::api::{Api, Call};
use crate::error::ErrorCode;
use crate::records::marker::Marker;

/// `request.timeout.ms` of the broker.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct WriteTxnMarkers;

impl Api for WriteTxnMarkers {
    type Request = WriteTxnMarkersRequest;
    type Response = WriteTxnMarkersResponse;

    async fn answer(call: &Call, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
        let (mut response, written) = write(call, &request);
        call.core.changed.notify_waiters();
        let late = replicated::wait(call, written, TIMEOUT).await;
        let topics = response.markers.iter_mut().flat_map(|marker| &mut marker.topics);
        for topic in topics {
            for result in topic.partitions.iter_mut().filter(|result| result.error_code == 0) {
                let is_late =
                    |it: &Written| it.topic == **topic.name && it.partition == result.partition_index;
                if late.iter().any(is_late) {
                    result.error_code = ErrorCode::REQUEST_TIMED_OUT.0;
                }
            }
        }
        response
    }

    fn refuse(request: &WriteTxnMarkersRequest, _: i16, code: ErrorCode) -> WriteTxnMarkersResponse {
        // The last entry of a producer id is the only one that is answered (`WriteTxnMarkersRequest.getErrorResponse`).
        let mut named = request.clone();
        for at in (0..named.markers.len()).rev() {
            let producer_id = named.markers.get(at).map(|marker| marker.producer_id);
            let mut later = named.markers.iter().skip(at + 1).map(|marker| marker.producer_id);
            if later.any(|later| Some(later) == producer_id) {
                named.markers.remove(at);
            }
        }
        respond(&named, |_, _, _| Err(code))
    }
}

fn write(call: &Call, request: &WriteTxnMarkersRequest) -> (WriteTxnMarkersResponse, Vec<Written>) {
    let now_ms = call.core.clock.now_ms();
    let mut state = call.core.state();
    let mut places = BTreeSet::new();
    let response = respond(request, |marker, topic, index| {
        let partition = state.led(call.node, topic, index, -1)?;
        let epoch = partition.leader_epoch;
        partition.log.append_marker(marker, epoch, now_ms)?;
        places.insert((topic.to_owned(), index));
        Ok(())
    });
    let written = places.iter().filter_map(|(topic, index)| Written::now(&state, topic, *index));
    (response, written.collect())
}

type Codes = BTreeMap<TopicName, BTreeMap<i32, ErrorCode>>;

fn respond(
    request: &WriteTxnMarkersRequest,
    mut write: impl FnMut(Marker, &str, i32) -> Result<(), ErrorCode>,
) -> WriteTxnMarkersResponse {
    let mut by_producer: BTreeMap<i64, Codes> = BTreeMap::new();
    for entry in &request.markers {
        let marker = Marker {
            producer_id: entry.producer_id.0,
            producer_epoch: entry.producer_epoch,
            coordinator_epoch: entry.coordinator_epoch,
            commit: entry.transaction_result,
        };
        let codes = by_producer.entry(entry.producer_id.0).or_default();
        for topic in &entry.topics {
            let mut indexes = topic.partition_indexes.clone();
            // A partition named twice in one entry counts once.
            indexes.sort_unstable();
            indexes.dedup();
            for index in indexes {
                let code = write(marker, &topic.name, index).err().unwrap_or(ErrorCode::NONE);
                codes.entry(topic.name.clone()).or_default().insert(index, code);
            }
        }
    }
    let markers = by_producer.into_iter().map(|(producer_id, codes)| {
        WritableTxnMarkerResult::default()
            .with_producer_id(ProducerId(producer_id))
            .with_topics(codes.into_iter().map(|(name, codes)| topic_result(name, codes)).collect())
    });
    WriteTxnMarkersResponse::default().with_markers(markers.collect())
}

fn topic_result(name: TopicName, codes: BTreeMap<i32, ErrorCode>) -> WritableTxnMarkerTopicResult {
    let partitions = codes.into_iter().map(|(index, code)| {
        WritableTxnMarkerPartitionResult::default().with_partition_index(index).with_error_code(code.0)
    });
    WritableTxnMarkerTopicResult::default().with_name(name).with_partitions(partitions.collect())
}
