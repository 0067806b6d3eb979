//! The one task that owns a flow: every partition, session, queue and request under way.
//!
//! It never waits for anything but the next event. What takes time (opening a connection, asking for
//! leaders, repacking, saving) runs beside it and comes back as an event; bytes are moved by the connections'
//! own tasks. A batch costs it some hundred nanoseconds of header work, so one task serves thousands of
//! partitions at the speed of the network, without a lock, and every decision is made in one place in one
//! order.

mod advance;
mod aligning;
mod draining;
pub(crate) mod events;
mod forget;
mod leaders;
mod origins;
mod ownership;
mod places;
pub(crate) mod remembered;
pub(crate) mod timers;
mod troubles;

use crate::broker::{Backlogs, LaneKey, SourceBroker, TargetLane};
use crate::budget::Budget;
use crate::config::{FlowConfig, Forward};
use crate::error::{FlowError, PartitionName, Side, StopReason};
use crate::flow::checkpoint::Checkpoint;
use crate::flow::inspect::InspectedBatch;
use crate::flow::route::Routes;
use crate::flow::throttle::Throttle;
use crate::partition::{Goal, Partition, Producers, State};
use crate::positions::{Origins, PositionStore};
use crate::status::{PartitionStatus, Status};
use events::{Command, Event};
use leaders::LeaderWatch;
use ownership::Ownership;
use remembered::Remembered;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::pin::pin;
use std::sync::Arc;
use timers::{Timer, Timers};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use verbatim_wire::cluster::{Cluster, Lane};
use verbatim_wire::connection::{Answered, Asked, Payloads};
use verbatim_wire::produce::ProducedPartition;

/// Events that may wait for the task.
const EVENT_QUEUE: usize = 4096;
/// Answers that may be under way or wait for the task: each has its place kept before the request goes out.
const ANSWER_QUEUE: usize = 4096;

/// A flow at work.
#[derive(Debug)]
pub(crate) struct FlowTask {
    pub(crate) config: FlowConfig,
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    pub(crate) store: Arc<dyn PositionStore>,
    /// What batches and markers are stamped with.
    pub(crate) producers: Producers,
    /// Who wrote to the source, if that matters.
    pub(crate) origins: Option<Arc<Origins>>,
    /// Producers of the source that are not known yet.
    pub(crate) to_learn: HashSet<i64>,
    pub(crate) is_learning: bool,
    pub(crate) events: mpsc::Sender<Event>,
    /// Where answers come in.
    pub(crate) asked: mpsc::Sender<Answered>,
    pub(crate) routes: Routes,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) sources: BTreeMap<i32, SourceBroker>,
    /// The source broker that was asked last.
    pub(crate) last_fetched: i32,
    /// Partitions that are read in ranges, and whose turn it was last.
    pub(crate) in_ranges: BTreeSet<u32>,
    pub(crate) last_ranged: usize,
    /// Number of the next range.
    pub(crate) next_range: u64,
    /// Ranges that are on their way.
    pub(crate) ranges_asked: usize,
    pub(crate) lanes: BTreeMap<LaneKey, TargetLane>,
    /// The lane that sent last.
    pub(crate) last_lane: Option<LaneKey>,
    pub(crate) source_leaders: LeaderWatch,
    pub(crate) target_leaders: LeaderWatch,
    /// Partitions to look up on the target, per leader.
    pub(crate) to_resume: BTreeMap<i32, Vec<u32>>,
    /// Partitions that may have a gap to fill, or something before their first record.
    pub(crate) to_fill: BTreeSet<u32>,
    pub(crate) to_lead: BTreeSet<u32>,
    pub(crate) ownership: Ownership,
    pub(crate) backlogs: Backlogs,
    pub(crate) throttle: Throttle,
    pub(crate) budget: Budget,
    /// Runs of compressed batches that are being merged.
    pub(crate) unpacking: usize,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) timers: Timers,
    pub(crate) remembered: Remembered,
    /// Where the payloads of large batches go.
    pub(crate) payloads: Payloads,
    /// Kept for its memory.
    pub(crate) scratch: Vec<InspectedBatch>,
    /// As many as there are requests under way at most.
    pub(crate) spare_numbers: Vec<Vec<u32>>,
    pub(crate) spare_produced: Vec<ProducedPartition>,
    pub(crate) first_settled: Option<Instant>,
    waiting_for_goal: Vec<oneshot::Sender<Result<(), FlowError>>>,
    pub(crate) is_draining: bool,
    /// Whether the timer is set that says what keeps partitions.
    pub(crate) is_watching_troubles: bool,
}

/// What a task listens to.
struct Inbox {
    events: mpsc::Receiver<Event>,
    answers: mpsc::Receiver<Answered>,
}

/// A place for an answer; without one the request must wait.
pub(crate) fn room(asked: &mpsc::Sender<Answered>) -> Option<mpsc::OwnedPermit<Answered>> {
    asked.clone().try_reserve_owned().ok()
}

/// What a task is made of.
pub(crate) struct Parts {
    pub(crate) config: FlowConfig,
    pub(crate) source: Cluster,
    pub(crate) target: Cluster,
    pub(crate) store: Arc<dyn PositionStore>,
    pub(crate) producers: Producers,
}

