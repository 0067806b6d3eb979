//! Stage 7: the target's answers. An acknowledged batch must stand where it was expected; anything else sets
//! the partition back to what is settled, or stops it.

use crate::broker::{LaneKey, Link, TargetLane};
use crate::error::{Side, StopReason};
use crate::flow::accident::Ending;
use crate::partition::{
    Cause, Failure, Goal, Ground, Obstacle, PRODUCE, Partition, Resume, ResumeAnswer, State,
};
use crate::positions::Position;
use crate::task::FlowTask;
use crate::task::timers::Timer;
use std::sync::Arc;
use tokio::time::Instant;
use verbatim_wire::cluster::{BrokerError, ErrorClass};
use verbatim_wire::connection::{Payloads, Reception};
use verbatim_wire::produce::{ProduceAnswer, ProducedPartition};

impl FlowTask {
    #[inline(never)] // Its instructions are counted.
    pub(crate) fn produced(&mut self, key: LaneKey, request: u64, answer: Reception, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(at) = lane.requests.iter().position(|waiting| waiting.request == request) else { return };
        let Some(in_flight) = lane.requests.remove(at) else { return };
        let decoded = match (&lane.link, answer) {
            (Link::Open { version, .. }, Ok(received)) => {
                let memory = std::mem::take(&mut self.spare_produced);
                ProduceAnswer::decode_into(memory, *version, received.bytes())
                    .map_err(|error| error.to_string())
            }
            (_, Ok(_)) => Err("an answer of an earlier connection".to_owned()),
            (_, Err(error)) => Err(error.to_string()),
        };
        if decoded.is_ok() {
            lane.window.answered(in_flight.bytes, now.duration_since(in_flight.sent_at));
        } else {
            lane.window.lost(in_flight.bytes);
        }
        let mut unanswered = in_flight.numbers;
        match decoded {
            Ok(answer) => {
                for partition in &answer.partitions {
                    if let Some(number) = self.routes.answered(partition)
                        && remove(&mut unanswered, number)
                    {
                        self.settle(number, partition, now);
                    }
                }
                self.spare_produced = answer.partitions;
                self.spare_produced.clear();
            }
            Err(error) => self.lane_failed(key, &error, now),
        }
        // No answer, no knowledge: whether the batch is in the log is looked up before anything is sent again.
        for number in unanswered.drain(..) {
            if let Some(partition) = self.partition(number) {
                partition.answered += 1;
                partition.target.leader = None;
            }
            self.fail(number, Failure::Passing, now);
        }
        self.spare_numbers.push(unanswered);
    }

    fn settle(&mut self, number: u32, answer: &ProducedPartition, now: Instant) {
        let code = BrokerError(answer.error_code);
        if code != BrokerError::NONE {
            return self.refused(number, code, answer, now);
        }
        let Some(partition) = self.partition(number) else { return };
        if let Some(reason) = partition.misplaced(answer.base_offset) {
            partition.answered += 1;
            return self.fail(number, Failure::Final(Arc::new(reason)), now);
        }
        if partition.answered > 0 || !partition.state.is_copying() {
            // Behind one that failed: what the log holds is looked up once all are answered.
            partition.answered += 1;
            return self.conclude(number, now);
        }
        partition.troubled.gets_on(Side::Target);
        partition.unknown = None;
        partition.settle_front(answer.base_offset, now);
        self.first_settled.get_or_insert(now);
        self.make_ready(number, now);
        self.pause_or_unpause(number);
        self.note_progress(number);
        self.end_if_settled(number, now);
    }

