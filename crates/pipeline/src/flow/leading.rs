//! With preserved offsets, before a partition's first record: a source whose log begins at offset N needs N offsets on
//! the target that are then deleted.
//!
//! They are filled with large compressed batches of empty records, written like any other batch of ours (producer id
//! and sequence numbers, so repeating one is harmless), and removed with DeleteRecords. Nothing of the topic is
//! copied before that, so no consumer has a reason to be there yet. A compacted topic that deletes nothing refuses
//! DeleteRecords: its cleanup.policy is widened for that moment, which is noted first.

use crate::error::{Side, StopReason};
use crate::partition::{Failure, Ground, State};
use crate::positions::{Position, PositionStore};
use crate::task::FlowTask;
use crate::task::events::Event;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use verbatim_wire::cluster::{Backoff, BrokerError, Cluster, ClusterError, ErrorClass};
use verbatim_wire::fetch::TopicIdentity;
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions};
use verbatim_wire::records::codec::Codec;
use verbatim_wire::records::patch::{patched, sequence_after};
use verbatim_wire::records::record::Headers;
use verbatim_wire::records::{BatchHeader, HEADER_BYTES, ProducerStamp};

/// Records of a full batch, if the target takes it: half a megabyte compressed, some tens of milliseconds of a
/// broker's time.
const RECORDS_PER_BATCH: i64 = 400_000;
/// What a broker takes in a second, as measured on Apache Kafka 4.1 on one core; for the plan only.
const OFFSETS_PER_SECOND: i64 = 7_000_000;
/// A longer gap is filled in several goes, so that progress shows.
const GO: Duration = Duration::from_secs(2);
/// How often a changed config is waited for.
const LOOKS: u32 = 40;
const CLEANUP_POLICY: &str = "cleanup.policy";

/// What is to be done for a partition.
#[derive(Debug, Clone)]
pub(crate) struct Lead {
    pub(crate) number: u32,
    pub(crate) generation: u32,
    topic: TopicIdentity,
    partition: i32,
    leader: i32,
    /// Where the target's log ends.
    end: i64,
    /// Offset of the first record to come.
    to: i64,
    /// Sequence number of the record at `end`.
    sequence: i32,
    producer: (i64, i16),
    has_keys: bool,
    /// Largest batch the target takes.
    max_bytes: usize,
}

/// How far it got.
#[derive(Debug)]
pub(crate) enum Led {
    /// Filled up to here; more is to be filled.
    UpTo { end: i64, sequence: i32 },
    /// Filled and deleted.
    Done { end: i64, sequence: i32 },
    /// The log did not end where it should.
    Moved,
    /// The target failed us.
    Failed(ClusterError),
}

impl FlowTask {
    /// The target has said where it stands, which is before the first record.
    pub(crate) fn lead(&mut self, number: u32, ground: Ground) {
        let name = self.name(number);
        let Some(partition) = self.partition(number) else { return };
        partition.state = State::Leading;
        partition.ground = Some(ground);
        let count = partition.settled.source_offset - ground.end;
        // Said once: an instance that waits for another looks again and again.
        if count > 0 && partition.generation == 0 {
            let (batches, seconds) = (count / RECORDS_PER_BATCH + 1, count / OFFSETS_PER_SECOND + 1);
            tracing::info!(
                "{name}: to preserve offsets, {count} offsets before its first record are filled on the target and deleted \
                 there: {batches} batches of empty records, about {seconds} s"
            );
        }
        self.to_lead.insert(number);
    }

    /// Fills before first records, as far as this instance may.
    pub(crate) fn lead_where_possible(&mut self, now: Instant) {
        if self.is_draining {
            return;
        }
        for number in std::mem::take(&mut self.to_lead) {
            let Some(lead) = self.next_lead(number) else { continue };
            let Some(claim) = self.ownership.need(number, now) else { continue };
            let (target, store) = (self.target.clone(), self.store.clone());
            self.beside(async move {
                let led = run(&target, &*store, lead.clone(), claim.until).await;
                Event::Led(lead, led)
            });
        }
    }

