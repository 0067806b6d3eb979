//! Questions whose answer may be a refusal: error codes are part of the answer here, not a failure. For asking two kinds of broker the
//! same and comparing what they say.

use std::time::{Duration, Instant};

use super::client::{Client, Isolation, NewTopic};
use super::primitives::{Body, Rest};
use super::{Error, RawBatch, parse_batches};

const TIMEOUT_MS: i32 = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// What a broker says while it does not know yet that it leads a partition, or coordinates a transaction.
const PASSING: [i16; 7] = [3, 5, 6, 14, 15, 16, 51];

/// The answer to a Produce request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Error code.
    pub code: i16,
    /// Offset of the first record, or -1.
    pub base_offset: i64,
    /// The append time where the topic stamps it, else -1.
    pub append_time: i64,
    /// First offset of the log.
    pub log_start: i64,
}

/// A partition to fetch from.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// First offset.
    pub offset: i64,
    /// Most bytes of it.
    pub max_bytes: i32,
    /// The leader epoch the client believes in, -1 for none.
    pub leader_epoch: i32,
}

/// What a Fetch answer holds of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Error code.
    pub code: i16,
    /// High watermark.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable: i64,
    /// First offset of the log.
    pub log_start: i64,
    /// Aborted transactions: producer id and first offset.
    pub aborted: Vec<(i64, i64)>,
    /// Bytes of records, a cut batch at the end included.
    pub bytes: usize,
    /// The whole batches.
    pub batches: Vec<RawBatch>,
}

/// What a leader remembers of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i32,
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Largest time of its last batch.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, or -1.
    pub transaction_start: i64,
}

/// Whom a coordinator is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum CoordinatorOf {
    Group = 0,
    Transaction = 1,
}

impl Client {
    /// Sends `records` as they are; a transactional id where they belong to a transaction.
    pub fn try_produce(
        &mut self,
        topic: &str,
        partition: i32,
        transactional_id: Option<&str>,
        records: &[u8],
    ) -> Result<Produced, Error> {
        let body = match transactional_id {
            Some(id) => Body::default().string(id),
            None => Body::default().null_string(),
        };
        let body = body.int16(-1).int32(TIMEOUT_MS).array(1).string(topic).array(1);
        let body = body.int32(partition).bytes(records);
        self.until_settled(
            |client| {
                let answer = client.ask_leader_once(topic, partition, (0, 7), &body.0)?;
                one(Rest::new(&answer, "Produce answer"), |rest| {
                    rest.int32()?;
                    let code = rest.int16()?;
                    let (base_offset, append_time, log_start) = (rest.int64()?, rest.int64()?, rest.int64()?);
                    Ok(Produced { code, base_offset, append_time, log_start })
                })
            },
            |produced| produced.code,
        )
    }

    /// Fetches from the leader of the first partition; returns the error code of the request, the session id, and each partition
    /// answered.
    pub fn try_fetch(
        &mut self,
        wanted: &[Wanted],
        max_bytes: i32,
        isolation: Isolation,
        session: (i32, i32),
    ) -> Result<(i16, i32, Vec<Slice>), Error> {
        const WAIT_MS: i32 = 20;
        let mut body = Body::default()
            .int32(-1)
            .int32(WAIT_MS)
            .int32(1)
            .int32(max_bytes)
            .int8(isolation as i8)
            .int32(session.0)
            .int32(session.1)
            .array(wanted.len());
        for Wanted { topic, partition, offset, max_bytes, leader_epoch } in wanted {
            body = body.string(topic).array(1).int32(*partition).int32(*leader_epoch).int64(*offset);
            body = body.int64(-1).int32(*max_bytes);
        }
        let body = body.array(0).string("");
        let Some(first) = wanted.first() else { return Err(Error::malformed("question")) };
        let answer = self.ask_leader_once(&first.topic, first.partition, (1, 11), &body.0)?;
        let mut rest = Rest::new(&answer, "Fetch answer");
        rest.int32()?;
        let (code, session) = (rest.int16()?, rest.int32()?);
        let slices = rest.array(|rest| {
            let topic = rest.string()?;
            rest.array(|rest| slice(rest, &topic))
        })?;
        Ok((code, session, slices.into_iter().flatten().collect()))
    }