    fn refused(&mut self, number: u32, code: BrokerError, answer: &ProducedPartition, now: Instant) {
        let Some(partition) = self.partition(number) else { return };
        let Some(batch) = partition.queue.get(partition.answered) else { return };
        let (offset, bytes, records) = (batch.source_offset, batch.bytes(), batch.records);
        let message = answer.error_message.as_ref().map(|text| String::from_utf8_lossy(text).into_owned());
        let leader = partition.target.leader;
        let is_damaged = code.class() == ErrorClass::Corrupt;
        let is_intact = is_damaged.then(|| batch.is_intact()).flatten();
        let failure = match code.class() {
            ErrorClass::Refresh => {
                partition.target.leader = None;
                Failure::Passing
            }
            ErrorClass::None | ErrorClass::Retry | ErrorClass::Sequence => Failure::Passing,
            // Nobody knows what it means: perhaps that the broker is in trouble, perhaps that it will never take this batch.
            ErrorClass::Unknown => match partition.lasts_unknown(offset, now) {
                false => Failure::Passing,
                true => {
                    Failure::Final(Arc::new(StopReason::Refused { offset, records, bytes, code, message }))
                }
            },
            // Damage on the way to us or before is ours to report; damage on the way from us will not repeat.
            ErrorClass::Corrupt => match is_intact {
                Some(true) => Failure::Passing,
                Some(false) => partition.corrupt(offset, bytes),
                // It is read again, into memory: then that can be told.
                None => Failure::Passing,
            },
            // It would not be were it several, as it was.
            ErrorClass::TooLarge if batch.merged_from > 0 => {
                partition.largest_merged = bytes / 2;
                Failure::Passing
            }
            ErrorClass::TooLarge => Failure::Final(Arc::new(StopReason::TooLarge { offset, bytes, code })),
            ErrorClass::Denied => {
                Failure::Final(Arc::new(StopReason::Denied { side: Side::Target, code, right: "WRITE" }))
            }
            ErrorClass::Fenced => Failure::Final(Arc::new(StopReason::Fenced { code })),
            ErrorClass::OutOfRange | ErrorClass::Fatal => {
                Failure::Final(Arc::new(StopReason::Refused { offset, records, bytes, code, message }))
            }
        };
        // A batch behind one that failed is refused for that: only the first refusal says what is wrong.
        let is_first = partition.answered == 0;
        let failure = if is_first { failure } else { Failure::Passing };
        partition.answered += 1;
        let leader = leader.map(|(node, _)| node);
        if is_first && matches!(failure, Failure::Passing) {
            self.meets(number, Obstacle::refused(Side::Target, leader, PRODUCE, code), now);
        }
        if is_damaged && is_intact.is_none() {
            tracing::info!(
                number,
                offset,
                "the target found a batch damaged; from now on all is read into memory, to see where"
            );
            self.payloads = Payloads::InMemory;
        }
        tracing::debug!(number, %code, ?failure, "the target refused a batch");
        self.fail(number, failure, now);
    }

    /// Interrupts copying; the partition goes on, or stops, once every batch under way is answered.
    pub(crate) fn fail(&mut self, number: u32, failure: Failure, now: Instant) {
        self.leave_session(number);
        if let Some(partition) = self.partition(number) {
            partition.state.fail(failure);
        }
        self.conclude(number, now);
    }

    fn conclude(&mut self, number: u32, now: Instant) {
        let Some(partition) = self.partition(number) else { return };
        // Markers on their way must have arrived before the log's end is looked at.
        if partition.answered < partition.in_flight || partition.is_filling {
            return;
        }
        let State::Settling(failure) = &partition.state else { return };
        match failure.clone() {
            Failure::Final(reason) => self.stop(number, &reason),
            Failure::Passing => {
                partition.in_flight = 0;
                partition.answered = 0;
                partition.rewind();
                let until = now + partition.backoff.pause();
                partition.state = State::Pausing(until);
                self.to_fill.remove(&number);
                self.timers.set(until, Timer::Partition(number));
            }
        }
    }

    /// The target has said what it holds.
    pub(crate) fn resumed(&mut self, answers: Vec<(Resume, ResumeAnswer)>, now: Instant) {
        for (resume, answer) in answers {
            let number = resume.number;
            let Some(partition) = self.partition(number) else { continue };
            if partition.generation != resume.generation || !matches!(partition.state, State::Resuming) {
                continue;
            }
            match answer {
                ResumeAnswer::Ground(ground, places) => {
                    partition.places = places.into();
                    self.stand_on(number, ground);
                }
                ResumeAnswer::Later(code) => {
                    tracing::debug!(number, ?code, "the target cannot say yet what it holds");
                    let broker = partition.target.leader.take().map(|(node, _)| node);
                    partition.state.fail(Failure::Passing);
                    let obstacle = match code {
                        Some(code) => Obstacle::refused(Side::Target, broker, "a look at its log", code),
                        None => Obstacle { side: Side::Target, broker, cause: Cause::Unclear },
                    };
                    self.meets(number, obstacle, now);
                    self.conclude(number, now);
                }
                ResumeAnswer::Stop(reason) => self.stop(number, &Arc::new(reason)),
            }
        }
    }

    /// Copying goes on from where the target stands.
    fn stand_on(&mut self, number: u32, ground: Ground) {
        let name = self.name(number);
        let Some(partition) = self.partition(number) else { return };
        partition.troubled.is_known();
        partition.ground = Some(ground);
        partition.ground_from = partition.settled;
        if partition.is_before_first() {
            return self.lead(number, ground);
        }
        if partition.is_preserved() {
            let moved = ground.end - partition.settled.target_offset;
            if moved > 0 {
                tracing::info!(offsets = moved, "{name}: the target holds more than was noted");
                partition.settled.leader_epoch = -1;
            }
            partition.settled.source_offset = ground.end;
            partition.settled.target_offset = ground.end;
            partition.settled.sequence = ground.sequence;
            partition.reset_cursor();
            partition.begin_at_landmark(ground.landmark);
            self.note_progress(number);
        } else {
            if partition.is_set_back {
                // As many records before where the target stands.
                let fewer = i64::from(ground.sequence) - ground.held;
                partition.settled.sequence = i32::try_from(fewer.rem_euclid(1 << 31)).unwrap_or(0);
                partition.is_set_back = false;
                partition.reset_cursor();
            }
            if ground.held > 0 {
                tracing::info!(records = ground.held, "{name}: the target holds records not noted yet");
            }
            partition.cursor.records_to_pass = ground.held;
            partition.cursor.landmark = ground.landmark;
        }
        self.copy(number);
    }

