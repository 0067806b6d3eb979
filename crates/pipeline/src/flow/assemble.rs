//! Stage 5: picks what goes into the next Produce request of a lane: at most one batch per partition, as
//! brokers demand; partitions take turns.

use super::merge;
use crate::broker::{LaneKey, Link, TargetLane};
use crate::partition::Failure;
use crate::task::FlowTask;
use tokio::time::Instant;
use verbatim_wire::frame::Frame;
use verbatim_wire::produce::{self, ProduceBatch};

/// A request ready to be sent.
pub(crate) struct Assembled {
    pub(crate) frame: Frame,
    /// Partitions in it, one batch each.
    pub(crate) numbers: Vec<u32>,
    /// Bytes of these batches.
    pub(crate) bytes: usize,
    /// When it was seen that they may be sent.
    pub(crate) at: Instant,
}

impl FlowTask {
    /// The lane a partition keeps to while its leader stays.
    pub(crate) fn lane_of(&self, number: u32) -> Option<LaneKey> {
        let (node, _) = self.partitions.get(number as usize)?.target.leader?;
        let index = number % u32::from(self.config.lanes_per_broker.max(1));
        Some(LaneKey { node, index: u8::try_from(index).unwrap_or(0) })
    }

    /// Notes that a partition has a batch to send.
    pub(crate) fn make_ready(&mut self, number: u32, now: Instant) {
        let Some(lane) = self.lane_of(number) else { return };
        let Some(partition) = self.partitions.get_mut(number as usize) else { return };
        if partition.to_fill() > 0 {
            self.to_fill.insert(number);
            return;
        }
        // Brokers forget who has been silent for long.
        let is_silent = |at: Instant| now.duration_since(at) > self.config.old_record_age;
        if partition.target.accepted_at.is_some_and(is_silent) && partition.in_flight == 0 {
            partition.target.has_accepted = false;
        }
        let mut claim = None;
        if partition.waits_for_claim() {
            claim = self.ownership.need(number, now).map(|claim| claim.number);
            let has_looked = partition.is_looked_at_under(claim) && !partition.is_too_long_ago(now);
            if claim.is_some() && partition.in_flight == 0 && !has_looked {
                return self.fail(number, Failure::Passing, now);
            }
        }
        let most = self.lanes.get(&lane).map_or(1, |lane| lane.window.batches_per_partition());
        if partition.target.ready_on == Some(lane) || partition.next_to_send(claim, most).is_none() {
            return;
        }
        // It may still stand in the list of a lane it has left: there it is passed over.
        partition.target.ready_on = Some(lane);
        let config = &self.config;
        self.lanes.entry(lane).or_insert_with(|| TargetLane::new(config, lane)).ready.push_back(number);
    }

    /// Takes the next batch of each ready partition, in turn, until the request is full.
    /// With `only_live` those that are nearly caught up.
    #[inline(never)] // Its instructions are counted.
    pub(crate) fn assemble(&mut self, key: LaneKey, only_live: bool) -> Option<Assembled> {
        // More partitions than fit a request of merged batches need not be looked at.
        let most_bytes = self.request_bytes();
        for at in 0..most_bytes.div_ceil(merge::MERGED_BYTES) {
            let Some(number) = self.lanes.get(&key).and_then(|lane| lane.ready.get(at).copied()) else {
                break;
            };
            self.merge_waiting(number);
        }
        let least = self.put_in_turn(key);
        let most_place = least.map(|least| least.saturating_add(most_bytes as u64));
        // Checked as late as can be: right before sending.
        let now = Instant::now();
        let claim = self.ownership.held(now).map(|claim| claim.number);
        let is_limited = !self.is_unlimited();
        let lane = self.lanes.get_mut(&key).filter(|lane| lane.may_send())?;
        let most = lane.window.batches_per_partition();
        let mut numbers = self.spare_numbers.pop().unwrap_or_default();
        let (mut unready, mut held) = (Vec::new(), Vec::new());
        let mut request_bytes = 0;
        for _ in 0..lane.ready.len() {
            let Some(number) = lane.ready.pop_front() else { break };
            let Some(partition) = self.partitions.get_mut(number as usize) else { continue };
            if partition.target.ready_on != Some(key) {
                continue;
            }
            partition.target.ready_on = None;
            let is_here = partition.target.leader.is_some_and(|(node, _)| node == key.node);
            let Some(batch) = partition.next_to_send(claim, most).filter(|_| is_here) else {
                if partition.waits_for_claim() {
                    unready.push(number);
                }
                continue;
            };
            let batch_bytes = batch.bytes();
            let is_live = partition.is_nearly_caught_up();
            let is_ahead = most_place.is_some_and(|most| self.throttle.place(number) > most);
            let is_out_of_turn = !is_live && (only_live || is_ahead);
            if is_out_of_turn || (!numbers.is_empty() && request_bytes + batch_bytes > most_bytes) {
                partition.target.ready_on = Some(key);
                lane.ready.push_front(number);
                break;
            }
            if let Some(limit) = self.routes.topic(partition.topic).and_then(|route| route.limit.as_ref()) {
                let asker = self.throttle.asker << 32 | u64::from(number);
                if let Some(at) = limit.wait(asker, is_live, now) {
                    held.push((number, at));
                    continue;
                }
                limit.take(asker, batch_bytes);
            }
            if is_limited {
                self.throttle.took(number, batch_bytes, least);
            }
            request_bytes += batch_bytes;
            partition.in_flight += 1;
            partition.unmerged = partition.unmerged.saturating_sub(1);
            numbers.push(number);
        }
        // Only now do they queue up again: nothing may be picked twice for one request.
        for number in &numbers {
            let Some(partition) = self.partitions.get_mut(*number as usize) else { continue };
            if partition.next_to_send(claim, most).is_some() {
                partition.target.ready_on = Some(key);
                lane.ready.push_back(*number);
            } else if partition.waits_for_claim() {
                unready.push(*number);
            }
        }
        for number in unready {
            self.make_ready(number, now);
        }
        self.hold(held);
        if numbers.is_empty() {
            self.spare_numbers.push(numbers);
            if only_live || most_place.is_some() {
                self.look_again(now); // Others have not been looked at.
            }
            return None;
        }
        self.count_for_flow(request_bytes);
        let frame = self.encode(key, &mut numbers)?;
        Some(Assembled { frame, numbers, bytes: request_bytes, at: now })
    }

    fn encode(&self, key: LaneKey, numbers: &mut [u32]) -> Option<Frame> {
        let Link::Open { connection, version } = &self.lanes.get(&key)?.link else { return None };
        numbers.sort_unstable_by_key(|number| {
            self.partitions.get(*number as usize).map(|p| (p.topic, p.partition))
        });
        let batch = |number: &u32| {
            let partition = self.partitions.get(*number as usize)?;
            let patched = partition.queue.get(partition.in_flight.checked_sub(1)?)?;
            Some(ProduceBatch {
                topic: &self.routes.topic(partition.topic)?.target,
                partition: partition.partition,
                header: &patched.header,
                payload: &patched.payload,
                tail: patched.tail.as_ref(),
            })
        };
        let timeout_ms = i32::try_from(self.config.produce_timeout.as_millis()).unwrap_or(i32::MAX);
        let batches = numbers.iter().filter_map(batch);
        Some(produce::encode(*version, connection.client_id(), timeout_ms, batches))
    }
}
