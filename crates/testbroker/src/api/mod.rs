//! The wire APIs, one per file: the listing of this folder is the coverage table.
//!
//! Every file names its key and versions, says what the broker does, and what is simplified.

pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod api_versions;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_producers;
pub(crate) mod end_txn;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod replicated;
pub(crate) mod reply;
pub(crate) mod sync_group;
pub(crate) mod txn_offset_commit;
pub(crate) mod versions;
pub(crate) mod write_txn_markers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Request, StrBytes};

use crate::api::reply::{Disposition, Reply};
use crate::cluster::core::Core;
use crate::error::ErrorCode;
use crate::faults::control::{Control, Corruption};
use crate::faults::rules::RequestView;
use crate::network::frame::Frame;

/// One request on its way through a broker, without its body.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) node: i32,
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: String,
    pub(crate) connection: u64,
    /// A fault for one partition of this request.
    pub(crate) refused: Option<RefusedPartition>,
}

/// Refuse one partition of a request.
#[derive(Debug, Clone)]
pub(crate) struct RefusedPartition {
    topic: String,
    partition: i32,
    code: ErrorCode,
    /// Apply it all the same.
    apply: bool,
}

impl Call {
    /// Runs `apply` for a partition unless a fault refuses it.
    pub(crate) fn unless_refused<T>(
        &self,
        topic: &str,
        partition: i32,
        apply: impl FnOnce() -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        match &self.refused {
            Some(refused) if refused.partition == partition && refused.topic == topic => {
                if refused.apply {
                    apply()?;
                }
                Err(refused.code)
            }
            _ => apply(),
        }
    }

    /// Throttle time of this API, zero unless a test set one.
    pub(crate) fn throttle(&self) -> Duration {
        self.core.state().throttles.get(&self.key).copied().unwrap_or(Duration::ZERO)
    }
}

/// One wire API.
pub(crate) trait Api {
    type Request: Request + Send;
    type Response: Reply + Send;

    /// Applies the request.
    fn answer(call: &Call, request: Self::Request) -> impl Future<Output = Self::Response> + Send;

    /// The response that carries `code` wherever there is room for one (`getErrorResponse` in Kafka).
    fn refuse(request: &Self::Request, version: i16, code: ErrorCode) -> Self::Response;
}

/// What the connection does next.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply {
        frame: Frame,
        /// Write only so many bytes, then close.
        cut: Option<usize>,
        /// Read nothing for so long afterwards: how Kafka throttles a client.
        mute: Duration,
    },
    Nothing,
    Close,
    Silence,
}

macro_rules! dispatch {
    ($call:expr, $body:expr, $control:expr; $($key:ident => $api:ty,)*) => {
        match $call.key {
            $(ApiKey::$key => Box::pin(run::<$api>($call, $body, $control)).await,)*
            _ => Answer::Close,
        }
    };
}

/// Answers one request, faults included.
pub(crate) async fn answer(mut call: Call, body: Bytes) -> Answer {
    call.core.faults().note(&call);
    let offered = call.core.state().versions.range(call.key);
    if offered.is_none_or(|range| !range.contains(&call.version)) {
        if call.key != ApiKey::ApiVersions {
            return Answer::Close;
        }
        // KIP-511: a client that knows newer versions learns ours from an answer in version 0.
        call.version = 0;
        return finish(&call, &api_versions::unsupported(&call));
    }
    let control = decide(&call, &body);
    dispatch! { call, body, control;
        Produce => produce::Produce,
        Fetch => fetch::Fetch,
        ListOffsets => list_offsets::ListOffsets,
        Metadata => metadata::Metadata,
        OffsetCommit => offset_commit::OffsetCommit,
        OffsetFetch => offset_fetch::OffsetFetch,
        FindCoordinator => find_coordinator::FindCoordinator,
        JoinGroup => join_group::JoinGroup,
        Heartbeat => heartbeat::Heartbeat,
        LeaveGroup => leave_group::LeaveGroup,
        SyncGroup => sync_group::SyncGroup,
        DescribeGroups => describe_groups::DescribeGroups,
        ListGroups => list_groups::ListGroups,
        ApiVersions => api_versions::ApiVersions,
        CreateTopics => create_topics::CreateTopics,
        DeleteTopics => delete_topics::DeleteTopics,
        DeleteRecords => delete_records::DeleteRecords,
        InitProducerId => init_producer_id::InitProducerId,
        OffsetForLeaderEpoch => offset_for_leader_epoch::OffsetForLeaderEpoch,
        AddPartitionsToTxn => add_partitions_to_txn::AddPartitionsToTxn,
        AddOffsetsToTxn => add_offsets_to_txn::AddOffsetsToTxn,
        EndTxn => end_txn::EndTxn,
        WriteTxnMarkers => write_txn_markers::WriteTxnMarkers,
        TxnOffsetCommit => txn_offset_commit::TxnOffsetCommit,
        DescribeConfigs => describe_configs::DescribeConfigs,
        CreatePartitions => create_partitions::CreatePartitions,
        IncrementalAlterConfigs => incremental_alter_configs::IncrementalAlterConfigs,
        DescribeCluster => describe_cluster::DescribeCluster,
        DescribeProducers => describe_producers::DescribeProducers,
    }
}