    /// Copying begins, or goes on.
    pub(crate) fn copy(&mut self, number: u32) {
        if let Some(partition) = self.partition(number) {
            partition.state = State::Copying;
        }
        // The way to the target is opened before the first record needs it.
        if let Some(lane) = self.lane_of(number) {
            let config = &self.config;
            let opened = self.lanes.entry(lane).or_insert_with(|| TargetLane::new(config, lane));
            if matches!(opened.link, Link::Closed) {
                self.open_lane(lane);
            }
        }
        self.join_session(number);
    }

    /// Stops a partition that has read a batch which cannot go on, once all before it is settled.
    pub(crate) fn end_if_settled(&mut self, number: u32, now: Instant) {
        let Some(partition) = self.partition(number) else { return };
        let is_done = partition.queue.is_empty()
            && !partition.is_repacking
            && !partition.is_filling
            && partition.backlog.is_empty();
        // Records of the target that were to be passed over and were not met.
        let is_short = partition.cursor.records_to_pass > 0;
        match partition.ending.clone().filter(|_| is_done && partition.state.is_copying()) {
            None => {}
            Some(Ending::Gap { .. }) if is_short => self.realign(number, now),
            Some(Ending::Stop(reason)) => self.fail(number, Failure::Final(reason), now),
            Some(Ending::Gap { to, why, source }) => self.leave_gap(number, to, why, source),
        }
    }

    /// The settled position has moved.
    pub(crate) fn note_progress(&mut self, number: u32) {
        self.checkpoint.note(number);
        if let Some(partition) = self.partition(number) {
            partition.follows_log_start = false;
        }
        self.check_goal(number);
    }

    pub(crate) fn check_goal(&mut self, number: u32) {
        let Some(partition) = self.partition(number) else { return };
        if matches!(partition.goal, Goal::Offset(goal) if partition.settled.source_offset >= goal) {
            partition.goal = Goal::Reached;
            self.tell_waiting();
        }
    }
}

/// Takes `number` out; whether it was there. Brokers answer in the order they were asked, or nearly: the
/// search begins at the front, and what was there is replaced by the last.
fn remove(numbers: &mut Vec<u32>, number: u32) -> bool {
    let found = numbers.iter().position(|waiting| *waiting == number);
    found.map(|at| numbers.swap_remove(at)).is_some()
}

impl Partition {
    /// Whether the batch whose turn it is was put elsewhere than it had to be.
    fn misplaced(&self, found: i64) -> Option<StopReason> {
        let batch = self.queue.get(self.answered)?;
        let before: i64 = self.queue.iter().take(self.answered).map(|batch| i64::from(batch.records)).sum();
        let expected = self.settled.target_offset + before;
        let is_right = found == expected || (self.shares_target && found > expected);
        (!is_right).then_some(StopReason::UnexpectedOffset { offset: batch.source_offset, expected, found })
    }

    fn settle_front(&mut self, base_offset: i64, now: Instant) {
        let Some(batch) = self.queue.pop_front() else { return };
        self.in_flight -= 1;
        self.queued_bytes -= batch.bytes();
        // An old batch may be forgotten the moment after: nothing may be under way behind it.
        self.target.has_accepted = !batch.is_old;
        self.target.accepted_at = Some(now);
        self.backoff.reset();
        let target_offset = base_offset + i64::from(batch.records);
        let is_preserved = self.is_preserved();
        let source_offset = if is_preserved { target_offset } else { batch.source_next };
        let (sequence, leader_epoch) = (batch.next_sequence, batch.leader_epoch);
        self.settled = Position { source_offset, target_offset, sequence, leader_epoch };
        if !is_preserved {
            let places = [(base_offset, i64::from(batch.records))];
            self.note_in_map(batch.source_offset, batch.stretches.as_deref(), &places, batch.records);
            self.map.pass(source_offset);
        }
        self.counters.spliced_batches += u64::from(batch.tail.is_some());
        self.count(batch.records, batch.bytes(), batch.is_repacked, batch.merged_from);
    }

    /// A batch of ours is known to be on the target.
    pub(crate) fn count(&mut self, records: i32, batch_bytes: usize, is_repacked: bool, merged_from: u32) {
        self.counters.records += u64::from(records.unsigned_abs());
        self.counters.bytes += batch_bytes as u64;
        if merged_from > 0 {
            self.counters.merged_batches += u64::from(merged_from);
        } else if is_repacked {
            self.counters.repacked_batches += 1;
        } else {
            self.counters.forwarded_batches += 1;
        }
    }
}
