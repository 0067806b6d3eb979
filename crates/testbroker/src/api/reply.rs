//! How a response gets into a frame.

use kafka_protocol::messages as m;
use kafka_protocol::protocol::Encodable;

use crate::network::frame::Frame;

/// A response does not fit the version it is asked in.
#[derive(Debug)]
pub(crate) struct Unencodable;

/// Whether a response is sent at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    Send,
    /// Produce with acks 0.
    Nothing,
    /// Produce with acks 0 that failed.
    Close,
}

/// A response of any API.
pub(crate) trait Reply {
    fn encode(&self, version: i16, frame: &mut Frame) -> Result<(), Unencodable>;

    fn disposition(&self) -> Disposition {
        Disposition::Send
    }
}

macro_rules! replies {
    ($($response:ident)*) => {
        $(impl Reply for m::$response {
            fn encode(&self, version: i16, frame: &mut Frame) -> Result<(), Unencodable> {
                Encodable::encode(self, frame.fields(), version).map_err(|_| Unencodable)
            }
        })*
    };
}

replies! {
    AddOffsetsToTxnResponse AddPartitionsToTxnResponse ApiVersionsResponse CreatePartitionsResponse
    CreateTopicsResponse DeleteRecordsResponse DeleteTopicsResponse DescribeClusterResponse
    DescribeConfigsResponse DescribeGroupsResponse DescribeProducersResponse EndTxnResponse
    FindCoordinatorResponse HeartbeatResponse IncrementalAlterConfigsResponse InitProducerIdResponse
    JoinGroupResponse LeaveGroupResponse ListGroupsResponse ListOffsetsResponse MetadataResponse
    OffsetCommitResponse OffsetFetchResponse OffsetForLeaderEpochResponse SyncGroupResponse
    TxnOffsetCommitResponse WriteTxnMarkersResponse
}
