//! The Fetch response, written by hand: headers are copied, payloads are chained as they lie in the log.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;
use verbatim_wire::records::header::HEADER_BYTES;

use crate::api::fetch::gather::Gathered;
use crate::api::fetch::sessions::{SESSION_VERSION, TOPIC_ID_VERSION, Wanted};
use crate::api::reply::{Reply, Unencodable};
use crate::cluster::state::State;
use crate::error::ErrorCode;
use crate::log::read::ReadSlice;
use crate::log::transactions::AbortedTransaction;
use crate::network::frame::Frame;
use crate::records::varint::write_unsigned;

/// First version in the flexible encoding.
const FLEXIBLE_VERSION: i16 = 12;
const LOG_START_VERSION: i16 = 5;
const PREFERRED_REPLICA_VERSION: i16 = 11;
const ENDPOINTS_VERSION: i16 = 16;

/// A Fetch response.
#[derive(Debug, Default)]
pub(crate) struct FetchReply {
    throttle_time_ms: i32,
    code: i16,
    session_id: i32,
    topics: Vec<TopicReply>,
    endpoints: Vec<(i32, String, u16)>,
}

#[derive(Debug)]
struct TopicReply {
    topic: StrBytes,
    topic_id: Uuid,
    partitions: Vec<(i32, Gathered)>,
}

impl FetchReply {
    /// Only an error, for the request as a whole.
    pub(crate) fn refused(code: ErrorCode) -> Self {
        Self { code: code.0, ..Self::default() }
    }

    pub(crate) fn throttled(session_id: i32, throttle: Duration) -> Self {
        Self { session_id, throttle_time_ms: throttle.as_millis() as i32, ..Self::default() }
    }

    /// Partitions in their order; neighbours of one topic are grouped.
    pub(crate) fn of(session_id: i32, partitions: Vec<(&Wanted, Gathered)>) -> Self {
        let mut topics: Vec<TopicReply> = Vec::new();
        for (wanted, gathered) in partitions {
            let entry = (wanted.partition, gathered);
            match topics.last_mut() {
                Some(last) if last.topic == wanted.topic && last.topic_id == wanted.topic_id => {
                    last.partitions.push(entry);
                }
                _ => topics.push(TopicReply {
                    topic: wanted.topic.clone(),
                    topic_id: wanted.topic_id,
                    partitions: vec![entry],
                }),
            }
        }
        Self { session_id, topics, ..Self::default() }
    }

    /// Names the brokers that leaders may have moved to.
    pub(crate) fn with_endpoints(mut self, state: &State) -> Self {
        self.endpoints = state.up().map(|(node, it)| (node, it.host.clone(), it.port)).collect();
        self
    }
}

impl Reply for FetchReply {
    fn encode(&self, version: i16, frame: &mut Frame) -> Result<(), Unencodable> {
        let flexible = version >= FLEXIBLE_VERSION;
        frame.fields().put_i32(self.throttle_time_ms);
        if version >= SESSION_VERSION {
            frame.fields().put_i16(self.code);
            frame.fields().put_i32(self.session_id);
        }
        put_count(frame.fields(), self.topics.len(), flexible);
        for topic in &self.topics {
            if version >= TOPIC_ID_VERSION {
                frame.fields().put_slice(topic.topic_id.as_bytes());
            } else {
                put_string(frame.fields(), &topic.topic, flexible);
            }
            put_count(frame.fields(), topic.partitions.len(), flexible);
            for (partition, gathered) in &topic.partitions {
                put_partition(frame, *partition, gathered, version);
            }
            put_no_tags(frame.fields(), flexible);
        }
        if flexible {
            put_endpoints(frame.fields(), &self.endpoints, version);
        }
        Ok(())
    }
}

fn put_partition(frame: &mut Frame, partition: i32, gathered: &Gathered, version: i16) {
    let flexible = version >= FLEXIBLE_VERSION;
    let fields = frame.fields();
    fields.put_i32(partition);
    fields.put_i16(gathered.code.0);
    fields.put_i64(gathered.high_watermark);
    fields.put_i64(gathered.last_stable_offset);
    if version >= LOG_START_VERSION {
        fields.put_i64(gathered.log_start);
    }
    put_aborted(fields, gathered.aborted.as_deref(), flexible);
    if version >= PREFERRED_REPLICA_VERSION {
        fields.put_i32(-1);
    }
    put_slice(frame, &gathered.slice, flexible);
    if flexible {
        put_partition_tags(frame.fields(), gathered);
    }
}

fn put_aborted(fields: &mut BytesMut, aborted: Option<&[AbortedTransaction]>, flexible: bool) {
    let Some(aborted) = aborted else {
        if flexible {
            fields.put_u8(0);
        } else {
            fields.put_i32(-1);
        }
        return;
    };
    put_count(fields, aborted.len(), flexible);
    for transaction in aborted {
        fields.put_i64(transaction.producer_id);
        fields.put_i64(transaction.first_offset);
        put_no_tags(fields, flexible);
    }
}

/// The records: whole batches, the last one cut where the byte limit says.
fn put_slice(frame: &mut Frame, slice: &ReadSlice, flexible: bool) {
    put_count(frame.fields(), slice.bytes, flexible);
    let mut left = slice.bytes;
    for batch in &slice.batches {
        let head = left.min(HEADER_BYTES);
        frame.fields().put_slice(&batch.head()[..head]);
        left -= head;
        let payload = left.min(batch.payload().len());
        if payload > 0 {
            frame.mark_payload(payload);
            frame.chain(batch.payload().slice(..payload));
            left -= payload;
        }
    }
}

fn put_partition_tags(fields: &mut BytesMut, gathered: &Gathered) {
    let count = u64::from(gathered.diverging.is_some()) + u64::from(gathered.current_leader.is_some());
    write_unsigned(fields, count);
    if let Some((epoch, end_offset)) = gathered.diverging {
        fields.put_slice(&[0, 13]);
        fields.put_i32(epoch);
        fields.put_i64(end_offset);
        fields.put_u8(0);
    }
    if let Some((leader, epoch)) = gathered.current_leader {
        fields.put_slice(&[1, 9]);
        fields.put_i32(leader);
        fields.put_i32(epoch);
        fields.put_u8(0);
    }
}

fn put_endpoints(fields: &mut BytesMut, endpoints: &[(i32, String, u16)], version: i16) {
    if version < ENDPOINTS_VERSION || endpoints.is_empty() {
        fields.put_u8(0);
        return;
    }
    let mut body = BytesMut::new();
    put_count(&mut body, endpoints.len(), true);
    for (node, host, port) in endpoints {
        body.put_i32(*node);
        put_string(&mut body, host, true);
        body.put_i32(i32::from(*port));
        // No rack, no tags.
        body.put_slice(&[0, 0]);
    }
    fields.put_slice(&[1, 0]);
    write_unsigned(fields, body.len() as u64);
    fields.put_slice(&body);
}

fn put_count(fields: &mut BytesMut, count: usize, flexible: bool) {
    if flexible {
        write_unsigned(fields, count as u64 + 1);
    } else {
        fields.put_i32(count as i32);
    }
}

fn put_string(fields: &mut BytesMut, string: &str, flexible: bool) {
    if flexible {
        write_unsigned(fields, string.len() as u64 + 1);
    } else {
        fields.put_i16(string.len() as i16);
    }
    fields.put_slice(string.as_bytes());
}

fn put_no_tags(fields: &mut BytesMut, flexible: bool) {
    if flexible {
        fields.put_u8(0);
    }
}
