//! Which broker coordinates a group or a transactional id: FindCoordinator (10).

use super::{BrokerError, Cluster, ClusterError};
use crate::messages::{FindCoordinatorRequest, StrBytes};

/// From version 4 on several keys are asked for at once.
const VERSION: i16 = 3;

/// What is coordinated (`FindCoordinatorRequest.CoordinatorType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coordinated {
    Group,
    Transaction,
}

impl Coordinated {
    fn key_type(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
        }
    }

    fn request(self) -> &'static str {
        match self {
            Self::Group => "find the coordinator of group",
            Self::Transaction => "find the coordinator of transactional id",
        }
    }
}

impl Cluster {
    /// Broker id of the coordinator of `key`, asked anew: it moves like a partition's leader.
    pub(super) async fn coordinator(&self, what: Coordinated, key: &str) -> Result<i32, ClusterError> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_key_type(what.key_type());
        let answer = self.call_any_limited(&request, VERSION).await?;
        let message = answer.error_message.map(|message| message.to_string());
        BrokerError(answer.error_code).check(what.request(), key, message)?;
        let node = answer.node_id.0;
        if self.brokers().broker(node).is_none() {
            self.metadata(Some(&[])).await?;
        }
        Ok(node)
    }
}
