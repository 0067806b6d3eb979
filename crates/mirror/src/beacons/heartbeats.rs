//! Heartbeats: that the way from one cluster to the other is open (`MirrorHeartbeatTask`).

use super::formats;
use super::topic::{BeaconTopic, now_ms};
use bytes::Bytes;
use verbatim_wire::cluster::ClusterError;

/// The heart of one flow.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    topic: BeaconTopic,
    key: Bytes,
}

impl Heartbeats {
    /// From cluster `source` to cluster `target`, by their names.
    pub(crate) fn new(topic: BeaconTopic, source: &str, target: &str) -> Self {
        Self { topic, key: formats::heartbeat_key(source, target) }
    }

    /// One beat.
    ///
    /// # Errors
    /// When it could not be written.
    pub(crate) async fn beat(&mut self) -> Result<(), ClusterError> {
        let now = now_ms();
        self.topic.append(now, &[(self.key.clone(), formats::heartbeat_value(now))]).await
    }
}
