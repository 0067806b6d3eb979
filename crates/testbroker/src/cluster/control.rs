//! What a test can do to a cluster while clients use it. Every method takes effect before it returns.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use crate::cluster::builder::{TestCluster, Transport};
use crate::error::ErrorCode;
use crate::faults::control::Control;
use crate::faults::rules::RequestView;
use crate::network::tcp;
use crate::topics::topic::Partition;

impl TestCluster {
    /// Creates a topic with as many replicas as there are brokers, at most 3.
    ///
    /// # Errors
    /// What `CreateTopics` would answer.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), ErrorCode> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let configs: BTreeMap<String, String> = configs.iter().map(own).collect();
        self.core.state().create_topic(name, partitions, -1, configs)?;
        self.core.changed.notify_waiters();
        Ok(())
    }

    /// Deletes a topic; a new one of the same name gets another id.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn delete_topic(&self, name: &str) -> Result<(), ErrorCode> {
        let removed = self.core.state().delete_topic(name);
        self.core.changed.notify_waiters();
        removed.map(|_| ()).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    /// Makes every request of one API be decided by `rule`, until [`TestCluster::clear_rules`].
    pub fn on(&self, api: ApiKey, rule: impl FnMut(&RequestView) -> Control + Send + 'static) {
        self.core.faults().add(api, None, Box::new(rule));
    }

    /// Treats the next request of one API like this.
    pub fn once(&self, api: ApiKey, control: Control) {
        self.times(api, 1, control);
    }

    /// Treats the next `times` requests of one API like this.
    pub fn times(&self, api: ApiKey, times: usize, control: Control) {
        self.times_when(api, times, |_| true, control);
    }

    /// Treats the next `times` requests of one API that `matches` like this.
    pub fn times_when(
        &self,
        api: ApiKey,
        times: usize,
        matches: impl Fn(&RequestView) -> bool + Send + 'static,
        control: Control,
    ) {
        if times > 0 {
            let decide = move |request: &RequestView| {
                if matches(request) { control.clone() } else { Control::Pass }
            };
            self.core.faults().add(api, Some(times), Box::new(decide));
        }
    }

    /// Ends all rules.
    pub fn clear_rules(&self) {
        self.core.faults().clear();
    }

    /// Throttles one API: after each answer its connection is not read for so long, and Fetch answers are empty.
    /// Zero ends it.
    pub fn throttle(&self, api: ApiKey, time: Duration) {
        self.core.state().throttles.insert(api, time);
    }

    /// Limits the versions that are offered; −1 withdraws an API. See [`crate::KAFKA_2_1`].
    pub fn set_max_versions(&self, versions: &[(ApiKey, i16)]) {
        let mut state = self.core.state();
        versions.iter().for_each(|(api, max)| state.versions.set_max(*api, *max));
    }

    /// Makes `node` the leader of a partition, in a new epoch. A node that is no replica becomes one.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`, `INVALID_REPLICA_ASSIGNMENT` for a node that does not exist.
    pub fn move_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), ErrorCode> {
        if !self.core.state().brokers.contains_key(&node) {
            return Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT);
        }
        self.change(topic, partition, |partition| {
            if !partition.replicas.contains(&node) {
                partition.replicas.push(node);
            }
            partition.elect(Some(node));
        })
    }

    /// Begins a new leader epoch under the same leader.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn bump_epoch(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.change(topic, partition, |partition| partition.elect(partition.leader))
    }

    /// Unclean election: drops everything from `offset` on (the whole batch that contains it) and begins a new epoch.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn truncate(&self, topic: &str, partition: i32, offset: i64) -> Result<(), ErrorCode> {
        self.change(topic, partition, |partition| {
            partition.log.truncate(offset);
            partition.elect(partition.leader);
        })
    }

    /// Compacts a partition as Kafka's cleaner would; see `log/compact.rs`. A delete horizon, in milliseconds since
    /// the epoch, is put into batches with tombstones.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn compact(
        &self,
        topic: &str,
        partition: i32,
        delete_horizon_ms: Option<i64>,
    ) -> Result<(), ErrorCode> {
        self.change(topic, partition, |partition| partition.log.compact(delete_horizon_ms))
    }

    /// Holds the high watermark of a partition where it is, as followers do that fall behind, or lets it go on. What
    /// is appended meanwhile is in the log, but no reader sees it, and Produce with acks −1 and WriteTxnMarkers
    /// are not answered until it is let go, or their time is up (`REQUEST_TIMED_OUT`).
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn hold_high_watermark(&self, topic: &str, partition: i32, hold: bool) -> Result<(), ErrorCode> {
        self.change(topic, partition, |partition| partition.log.hold_high_watermark(hold))
    }

    /// Raises the log start; −1 means the high watermark. Returns the new log start.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION`, `OFFSET_OUT_OF_RANGE`.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<i64, ErrorCode> {
        self.change(topic, partition, |partition| partition.log.delete_before(before))?
    }

    /// Forgets, on all partitions, producers whose last *record time* is at least `expiration_ms` old and that have
    /// no open transaction. Returns nothing; Kafka does this every ten minutes with a day.
    pub fn expire_producer_ids(&self, expiration_ms: i64) {
        self.expire_producers(self.core.clock.now_ms() - expiration_ms);
    }

    /// The same for a given time: forgets producers whose last record time is `before_ms`, in milliseconds since the
    /// epoch, or earlier.
    pub fn expire_producers(&self, before_ms: i64) {
        let mut state = self.core.state();
        let partitions = state.topics.iter_mut().flat_map(|(_, topic)| &mut topic.partitions);
        partitions.for_each(|partition| partition.log.producers.expire(before_ms));
    }

    /// Holds back the markers of transactions that end from now on, or lets them go.
    pub fn hold_transaction_markers(&self, hold: bool) {
        let mut state = self.core.state();
        state.hold_markers = hold;
        if !hold {
            state.complete_prepared(self.core.clock.now_ms());
        }
        drop(state);
        self.core.changed.notify_waiters();
    }

    /// Forgets all fetch sessions of a broker.
    pub fn evict_fetch_sessions(&self, node: i32) {
        if let Some(broker) = self.core.state().brokers.get_mut(&node) {
            broker.fetch_sessions.evict_all();
        }
    }

    /// Stops a broker: its connections break, new ones are refused, and its partitions go to another replica that is
    /// up, in a new epoch, or have no leader. Logs are kept.
    pub async fn crash(&self, node: i32) {
        self.core.state().take_down(node);
        self.core.stop(node).await;
        self.core.changed.notify_waiters();
    }

    /// Starts a crashed broker again on its old address. It leads the partitions that were left without a leader.
    ///
    /// # Errors
    /// When its port cannot be listened on.
    pub fn restart(&self, node: i32) -> io::Result<()> {
        self.restart_losing(node, 0)
    }

    /// As [`TestCluster::restart`], and every partition that waited for it has lost its last `batches`.
    ///
    /// # Errors
    /// When its port cannot be listened on.
    pub fn restart_losing(&self, node: i32, batches: usize) -> io::Result<()> {
        if !self.core.state().bring_up(node, batches) {
            return Ok(());
        }
        if let Transport::Tcp(ports) = &self.transport
            && let Some(port) = ports.get(&node)
        {
            let _runtime = self.core.enter();
            self.core.spawn(node, tcp::accept(port.listen()?, Arc::clone(&self.core), node));
        }
        self.core.changed.notify_waiters();
        Ok(())
    }

    fn change<T>(
        &self,
        topic: &str,
        partition: i32,
        change: impl FnOnce(&mut Partition) -> T,
    ) -> Result<T, ErrorCode> {
        let changed = self.core.state().topics.partition_mut(topic, partition).map(change);
        self.core.changed.notify_waiters();
        changed
    }
}