    fn next_lead(&self, number: u32) -> Option<Lead> {
        let partition = self.partitions.get(number as usize)?;
        matches!(partition.state, State::Leading).then_some(())?;
        let route = self.routes.topic(partition.topic)?;
        let ground = partition.ground?;
        Some(Lead {
            number,
            generation: partition.generation,
            topic: route.target.clone(),
            partition: partition.partition,
            leader: partition.target.leader?.0,
            end: ground.end,
            to: partition.settled.source_offset,
            sequence: ground.sequence,
            producer: self.producers.records,
            has_keys: route.target_traits.is_compacted,
            max_bytes: route.target_traits.max_message_bytes,
        })
    }

    pub(crate) fn led(&mut self, lead: &Lead, led: Led, now: Instant) {
        let number = lead.number;
        let name = self.name(number);
        let Some(partition) = self.partition(number).filter(|p| p.generation == lead.generation) else {
            return;
        };
        if !matches!(partition.state, State::Leading) {
            return;
        }
        let filled = |end: i64| (end - lead.end).max(0).unsigned_abs();
        match led {
            Led::UpTo { end, sequence } => {
                partition.counters.filled_offsets += filled(end);
                tracing::info!("{name}: {end} of {} offsets before its first record are filled", lead.to);
                partition.ground = partition.ground.map(|ground| Ground { end, sequence, ..ground });
                self.to_lead.insert(number);
            }
            Led::Done { end, sequence } => {
                partition.counters.filled_offsets += filled(end);
                let (source_offset, target_offset) = (end, end);
                partition.settled = Position { source_offset, target_offset, sequence, leader_epoch: -1 };
                let landmark = partition.ground.and_then(|ground| ground.landmark);
                partition.reset_cursor();
                partition.begin_at_landmark(landmark);
                self.note_progress(number);
                self.copy(number);
            }
            Led::Moved => self.fail(number, Failure::Passing, now),
            Led::Failed(error) => {
                let code = error.broker_error();
                if let Some(code) = code.filter(|code| code.class() == ErrorClass::Denied) {
                    let right = "DELETE on the topic (to delete what was filled before its first record), or ALTER_CONFIGS if it is compacted, not";
                    return self
                        .stop(number, &Arc::new(StopReason::Denied { side: Side::Target, code, right }));
                }
                tracing::warn!(%error, "{name}: filling before its first record failed; trying again");
                partition.target.leader = None;
                self.fail(number, Failure::Passing, now);
            }
        }
    }
}

async fn run(target: &Cluster, store: &dyn PositionStore, lead: Lead, until: Instant) -> Led {
    let until = (Instant::now() + GO).min(until);
    let (mut end, mut sequence) = (lead.end, lead.sequence);
    let mut filler: Option<Filler> = None;
    let mut most = RECORDS_PER_BATCH;
    while end < lead.to {
        if Instant::now() >= until {
            return Led::UpTo { end, sequence };
        }
        let count = (lead.to - end).min(most);
        let filler = match filler.take().filter(|filler| filler.records == count) {
            Some(ready) => filler.insert(ready),
            None => {
                let built = tokio::task::spawn_blocking(move || Filler::build(count, lead.has_keys)).await;
                let Some(built) = built.ok().flatten() else { return Led::Moved };
                if built.bytes() > lead.max_bytes && count > 1 {
                    most = count / 2;
                    continue;
                }
                filler.insert(built)
            }
        };
        let batch = filler.batch(lead.producer, sequence);
        match target.append(lead.leader, &lead.topic, lead.partition, &batch).await {
            Ok(appended) if appended.base_offset == end => {}
            Ok(_) => return Led::Moved,
            Err(error) => return Led::Failed(error),
        }
        end += count;
        sequence = sequence_after(sequence, i32::try_from(count).unwrap_or(0));
    }
    match delete(target, store, &lead).await {
        Ok(()) => Led::Done { end, sequence },
        Err(error) => Led::Failed(error),
    }
}

/// A batch of empty records, built once and sent many times.
struct Filler {
    records: i64,
    header: BatchHeader,
    payload: Bytes,
}