    /// ListOffsets for a time (or -1, -2): error code, time and offset of the record found.
    pub fn try_list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
        isolation: Isolation,
    ) -> Result<(i16, i64, i64), Error> {
        let body = Body::default().int32(-1).int8(isolation as i8).array(1).string(topic).array(1);
        let body = body.int32(partition).int64(timestamp);
        let answer = self.ask_leader_once(topic, partition, (2, 2), &body.0)?;
        let mut rest = Rest::new(&answer, "ListOffsets answer");
        rest.int32()?;
        one(rest, |rest| {
            rest.int32()?;
            Ok((rest.int16()?, rest.int64()?, rest.int64()?))
        })
    }

    /// Error code, and what the leader remembers of the producers of a partition, by id.
    pub fn producers(&mut self, topic: &str, partition: i32) -> Result<(i16, Vec<ProducerState>), Error> {
        // Flexible from its first version: a byte of no tags ends the header and every structure.
        let body =
            Body::default().int8(0).int8(2).compact_string(topic).int8(2).int32(partition).int8(0).int8(0);
        let answer = self.ask_leader_once(topic, partition, (61, 0), &body.0)?;
        let mut rest = Rest::new(&answer, "DescribeProducers answer");
        rest.int8()?;
        rest.int32()?;
        rest.compact_length()?;
        let name = rest.compact_length()?;
        rest.take(name)?;
        rest.compact_length()?;
        rest.int32()?;
        let code = rest.int16()?;
        let message = rest.compact_length()?;
        rest.take(message)?;
        let mut producers = Vec::new();
        for _ in 0..rest.compact_length()? {
            producers.push(ProducerState {
                id: rest.int64()?,
                epoch: rest.int32()?,
                last_sequence: rest.int32()?,
                last_timestamp: rest.int64()?,
                coordinator_epoch: rest.int32()?,
                transaction_start: rest.int64()?,
            });
            rest.int8()?;
        }
        producers.sort_by_key(|producer| producer.id);
        Ok((code, producers))
    }

    /// Raises the log start: error code and the new log start.
    pub fn try_delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        before: i64,
    ) -> Result<(i16, i64), Error> {
        let body = Body::default().array(1).string(topic).array(1).int32(partition).int64(before);
        let body = body.int32(TIMEOUT_MS);
        let answer = self.ask_leader_once(topic, partition, (21, 1), &body.0)?;
        let mut rest = Rest::new(&answer, "DeleteRecords answer");
        rest.int32()?;
        one(rest, |rest| {
            rest.int32()?;
            let low = rest.int64()?;
            Ok((rest.int16()?, low))
        })
    }

    /// The error code of creating a topic, or of trying to.
    pub fn try_create_topic(&mut self, topic: &NewTopic, validate_only: bool) -> Result<i16, Error> {
        match self.create_or_validate(topic, validate_only) {
            Ok(()) => Ok(0),
            Err(error) => error.code().ok_or(error),
        }
    }

    /// Names and values of a topic's configurations, by name; those named in `keys`, or what the broker makes of an empty list.
    pub fn try_topic_configs(&mut self, topic: &str, keys: &[&str]) -> Result<Vec<(String, String)>, Error> {
        let mut body = Body::default().array(1).int8(2).string(topic).array(keys.len());
        for key in keys {
            body = body.string(key);
        }
        let answer = self.ask_any_broker(32, 1, &body.int8(0).0)?;
        let mut rest = Rest::new(&answer, "DescribeConfigs answer");
        rest.int32()?;
        let configs = rest.array(|rest| {
            rest.int16()?;
            rest.string()?;
            rest.int8()?;
            rest.string()?;
            rest.array(|rest| {
                let config = (rest.string()?, rest.string()?);
                rest.take(3)?;
                rest.array(|rest| {
                    rest.string()?;
                    rest.string()?;
                    rest.int8()
                })?;
                Ok(config)
            })
        })?;
        let mut configs: Vec<_> = configs.into_iter().flatten().collect();
        configs.sort();
        Ok(configs)
    }

    /// Producer id and epoch of a transactional id, its open transaction aborted. It may stay open for ten minutes.
    pub fn init_transactions(&mut self, transactional_id: &str) -> Result<(i64, i16), Error> {
        let body = Body::default().string(transactional_id).int32(600_000);
        let (code, id, epoch) =
            self.ask_coordinator(CoordinatorOf::Transaction, transactional_id, (22, 1), &body.0, |rest| {
                rest.int32()?;
                Ok((rest.int16()?, rest.int64()?, rest.int16()?))
            })?;
        accepted("InitProducerId", transactional_id, code).map(|()| (id, epoch))
    }

    /// Adds a partition to a transaction.
    pub fn add_to_transaction(
        &mut self,
        transactional_id: &str,
        producer: (i64, i16),
        topic: &str,
        partition: i32,
    ) -> Result<(), Error> {
        let body = Body::default().string(transactional_id).int64(producer.0).int16(producer.1).array(1);
        let body = body.string(topic).array(1).int32(partition);
        let (code, ..) =
            self.ask_coordinator(CoordinatorOf::Transaction, transactional_id, (24, 1), &body.0, |rest| {
                rest.int32()?;
                let code = one(*rest, |rest| {
                    rest.int32()?;
                    rest.int16()
                })?;
                Ok((code, 0, 0))
            })?;
        accepted("AddPartitionsToTxn", transactional_id, code)
    }

    /// Ends a transaction.
    pub fn end_transaction(
        &mut self,
        transactional_id: &str,
        producer: (i64, i16),
        commit: bool,
    ) -> Result<(), Error> {
        let body = Body::default().string(transactional_id).int64(producer.0).int16(producer.1);
        let body = body.int8(commit.into());
        let (code, ..) =
            self.ask_coordinator(CoordinatorOf::Transaction, transactional_id, (26, 1), &body.0, |rest| {
                rest.int32()?;
                Ok((rest.int16()?, 0, 0))
            })?;
        accepted("EndTxn", transactional_id, code)
    }

    pub(super) fn ask_coordinator(
        &mut self,
        kind: CoordinatorOf,
        name: &str,
        (api_key, version): (i16, i16),
        body: &[u8],
        parse: impl Fn(&mut Rest<'_>) -> Result<(i16, i64, i16), Error>,
    ) -> Result<(i16, i64, i16), Error> {
        let find = Body::default().string(name).int8(kind as i8);
        self.until_settled(
            |client| {
                let answer = client.ask_any_broker(10, 1, &find.0)?;
                let mut rest = Rest::new(&answer, "FindCoordinator answer");
                rest.int32()?;
                let code = rest.int16()?;
                if code != 0 {
                    return Ok((code, 0, 0));
                }
                rest.string()?;
                let node = rest.int32()?;
                let answer = client.ask_broker(node, api_key, version, body)?;
                parse(&mut Rest::new(&answer, "coordinator's answer"))
            },
            |(code, ..)| *code,
        )
    }

    /// Asks again while the broker says that it is not ready.
    pub(super) fn until_settled<T>(
        &mut self,
        mut question: impl FnMut(&mut Self) -> Result<T, Error>,
        code: impl Fn(&T) -> i16,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = question(self)?;
            if !PASSING.contains(&code(&answer)) || Instant::now() > deadline {
                return Ok(answer);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

pub(super) fn accepted(request: &'static str, subject: &str, code: i16) -> Result<(), Error> {
    match code {
        0 => Ok(()),
        code => Err(Error::Broker { request, topic: subject.to_owned(), partition: -1, code }),
    }
}

/// The one partition of the one topic of an answer.
pub(super) fn one<T>(
    mut rest: Rest<'_>,
    partition: impl Fn(&mut Rest<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let found = rest.array(|rest| {
        rest.string()?;
        rest.array(|rest| partition(rest))
    })?;
    found.into_iter().flatten().next().ok_or(Error::malformed("answer without the partition"))
}

fn slice(rest: &mut Rest<'_>, topic: &str) -> Result<Slice, Error> {
    let (topic, partition) = (topic.to_owned(), rest.int32()?);
    let code = rest.int16()?;
    let (high_watermark, last_stable, log_start) = (rest.int64()?, rest.int64()?, rest.int64()?);
    let aborted = rest.array(|rest| Ok((rest.int64()?, rest.int64()?)))?;
    rest.int32()?;
    let records = rest.bytes()?;
    let batches = parse_batches(records)?;
    Ok(Slice {
        topic,
        partition,
        code,
        high_watermark,
        last_stable,
        log_start,
        aborted,
        bytes: records.len(),
        batches,
    })
}