impl FlowTask {
    /// Starts the task; it ends when told to, or when the command channel closes.
    pub(crate) fn spawn(parts: Parts) -> mpsc::Sender<Command> {
        let Parts { config, source, target, store, producers } = parts;
        let (events, inbox) = mpsc::channel(EVENT_QUEUE);
        let (asked, answers) = mpsc::channel(ANSWER_QUEUE);
        let (commander, commands) = mpsc::channel(16);
        let budget = Budget::new(config.budget_bytes, source.pool().clone());
        let is_plain = source.is_plain_tcp() && target.is_plain_tcp();
        let splices = cfg!(target_os = "linux") && is_plain && config.splice && !config.verify_source;
        let payloads = if splices { Payloads::InKernel } else { Payloads::InMemory };
        let origins = || Arc::new(Origins::new(source.clone(), config.origin.clone()));
        let origins = (config.forward == Forward::Local).then(origins);
        let remembered = Remembered::new(config.old_record_age);
        let task = Self {
            origins,
            to_learn: HashSet::new(),
            is_learning: false,
            source_leaders: LeaderWatch::new(&config, 1),
            target_leaders: LeaderWatch::new(&config, 2),
            config,
            source,
            target,
            store,
            producers,
            events,
            asked,
            routes: Routes::default(),
            partitions: Vec::new(),
            sources: BTreeMap::new(),
            last_fetched: -1,
            in_ranges: BTreeSet::new(),
            last_ranged: 0,
            next_range: 0,
            ranges_asked: 0,
            lanes: BTreeMap::new(),
            last_lane: None,
            to_resume: BTreeMap::new(),
            to_fill: BTreeSet::new(),
            to_lead: BTreeSet::new(),
            ownership: Ownership::default(),
            backlogs: Backlogs::default(),
            throttle: Throttle::default(),
            budget,
            unpacking: 0,
            checkpoint: Checkpoint::default(),
            timers: Timers::default(),
            remembered,
            payloads,
            scratch: Vec::new(),
            spare_numbers: Vec::new(),
            spare_produced: Vec::new(),
            first_settled: None,
            waiting_for_goal: Vec::new(),
            is_draining: false,
            is_watching_troubles: false,
        };
        tokio::spawn(task.run(Inbox { events: inbox, answers }, commands));
        commander
    }

