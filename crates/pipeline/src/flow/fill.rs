//! With preserved offsets, stage 5½: an offset that the source has no record at (a commit or abort marker, aborted
//! records left out, records removed by compaction) gets an abort marker on the target (WriteTxnMarkers, KIP-664 has opened
//! it to clients), which no consumer ever sees.
//!
//! Markers are not idempotent. So nothing else of the partition is under way meanwhile, only the holder of the
//! flow's claim fills, and its first marker on a partition carries a higher coordinator epoch than any before, which fences
//! whoever comes late (TRANSACTION_COORDINATOR_FENCED). After each request whose effect is not certain, the log's end is
//! read again.

use crate::config::Offsets;
use crate::error::{Side, StopReason};
use crate::partition::{Failure, Partition};
use crate::positions::{OffsetMap, OffsetsHeld};
use crate::task::FlowTask;
use crate::task::events::Event;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use verbatim_wire::cluster::{AbortMarkers, BrokerError, Cluster, ClusterError, ErrorClass};

/// Markers in one request: each is an append of its own, some 23 µs of a broker's time.
const MARKERS_PER_REQUEST: i64 = 1000;
/// A longer gap is filled in several goes, so that progress shows.
const GO: Duration = Duration::from_secs(1);

/// A gap to be filled.
#[derive(Debug, Clone)]
pub(crate) struct Fill {
    pub(crate) number: u32,
    pub(crate) generation: u32,
    topic: Arc<str>,
    partition: i32,
    leader_epoch: i32,
    /// From here, where the log is expected to end.
    from: i64,
    /// Up to here.
    to: i64,
    /// A marker of this claim is on the partition already.
    is_fenced: bool,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Filled {
    /// The log ends here now.
    UpTo(i64),
    /// The log does not end where it should: another instance has been there, before or behind the gap.
    Moved,
    /// Trying again may help. Whether markers were written is not known.
    Uncertain,
    /// A newer claim has been there.
    Fenced,
    /// The target does not let us write markers.
    Refused(BrokerError),
}

impl FlowTask {
    /// Fills the gaps that are in the way, as far as this instance may.
    pub(crate) fn fill_where_possible(&mut self, now: Instant) {
        if self.is_draining {
            return;
        }
        let mut fills: BTreeMap<i32, Vec<Fill>> = BTreeMap::new();
        for number in std::mem::take(&mut self.to_fill) {
            let Some((leader, fill)) = self.fill(number) else { continue };
            let Some(claim) = self.ownership.need(number, now) else { continue };
            let is_fenced = self.partition(number).is_some_and(|partition| {
                partition.is_filling = true;
                partition.fenced_with == Some(claim.number)
            });
            fills.entry(leader).or_default().push(Fill { is_fenced, ..fill });
        }
        if fills.is_empty() {
            return;
        }
        let Some(claim) = self.ownership.held(now) else { return };
        // A coordinator epoch has 31 bits; the state topic's offsets do not get there.
        let coordinator_epoch = i32::try_from(claim.number % (1 << 31)).unwrap_or(0);
        for (leader, fills) in fills {
            let marker = Marker { producer: self.producers.markers, coordinator_epoch };
            let (target, until) = (self.target.clone(), claim.until);
            self.beside(async move {
                Event::Filled(claim.number, run(&target, leader, marker, fills, until).await)
            });
        }
    }

    fn fill(&self, number: u32) -> Option<(i32, Fill)> {
        let partition = self.partitions.get(number as usize)?;
        let count = partition.to_fill();
        let (leader, leader_epoch) = partition.target.leader.filter(|_| count > 0)?;
        let from = partition.settled.target_offset;
        let fill = Fill {
            number,
            generation: partition.generation,
            topic: self.routes.topic(partition.topic)?.target.name.clone(),
            partition: partition.partition,
            leader_epoch,
            from,
            to: from + count,
            is_fenced: false,
        };
        Some((leader, fill))
    }

