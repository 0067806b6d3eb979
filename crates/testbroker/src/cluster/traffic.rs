//! How much each API was used, in bytes.

use std::collections::HashMap;

use kafka_protocol::messages::ApiKey;

use crate::cluster::builder::TestCluster;

/// What went over all connections of a cluster for one API, size fields included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests received.
    pub requests: u64,
    /// Their bytes.
    pub request_bytes: u64,
    /// Answers sent, or begun to be.
    pub answers: u64,
    /// Their bytes.
    pub answer_bytes: u64,
}

/// The traffic of every API.
#[derive(Debug, Default)]
pub(crate) struct Traffics(HashMap<ApiKey, Traffic>);

impl Traffics {
    pub(crate) fn received(&mut self, api: ApiKey, bytes: usize) {
        let traffic = self.0.entry(api).or_default();
        traffic.requests += 1;
        traffic.request_bytes += bytes as u64;
    }

    pub(crate) fn sent(&mut self, api: ApiKey, bytes: usize) {
        let traffic = self.0.entry(api).or_default();
        traffic.answers += 1;
        traffic.answer_bytes += bytes as u64;
    }
}

impl TestCluster {
    /// The traffic of one API since the cluster was started.
    pub fn traffic(&self, api: ApiKey) -> Traffic {
        self.core.traffics().0.get(&api).copied().unwrap_or_default()
    }
}
