//! Encodes a Fetch request from what changed since the session's last one.

use super::{API_KEY, is_flexible, uses_topic_ids};
use crate::frame::Frame;
use crate::primitives::{TopicId, put_count, put_no_tags, put_string};
use bytes::{BufMut, BytesMut};
use std::sync::Arc;

/// Which records a fetch returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Everything up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset, with the list of aborted transactions to drop.
    #[default]
    ReadCommitted,
}

/// How long a broker waits and how much it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Milliseconds the broker waits for `min_bytes`.
    pub max_wait_ms: i32,
    /// Bytes the broker waits for.
    pub min_bytes: i32,
    /// Bytes of records in the whole answer; one batch comes whole even if larger.
    pub max_bytes: i32,
    /// Bytes of records per partition.
    pub partition_max_bytes: i32,
    /// Which records.
    pub isolation: Isolation,
}

/// One partition in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionFields {
    pub(super) partition: i32,
    pub(super) current_leader_epoch: i32,
    pub(super) fetch_offset: i64,
    pub(super) last_fetched_epoch: i32,
}

/// A topic's name and id, shared by its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicIdentity {
    /// Name.
    pub name: Arc<str>,
    /// Id, or zero where the cluster has none.
    pub id: TopicId,
}

/// `FetchMetadata.FINAL_EPOCH`: no session, and none to be opened.
const FINAL_EPOCH: i32 = -1;

pub(super) struct SessionFields {
    pub(super) id: i32,
    pub(super) epoch: i32,
}

/// `added` and `forgotten` are grouped by topic.
pub(super) fn encode(
    version: i16,
    client_id: &str,
    session: &SessionFields,
    limits: &FetchLimits,
    added: &[(&TopicIdentity, Vec<PartitionFields>)],
    forgotten: &[(&TopicIdentity, Vec<i32>)],
) -> Frame {
    let flexible = is_flexible(version);
    let mut frame = Frame::request(API_KEY, version, client_id, flexible);
    let out = frame.body();
    if version <= 14 {
        out.put_i32(-1); // replica id: a consumer
    }
    out.put_i32(limits.max_wait_ms);
    out.put_i32(limits.min_bytes);
    out.put_i32(limits.max_bytes);
    out.put_u8(u8::from(limits.isolation == Isolation::ReadCommitted));
    out.put_i32(session.id);
    out.put_i32(session.epoch);

    put_count(out, flexible, added.len());
    for (topic, partitions) in added {
        put_topic(out, version, topic);
        put_count(out, flexible, partitions.len());
        for fields in partitions {
            put_partition(out, version, fields, limits);
        }
        put_no_tags(out, flexible);
    }
    put_count(out, flexible, forgotten.len());
    for (topic, partitions) in forgotten {
        put_topic(out, version, topic);
        put_count(out, flexible, partitions.len());
        partitions.iter().for_each(|partition| out.put_i32(*partition));
        put_no_tags(out, flexible);
    }
    if version >= 11 {
        put_string(out, flexible, ""); // rack id: always the leader
    }
    put_no_tags(out, flexible);
    frame
}

/// A fetch outside of any session, of partitions in the order given: brokers fill the answer in that order, and only
/// the first batch of all comes whole whatever its size. `wanted` names each partition once: topic, partition, offset;
/// `leader_epoch` is the one they are known by, −1 for none.
pub(crate) fn encode_once(
    version: i16,
    client_id: &str,
    limits: &FetchLimits,
    leader_epoch: i32,
    wanted: &[(&TopicIdentity, i32, i64)],
) -> Frame {
    let fields = |(_, partition, fetch_offset): &(&TopicIdentity, i32, i64)| PartitionFields {
        partition: *partition,
        current_leader_epoch: leader_epoch,
        fetch_offset: *fetch_offset,
        last_fetched_epoch: -1,
    };
    let topics = wanted.chunk_by(|(a, ..), (b, ..)| a == b);
    let topics = topics.filter_map(|chunk| Some((chunk.first()?.0, chunk.iter().map(fields).collect())));
    let session = SessionFields { id: 0, epoch: FINAL_EPOCH };
    encode(version, client_id, &session, limits, &topics.collect::<Vec<_>>(), &[])
}

fn put_topic(out: &mut BytesMut, version: i16, topic: &TopicIdentity) {
    if uses_topic_ids(version) {
        out.put_slice(&topic.id.0);
    } else {
        put_string(out, is_flexible(version), &topic.name);
    }
}

fn put_partition(out: &mut BytesMut, version: i16, fields: &PartitionFields, limits: &FetchLimits) {
    out.put_i32(fields.partition);
    out.put_i32(fields.current_leader_epoch);
    out.put_i64(fields.fetch_offset);
    if version >= 12 {
        out.put_i32(fields.last_fetched_epoch);
    }
    out.put_i64(-1); // log start offset: for followers
    out.put_i32(limits.partition_max_bytes);
    put_no_tags(out, is_flexible(version));
}
