//! One fetch of one partition, outside of any session.

use super::log::{malformed, refused, subject, version};
use super::{BrokerError, Cluster, ClusterError, Lane};
use crate::fetch::{
    self, FetchAnswer, FetchLimits, FetchSession, FetchTarget, FetchedPartition, Isolation, TopicIdentity,
};
use std::time::Duration;

const FETCH_BYTES: i32 = 1 << 20;

impl Cluster {
    /// What broker `leader` serves of a partition from offset `from` on, up to 1 MiB or one batch; does not
    /// wait for more.
    ///
    /// # Errors
    /// When the broker does not answer, refuses, or is not the leader.
    pub async fn fetch_once(
        &self,
        leader: i32,
        topic: &TopicIdentity,
        partition: i32,
        from: i64,
        isolation: Isolation,
    ) -> Result<FetchedPartition, ClusterError> {
        let connection = self.connection(leader, Lane::Control).await?;
        let offered = version(&connection, fetch::API_KEY, fetch::MIN_VERSION, fetch::MAX_VERSION)?;
        let version = if topic.id == crate::primitives::TopicId::ZERO { offered.min(12) } else { offered };
        let limits = FetchLimits {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            partition_max_bytes: FETCH_BYTES,
            isolation,
        };
        let refused = |code| refused("read", topic, partition, code, None);
        let mut session = FetchSession::default();
        let target = FetchTarget { fetch_offset: from, current_leader_epoch: -1, last_fetched_epoch: -1 };
        session.want(0, topic, partition, target);
        let frame = session.next_request(version, connection.client_id(), &limits);
        let answer = connection.exchange(frame, Duration::ZERO).await?;
        let answer = FetchAnswer::decode(version, &answer).map_err(|error| malformed(&connection, error))?;
        let fetched = session.accept(answer).map_err(|error| refused(BrokerError(error.0)))?;
        let Some((_, fetched)) = fetched.into_iter().next() else {
            return Err(ClusterError::Missing { request: "read", subject: subject(topic, partition) });
        };
        match BrokerError(fetched.error_code) {
            BrokerError::NONE => Ok(fetched),
            code => Err(refused(code)),
        }
    }
}