    async fn run(mut self, mut inbox: Inbox, mut commands: mpsc::Receiver<Command>) {
        self.timers.set(Instant::now() + self.config.position_interval, Timer::Checkpoint);
        let mut alarm = pin!(tokio::time::sleep_until(Instant::now()));
        let shutdown = loop {
            let due = self.timers.next();
            if let Some(due) = due.filter(|due| *due != alarm.deadline()) {
                alarm.as_mut().reset(due);
            }
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Shutdown(reply)) => break Some(reply),
                    Some(command) => self.obey(command, Instant::now()),
                    None => break None,
                },
                Some(answered) = inbox.answers.recv() => self.answered(answered, Instant::now()),
                Some(event) = inbox.events.recv() => self.hear(event, Instant::now()),
                () = &mut alarm, if due.is_some() => {}
            }
            let now = Instant::now();
            // Whatever else has come in meanwhile is heard before acting on it.
            while let Ok(answered) = inbox.answers.try_recv() {
                self.answered(answered, now);
            }
            while let Ok(event) = inbox.events.try_recv() {
                self.hear(event, now);
            }
            self.advance(now);
        };
        let Some(reply) = shutdown else { return };
        let outcome = self.drain(&mut inbox).await;
        drop(reply.send(outcome));
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Add(topics) => self.add_topics(topics, now),
            Command::Status(reply) => drop(reply.send(self.status())),
            Command::CaughtUp(reply) => self.waiting_for_goal.push(reply),
            Command::Places(positions, reply) => drop(reply.send(self.places(&positions))),
            Command::Map(name, reply) => drop(reply.send(self.map(&name))),
            Command::Forget(topic, reply) => self.forget(&topic, reply),
            Command::Shutdown(_) => {}
        }
        self.tell_waiting();
    }

    /// An answer of a broker: the two kinds of request that records travel with.
    fn answered(&mut self, answered: Answered, now: Instant) {
        let Answered { to: Asked { node, lane, request }, answer } = answered;
        match lane {
            Lane::Produce(index) => self.produced(LaneKey { node, index }, request, answer, now),
            Lane::Fetch(_) => self.fetched(node, request, answer, now),
            Lane::Control => {}
        }
    }

    fn hear(&mut self, event: Event, now: Instant) {
        match event {
            Event::SourceOpened { node, outcome } => self.source_opened(node, outcome, now),
            Event::TargetOpened { lane, outcome } => self.lane_opened(lane, outcome, now),
            Event::Measured { side, node, round_trip } => self.measured(side, node, round_trip),
            Event::RangeFetched { number, generation, range, reserved_bytes, outcome } => {
                self.range_fetched(number, generation, range, reserved_bytes, outcome, now);
            }
            Event::Leaders { side, outcome } => self.leaders_heard(side, outcome, now),
            Event::Resumed(answers) => self.resumed(answers, now),
            Event::Repacked { number, generation, batches, failure } => {
                self.repacked(number, generation, batches, failure, now);
            }
            Event::Merged { number, generation, count, outcome } => {
                self.merged(number, generation, count, outcome, now);
            }
            Event::Saved { changes, outcome } => self.saved(changes, outcome, now),
            Event::Aside { what, denied } => self.tried_aside(what, denied),
            Event::Bounds { number, generation, outcome } => {
                self.bounds_heard(number, generation, outcome, now);
            }
            Event::Aligned { number, generation, ground, outcome } => {
                self.aligned(number, generation, ground, outcome, now);
            }
            Event::Held { number, from, producers } => self.holder_heard(number, from, &producers),
            Event::Learned { producers, outcome } => self.learned(producers, outcome),
            Event::Claimed(outcome) => self.claimed(outcome, now),
            Event::Filled(claim, outcomes) => self.filled(claim, outcomes, now),
            Event::Led(lead, led) => self.led(&lead, led, now),
        }
    }

    pub(crate) fn partition(&mut self, number: u32) -> Option<&mut Partition> {
        self.partitions.get_mut(number as usize)
    }

    /// What users know a partition as: its source.
    pub(crate) fn name(&self, number: u32) -> PartitionName {
        let partition = self.partitions.get(number as usize);
        let topic = partition.and_then(|p| self.routes.topic(p.topic));
        PartitionName {
            topic: topic.map_or_else(|| "".into(), |route| route.source.name.clone()),
            partition: partition.map_or(-1, |p| p.partition),
        }
    }

    /// Ends a partition for good; the others go on.
    pub(crate) fn stop(&mut self, number: u32, reason: &Arc<StopReason>) {
        self.leave_session(number);
        let name = self.name(number);
        let Some(partition) = self.partition(number) else { return };
        if partition.state.is_stopped() {
            return;
        }
        self.to_fill.remove(&number);
        let producers = self.producers;
        let Some(partition) = self.partition(number) else { return };
        let reason = partition.unless_it_is_others(reason, &producers);
        partition.rewind();
        partition.in_flight = 0;
        partition.answered = 0;
        partition.state = State::Stopped(reason.clone());
        partition.troubled.end();
        tracing::error!("{name} stopped: {reason}");
        self.tell_waiting();
    }

    /// Answers those who wait for the flow to catch up, if it has or cannot.
    pub(crate) fn tell_waiting(&mut self) {
        if self.waiting_for_goal.is_empty() {
            return;
        }
        let is_open = |p: &Partition| p.goal != Goal::Reached && !p.state.is_stopped();
        if self.partitions.iter().any(is_open) {
            return;
        }
        let stopped = self.stopped();
        for reply in self.waiting_for_goal.drain(..) {
            let outcome = if stopped.is_empty() { Ok(()) } else { Err(FlowError::Stopped(stopped.clone())) };
            drop(reply.send(outcome));
        }
    }

    fn stopped(&self) -> Vec<(PartitionName, Arc<StopReason>)> {
        let stopped =
            (0u32..).zip(&self.partitions).filter_map(|(number, partition)| match &partition.state {
                _ if partition.is_forgotten => None,
                State::Stopped(reason) => Some((self.name(number), reason.clone())),
                _ => None,
            });
        stopped.collect()
    }

    fn status(&self) -> Status {
        let known = (0u32..).zip(&self.partitions).filter(|(_, p)| !p.is_forgotten);
        let partitions = known.map(|(number, p)| PartitionStatus {
            name: self.name(number),
            position: p.settled,
            last_record: p.map.last().map(|run| (run.source_end() - 1, run.target_end() - 1)),
            end_offset: p.source.end_offset,
            high_watermark: p.source.high_watermark,
            lag_records: p.lag(),
            counters: p.counters,
            stopped: match &p.state {
                State::Stopped(reason) => Some(reason.clone()),
                _ => None,
            },
            waits: p.troubled.current().cloned(),
            is_copying: p.state.is_copying(),
            offsets: p.offsets,
            translated_because: p.translated_because.clone(),
            gaps: p.gaps.clone(),
        });
        let sides = [(Side::Source, &self.source_leaders), (Side::Target, &self.target_leaders)];
        let unanswering = sides.into_iter().filter(|(_, watch)| watch.is_unanswered);
        Status {
            partitions: partitions.collect(),
            unanswering: unanswering.map(|(side, _)| side).collect(),
            held_bytes: self.budget.held_bytes(),
            copied_bytes: self.source.pool().copied_bytes() + self.target.pool().copied_bytes(),
            first_settled: self.first_settled,
        }
    }

    /// Runs `work` beside the task; its result comes back as an event.
    pub(crate) fn beside(&self, work: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let event = work.await;
            // The task is gone when nobody listens: then the result is of no use.
            let _ = events.send(event).await;
        });
    }

    pub(crate) fn leaders(&mut self, side: Side) -> &mut LeaderWatch {
        match side {
            Side::Source => &mut self.source_leaders,
            Side::Target => &mut self.target_leaders,
        }
    }
}