fn decide(call: &Call, body: &Bytes) -> Control {
    let mut faults = call.core.faults();
    if !faults.watches(call.key) {
        return Control::Pass;
    }
    faults.decide(&RequestView::new(call, body.clone()))
}

async fn run<A: Api>(mut call: Call, mut body: Bytes, control: Control) -> Answer {
    use kafka_protocol::protocol::Decodable;
    let Ok(request) = A::Request::decode(&mut body, call.version) else {
        return Answer::Close;
    };
    let (applied, control) = match control {
        Control::ApplyThen(then) => (true, *then),
        control => (false, control),
    };
    match control {
        Control::Error(code) => {
            let refusal = A::refuse(&request, call.version, code);
            if applied {
                A::answer(&call, request).await;
            }
            finish(&call, &refusal)
        }
        Control::PartitionError { topic, partition, code } => {
            call.refused = Some(RefusedPartition { topic, partition, code, apply: applied });
            finish(&call, &A::answer(&call, request).await)
        }
        Control::Delay(time) => {
            if !applied {
                tokio::time::sleep(time).await;
                return finish(&call, &A::answer(&call, request).await);
            }
            let response = A::answer(&call, request).await;
            tokio::time::sleep(time).await;
            finish(&call, &response)
        }
        Control::Disconnect | Control::Silence => {
            if applied {
                A::answer(&call, request).await;
            }
            if control == Control::Silence { Answer::Silence } else { Answer::Close }
        }
        Control::Corrupt(corruption) => {
            let answer = finish(&call, &A::answer(&call, request).await);
            corrupted(answer, corruption)
        }
        Control::Pass | Control::ApplyThen(_) => finish(&call, &A::answer(&call, request).await),
    }
}

fn finish<R: Reply>(call: &Call, response: &R) -> Answer {
    match response.disposition() {
        Disposition::Send => {}
        Disposition::Nothing => return Answer::Nothing,
        Disposition::Close => return Answer::Close,
    }
    let mut frame = Frame::default();
    frame.fields().put_i32(call.correlation_id);
    if call.key.response_header_version(call.version) >= 1 {
        frame.fields().put_u8(0);
    }
    match response.encode(call.version, &mut frame) {
        Ok(()) => Answer::Reply { frame, cut: None, mute: call.throttle() },
        // Our own response does not fit the version: nothing sensible can be sent.
        Err(_) => Answer::Close,
    }
}

fn corrupted(answer: Answer, corruption: Corruption) -> Answer {
    let Answer::Reply { mut frame, mute, .. } = answer else {
        return answer;
    };
    let mut cut = None;
    match corruption {
        Corruption::Payload => {
            if let Some(at) = frame.payload_middle() {
                frame.flip(at);
            }
        }
        Corruption::CorrelationId => frame.flip(0),
        Corruption::CutAfter(bytes) => cut = Some(bytes),
    }
    Answer::Reply { frame, cut, mute }
}