impl Filler {
    fn build(records: i64, has_keys: bool) -> Option<Self> {
        // The time of day: brokers remember producers by the time of their records.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(-1);
        let mut builder = BatchBuilder::new(BatchOptions { codec: Codec::Gzip, ..BatchOptions::default() });
        let key: Option<&[u8]> = has_keys.then_some(&[]);
        for _ in 0..records {
            builder.push(now_ms, key, None, &Headers::none()).ok()?;
        }
        let batch = builder.finish().ok()?;
        Some(Self { records, header: BatchHeader::parse(&batch)?, payload: batch.slice(HEADER_BYTES..) })
    }

    fn bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    fn batch(&self, (producer_id, producer_epoch): (i64, i16), base_sequence: i32) -> Bytes {
        let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence };
        let mut bytes = patched(&self.header, stamp).to_bytes().to_vec();
        bytes.extend_from_slice(&self.payload);
        bytes.into()
    }
}

/// Moves the log start to where the first record will be.
async fn delete(target: &Cluster, store: &dyn PositionStore, lead: &Lead) -> Result<(), ClusterError> {
    let topic = &lead.topic.name;
    let is_refused = match delete_once(target, lead).await {
        Err(error) if error.broker_error() == Some(BrokerError::POLICY_VIOLATION) => true,
        outcome => {
            outcome?;
            false
        }
    };
    if is_refused {
        let configs = target.topic_configs(std::slice::from_ref(topic)).await?;
        let policy = configs
            .into_iter()
            .next()
            .and_then(Result::ok)
            .and_then(|mut configs| configs.remove(CLEANUP_POLICY));
        let policy = policy.filter(|policy| policy.is_topic_override()).and_then(|policy| policy.value);
        // Noted before it is changed: whoever comes after a crash puts it back.
        note(store, topic, Some(policy.as_deref().unwrap_or(""))).await?;
        let widened = [(CLEANUP_POLICY.to_owned(), "compact,delete".to_owned())];
        target.alter_topic_configs(topic, &widened, &[]).await?;
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500), 5);
        for look in 0..=LOOKS {
            match delete_once(target, lead).await {
                Err(error) if error.broker_error() == Some(BrokerError::POLICY_VIOLATION) && look < LOOKS => {
                    tokio::time::sleep(backoff.pause()).await;
                }
                outcome => {
                    outcome?;
                    break;
                }
            }
        }
    }
    restore(target, store, topic).await
}

async fn delete_once(target: &Cluster, lead: &Lead) -> Result<(), ClusterError> {
    let partition = (lead.topic.name.clone(), lead.partition, lead.to);
    for deleted in target.delete_records(lead.leader, &[partition]).await? {
        if deleted.error != BrokerError::NONE {
            return Err(ClusterError::Refused {
                request: "delete records of",
                subject: format!("partition {} of topic {}", deleted.partition, deleted.topic),
                code: deleted.error,
                message: None,
            });
        }
    }
    Ok(())
}

/// Puts a widened cleanup.policy back.
async fn restore(target: &Cluster, store: &dyn PositionStore, topic: &Arc<str>) -> Result<(), ClusterError> {
    let noted = store.widened_policy(topic).await;
    let Some(policy) = noted.map_err(not_noted)? else { return Ok(()) };
    if policy.is_empty() {
        target.alter_topic_configs(topic, &[], &[CLEANUP_POLICY.to_owned()]).await?;
    } else {
        target.alter_topic_configs(topic, &[(CLEANUP_POLICY.to_owned(), policy)], &[]).await?;
    }
    note(store, topic, None).await
}

async fn note(store: &dyn PositionStore, topic: &Arc<str>, policy: Option<&str>) -> Result<(), ClusterError> {
    store.note_widened_policy(topic, policy).await.map_err(not_noted)
}

fn not_noted(error: crate::positions::PositionError) -> ClusterError {
    match error {
        crate::positions::PositionError::Cluster { source, .. } => source,
        other => ClusterError::Missing { request: "note the cleanup.policy of", subject: other.to_string() },
    }
}
