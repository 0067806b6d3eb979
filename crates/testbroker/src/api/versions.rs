//! Which versions the cluster offers: those of Kafka 4.1 as far as they are spoken here, or an older broker's.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use kafka_protocol::messages::ApiKey;

/// APIs and their versions.
const OFFERED: &[(ApiKey, RangeInclusive<i16>)] = &[
    (ApiKey::Produce, 3..=13),
    (ApiKey::Fetch, 4..=18),
    (ApiKey::ListOffsets, 1..=10),
    (ApiKey::Metadata, 0..=13),
    (ApiKey::OffsetCommit, 2..=9),
    (ApiKey::OffsetFetch, 1..=9),
    (ApiKey::FindCoordinator, 0..=6),
    (ApiKey::JoinGroup, 0..=9),
    (ApiKey::Heartbeat, 0..=4),
    (ApiKey::LeaveGroup, 0..=5),
    (ApiKey::SyncGroup, 0..=5),
    (ApiKey::DescribeGroups, 0..=6),
    (ApiKey::ListGroups, 0..=5),
    (ApiKey::ApiVersions, 0..=4),
    (ApiKey::CreateTopics, 2..=7),
    (ApiKey::DeleteTopics, 1..=6),
    (ApiKey::DeleteRecords, 0..=2),
    (ApiKey::InitProducerId, 0..=5),
    (ApiKey::OffsetForLeaderEpoch, 2..=4),
    (ApiKey::AddPartitionsToTxn, 0..=5),
    (ApiKey::AddOffsetsToTxn, 0..=4),
    (ApiKey::EndTxn, 0..=5),
    (ApiKey::WriteTxnMarkers, 1..=1),
    (ApiKey::TxnOffsetCommit, 0..=5),
    (ApiKey::DescribeConfigs, 1..=4),
    (ApiKey::CreatePartitions, 0..=3),
    (ApiKey::IncrementalAlterConfigs, 0..=1),
    (ApiKey::DescribeCluster, 0..=2),
    (ApiKey::DescribeProducers, 0..=0),
];

/// Highest versions of Kafka 2.1, for [`crate::TestCluster::set_max_versions`]; −1 is "not offered".
///
/// `WriteTxnMarkers` is missing although 2.1 has its version 0: that version is not spoken here.
pub const KAFKA_2_1: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 7),
    (ApiKey::Fetch, 10),
    (ApiKey::ListOffsets, 4),
    (ApiKey::Metadata, 7),
    (ApiKey::OffsetCommit, 6),
    (ApiKey::OffsetFetch, 5),
    (ApiKey::FindCoordinator, 2),
    (ApiKey::JoinGroup, 3),
    (ApiKey::Heartbeat, 2),
    (ApiKey::LeaveGroup, 2),
    (ApiKey::SyncGroup, 2),
    (ApiKey::DescribeGroups, 2),
    (ApiKey::ListGroups, 2),
    (ApiKey::ApiVersions, 2),
    (ApiKey::CreateTopics, 3),
    (ApiKey::DeleteTopics, 3),
    (ApiKey::DeleteRecords, 1),
    (ApiKey::InitProducerId, 1),
    (ApiKey::OffsetForLeaderEpoch, 2),
    (ApiKey::AddPartitionsToTxn, 1),
    (ApiKey::AddOffsetsToTxn, 1),
    (ApiKey::EndTxn, 1),
    (ApiKey::WriteTxnMarkers, -1),
    (ApiKey::TxnOffsetCommit, 2),
    (ApiKey::DescribeConfigs, 2),
    (ApiKey::CreatePartitions, 1),
    (ApiKey::IncrementalAlterConfigs, -1),
    (ApiKey::DescribeCluster, -1),
    (ApiKey::DescribeProducers, -1),
];

/// The versions in force.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    max: HashMap<ApiKey, i16>,
}

impl Versions {
    pub(crate) fn set_max(&mut self, key: ApiKey, max: i16) {
        self.max.insert(key, max);
    }

    /// Versions of one API that are answered; `None` when it is not offered.
    pub(crate) fn range(&self, key: ApiKey) -> Option<RangeInclusive<i16>> {
        let (_, range) = OFFERED.iter().find(|(offered, _)| *offered == key)?;
        let max = self.max.get(&key).map_or(*range.end(), |max| *range.end().min(max));
        (max >= *range.start()).then_some(*range.start()..=max)
    }

    /// All APIs that are offered.
    pub(crate) fn offered(&self) -> impl Iterator<Item = (ApiKey, RangeInclusive<i16>)> + '_ {
        OFFERED.iter().filter_map(|(key, _)| Some((*key, self.range(*key)?)))
    }
}