    pub(crate) fn filled(&mut self, claim: i64, outcomes: Vec<(Fill, Filled)>, now: Instant) {
        for (fill, filled) in outcomes {
            let number = fill.number;
            let Some(partition) = self.partition(number).filter(|p| p.generation == fill.generation) else {
                continue;
            };
            partition.is_filling = false;
            if !partition.state.is_copying() {
                self.fail(number, Failure::Passing, now);
                continue;
            }
            match filled {
                Filled::UpTo(end) => {
                    partition.fenced_with = Some(claim);
                    partition.filled_to(end);
                    self.make_ready(number, now);
                    self.note_progress(number);
                    self.end_if_settled(number, now);
                }
                Filled::Moved => self.fail(number, Failure::Passing, now),
                Filled::Uncertain | Filled::Fenced => {
                    partition.target.leader = None;
                    self.ownership.spend();
                    self.fail(number, Failure::Passing, now);
                }
                Filled::Refused(code) => self.cannot_fill(number, code),
            }
        }
    }

    /// The target refuses markers: offsets cannot be preserved from here on.
    fn cannot_fill(&mut self, number: u32, code: BrokerError) {
        if self.config.offsets == Offsets::Preserve {
            let reason = StopReason::Denied {
                side: Side::Target,
                code,
                right: "ALTER on the cluster (to write markers into gaps), not",
            };
            return self.stop(number, &Arc::new(reason));
        }
        let name = self.name(number);
        tracing::warn!(
            "{name}: offsets are preserved up to here and translated from here on: the target refuses markers ({code})"
        );
        let Some(partition) = self.partition(number) else { return };
        partition.translate_from_here(format!("the target refuses markers ({code})").into());
        self.note_first(number);
    }
}

impl Partition {
    /// The target's log ends at `end` now, by markers.
    fn filled_to(&mut self, end: i64) {
        let count = end - self.settled.target_offset;
        self.counters.filled_offsets += count.unsigned_abs();
        self.settled.source_offset = end;
        self.settled.target_offset = end;
        match self.queue.front_mut() {
            Some(next) => {
                next.fill_before = (next.source_offset - end).max(0);
                // What was left out here may be of a newer leader epoch than what was copied before.
                self.settled.leader_epoch = next.epoch_before;
            }
            None => {
                self.cursor.target = end;
                self.settled.leader_epoch = self.cursor.passed_epoch;
            }
        }
    }

    /// Offsets differ from here on; so far they were the same.
    fn translate_from_here(&mut self, why: Arc<str>) {
        let (source, target) = (self.settled.source_offset, self.settled.target_offset);
        self.offsets = OffsetsHeld::Translated;
        self.translated_because = Some(why);
        self.map = OffsetMap::starting_at(0, 0);
        self.map.push(0, 0, target.min(source));
        self.map.skip_target(target);
    }
}

#[derive(Debug, Clone, Copy)]
struct Marker {
    producer: (i64, i16),
    coordinator_epoch: i32,
}

/// Fills on broker `leader`, until `until` at the latest.
async fn run(
    target: &Cluster,
    leader: i32,
    marker: Marker,
    fills: Vec<Fill>,
    until: Instant,
) -> Vec<(Fill, Filled)> {
    let go_ends = (Instant::now() + GO).min(until);
    let mut done = Vec::with_capacity(fills.len());
    // Where each log ends, as far as is known.
    let mut open: Vec<(Fill, i64)> =
        fills.into_iter().map(|fill| (fill.from, fill)).map(|(end, fill)| (fill, end)).collect();
    if let Err(uncertain) = check_ends(target, leader, &mut open, &mut done, |fill| !fill.is_fenced).await {
        tracing::debug!(error = %uncertain, "log ends are not known");
        done.extend(open.into_iter().map(|(fill, _)| (fill, Filled::Moved)));
        return done;
    }
    while !open.is_empty() {
        if Instant::now() >= go_ends {
            done.extend(open.into_iter().map(|(fill, end)| (fill, Filled::UpTo(end))));
            break;
        }
        let share = (MARKERS_PER_REQUEST / open.len() as i64).max(1);
        let counts: Vec<i64> = open
            .iter()
            .map(|(fill, end)| if fill.is_fenced { (fill.to - end).min(share) } else { 1 })
            .collect();
        let markers: Vec<AbortMarkers> = open
            .iter()
            .zip(&counts)
            .map(|((fill, _), count)| AbortMarkers {
                topic: fill.topic.clone(),
                partition: fill.partition,
                count: u32::try_from(*count).unwrap_or(1),
                producer_id: marker.producer.0,
                producer_epoch: marker.producer.1,
                coordinator_epoch: marker.coordinator_epoch,
            })
            .collect();
        let written = match target.write_abort_markers(leader, &markers).await {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(%error, "filling gaps: no answer; looking again");
                let refused = error.broker_error().filter(|code| code.class() == ErrorClass::Denied);
                let outcome = || refused.map_or(Filled::Uncertain, Filled::Refused);
                done.extend(open.into_iter().map(|(fill, _)| (fill, outcome())));
                break;
            }
        };
        let codes: HashMap<(Arc<str>, i32), BrokerError> =
            written.into_iter().map(|w| ((w.topic, w.partition), w.error)).collect();
        // One marker without an error is one offset; of more, some may have failed unsaid.
        let mut uncertain = Vec::new();
        for ((mut fill, end), count) in open.drain(..).zip(counts) {
            let code = codes.get(&(fill.topic.clone(), fill.partition)).copied();
            match code {
                None => done.push((fill, Filled::Uncertain)),
                Some(BrokerError::NONE) => {
                    let needs_look = count > 1 || !fill.is_fenced;
                    fill.is_fenced = true;
                    uncertain.push((fill, end + count, needs_look));
                }
                Some(code) if code == BrokerError::TRANSACTION_COORDINATOR_FENCED => {
                    done.push((fill, Filled::Fenced));
                }
                Some(code) if code.class() == ErrorClass::Denied => done.push((fill, Filled::Refused(code))),
                Some(code) => {
                    tracing::debug!(%code, "markers refused");
                    done.push((fill, Filled::Uncertain));
                }
            }
        }
        let looks: Vec<bool> = uncertain.iter().map(|(_, _, needs_look)| *needs_look).collect();
        open = uncertain.into_iter().map(|(fill, end, _)| (fill, end)).collect();
        if looks.iter().any(|needs| *needs)
            && let Err(error) = read_ends(target, leader, &mut open, &mut done).await
        {
            tracing::warn!(%error, "filling gaps: log ends are not known; looking again");
            done.extend(open.into_iter().map(|(fill, _)| (fill, Filled::Uncertain)));
            break;
        }
        let mut rest = Vec::new();
        for (fill, end) in open {
            match end - fill.to {
                0 => done.push((fill, Filled::UpTo(end))),
                1.. => done.push((fill, Filled::Moved)),
                _ => rest.push((fill, end)),
            }
        }
        open = rest;
    }
    done
}

/// Before the first marker: the log has to end where it is thought to.
async fn check_ends(
    target: &Cluster,
    leader: i32,
    open: &mut Vec<(Fill, i64)>,
    done: &mut Vec<(Fill, Filled)>,
    is_meant: impl Fn(&Fill) -> bool,
) -> Result<(), ClusterError> {
    if !open.iter().any(|(fill, _)| is_meant(fill)) {
        return Ok(());
    }
    let expected: HashMap<u32, i64> = open.iter().map(|(fill, end)| (fill.number, *end)).collect();
    read_ends(target, leader, open, done).await?;
    let is_there = |(fill, end): &mut (Fill, i64)| expected.get(&fill.number) != Some(end);
    done.extend(open.extract_if(.., is_there).map(|(fill, _)| (fill, Filled::Moved)));
    Ok(())
}

/// Reads where the logs end.
async fn read_ends(
    target: &Cluster,
    leader: i32,
    open: &mut Vec<(Fill, i64)>,
    done: &mut Vec<(Fill, Filled)>,
) -> Result<(), ClusterError> {
    let keys: Vec<_> =
        open.iter().map(|(fill, _)| (fill.topic.clone(), fill.partition, fill.leader_epoch)).collect();
    let ends = target.log_ends(leader, &keys).await?;
    let ends: HashMap<(Arc<str>, i32), _> =
        ends.into_iter().map(|end| ((end.topic, end.partition), (end.offset, end.error))).collect();
    let mut known = Vec::with_capacity(open.len());
    for (fill, _) in open.drain(..) {
        match ends.get(&(fill.topic.clone(), fill.partition)) {
            Some((end, BrokerError::NONE)) => known.push((fill, *end)),
            _ => done.push((fill, Filled::Uncertain)),
        }
    }
    *open = known;
    Ok(())
}
