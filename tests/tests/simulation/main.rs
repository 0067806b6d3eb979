//! Promise: nothing is lost, doubled or reordered, and offsets are what they are said to be, under any schedule of appends,
//! transactions, compaction, faults, leader moves, broker crashes, ends of the flow's process and instances that run beside each other.
//! Schedules are drawn from seeds and played with a paused clock: as many as fit into two minutes, from a seed that the clock chooses,
//! so that other ones are seen every time. What is played is printed.
//!
//! A failing seed is printed with what happened. `VERBATIM_SEED=<seed>` plays that one alone; `VERBATIM_SECONDS=<seconds>` or
//! `VERBATIM_SCHEDULES=<count>` say how many are played, `VERBATIM_FIRST_SEED=<seed>` from where on.
//! The schedule is a function of the seed; the order in which tasks run beside each other is not quite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod check;
mod late_markers;
mod length;
mod truncation;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use length::Length;
use verbatim_pipeline::{Batching, FlowConfig, Offsets, OffsetsHeld, OnSourceAccident};
use verbatim_testbroker::{BatchBuilder, Control, Corruption, ErrorCode, TestCluster, batch};
use verbatim_tests::scenario::{Dice, Instance, Stage, eventually, numbered, soon, translated_config};

/// After so many failures no more are looked for.
const ENOUGH: usize = 10;
const TOPIC: &str = "t";
/// How long the copy may take to become perfect once all is well, in virtual time.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn any_schedule_of_faults_leaves_a_perfect_copy() {
    if let Some(seed) = length::number("VERBATIM_SEED") {
        println!("{}", play(seed).story.join("\n"));
        return;
    }
    let length = Length::from_environment();
    let failed = Mutex::new(Vec::new());
    let kills = AtomicU64::new(0);
    let progress = length.begin();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while failed.lock().unwrap().len() < ENOUGH
                    && let Some(seed) = progress.next()
                {
                    match catch_unwind(AssertUnwindSafe(|| play(seed))) {
                        Ok(played) => drop(kills.fetch_add(played.kills, Ordering::Relaxed)),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let played = progress.end();
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failing seeds: {failed:?}; play one again with VERBATIM_SEED={}", failed[0]);
    // Of many, six in ten are killed; few may be further from that.
    let expected = (played / 2).saturating_sub(6 * played.isqrt());
    let kills = kills.into_inner();
    assert!(kills >= expected, "{kills} processes were killed, too few for this to mean much");
}

/// What became of one schedule.
struct Played {
    story: Vec<String>,
    kills: u64,
}

/// Prints the story so far if the play ends in a panic.
struct Story {
    seed: u64,
    lines: Vec<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("VERBATIM_SEED={}\n{}", self.seed, self.lines.join("\n"));
        }
    }
}

fn play(seed: u64) -> Played {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut play = Play::new(seed);
        play.go().await;
        Played { story: std::mem::take(&mut play.story.lines), kills: play.kills }
    })
}

/// A schedule being played.
struct Play {
    dice: Dice,
    story: Story,
    stage: Stage,
    brokers: i32,
    partitions: i32,
    config: FlowConfig,
    instances: Vec<Instance>,
    /// How many run beside each other at most.
    most_instances: usize,
    /// The cleaner takes records, of either side.
    is_compacted: bool,
    /// Records are a month old, and the target forgets who wrote them.
    is_old: bool,
    /// The source may lose the end of a log.
    is_cut: bool,
    /// Partitions of the source whose log was cut, and to which offset.
    cut: BTreeMap<i32, i64>,
    /// The target wrote markers late.
    has_late_markers: bool,
    kills: u64,
    batches: u64,
    /// Producers by their number, per partition: epoch 0, next sequence, whether a transaction is open.
    producers: BTreeMap<(i32, i64), Writer>,
    first_producer_id: i64,
    down: [Option<i32>; 2],
}

#[derive(Default)]
struct Writer {
    next_sequence: i32,
    in_transaction: bool,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let brokers = 1 + dice.roll(3) as i32;
        let partitions = 1 + dice.roll(4) as i32;
        let stage = Stage::of(brokers as usize, brokers as usize);
        let is_compacted = dice.roll(5) == 0;
        let is_old = dice.roll(4) == 0;
        let is_cut = !is_compacted && dice.roll(6) == 0;
        // Two that have read different logs do not see it from each other: see FAILURES.md.
        let most_instances = if is_cut { 1 } else { *dice.pick(&[1, 1, 2, 3]) };
        let policy: &[(&str, &str)] = if is_compacted { &[("cleanup.policy", "compact")] } else { &[] };
        for cluster in [&stage.source, &stage.target] {
            cluster.create_topic(TOPIC, partitions, policy).unwrap();
        }
        if dice.roll(6) == 0 {
            stage.source.begin_at(TOPIC, 0, 1 + dice.roll(100_000) as i64).unwrap();
        }
        let config = FlowConfig {
            on_source_accident: *dice.pick(&[OnSourceAccident::Stop, OnSourceAccident::Continue]),
            offsets: *dice.pick(&[Offsets::Translate, Offsets::Preserve, Offsets::Auto]),
            // As if everything were far: ranges, and many requests under way.
            far_round_trip: Duration::from_millis(*dice.pick(&[0, 5])),
            batching: *dice.pick(&[Batching::Verbatim, Batching::Adaptive]),
            position_interval: Duration::from_millis(*dice.pick(&[20, 200, 2000, 100_000])),
            lanes_per_broker: 1 + dice.roll(3) as u8,
            requests_per_lane: 1 + dice.roll(6) as usize,
            budget_bytes: *dice.pick(&[2_000, 20_000, 1 << 20]),
            far_budget_bytes: 20_000,
            fetch_max_bytes: *dice.pick(&[500, 5_000, 1 << 20]),
            partition_max_bytes: *dice.pick(&[200, 1_000, 1 << 20]),
            produce_request_bytes: *dice.pick(&[300, 3_000, 1 << 20]),
            ..translated_config()
        };
        let story = Story {
            seed,
            lines: vec![format!(
                "{brokers} brokers, {partitions} partitions, up to {most_instances} instances, compacted: {is_compacted}, old: {is_old}, \
                     cut: {is_cut}, {config:?}"
            )],
        };
        let producers = BTreeMap::new();
        let (kills, batches, down) = (0, 0, [None; 2]);
        Self {
            dice,
            story,
            stage,
            brokers,
            partitions,
            config,
            instances: Vec::new(),
            most_instances,
            is_compacted,
            is_old,
            is_cut,
            cut: BTreeMap::new(),
            has_late_markers: false,
            kills,
            batches,
            producers,
            first_producer_id: 1_000_000,
            down,
        }
    }

    fn tell(&mut self, line: String) {
        self.story.lines.push(line);
    }

    async fn go(&mut self) {
        let acts = 20 + self.dice.roll(60);
        for _ in 0..acts {
            match self.dice.roll(22) {
                20 if self.is_compacted => self.compact(),
                20 if self.is_cut => self.cut().await,
                21 if self.is_old => self.forget().await,
                0..=9 | 20.. => self.append(),
                10 => self.move_leader(),
                11 => self.crash_or_restart().await,
                12..=15 => self.fault(),
                16 => self.evict_sessions(),
                17 => self.begin().await,
                18 => self.end().await,
                _ => {
                    self.begin().await;
                    self.end_transactions();
                }
            }
            let pause = *self.dice.pick(&[0, 0, 1, 2, 5, 20, 100, 3000]);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.finish().await;
    }

    fn clusters(&self) -> [&TestCluster; 2] {
        [&self.stage.source, &self.stage.target]
    }

    fn side(&mut self) -> usize {
        self.dice.roll(2) as usize
    }

    fn node(&mut self) -> i32 {
        1 + self.dice.roll(self.brokers as u64) as i32
    }

    fn partition(&mut self) -> i32 {
        self.dice.roll(self.partitions as u64) as i32
    }

    /// Some batches of one partition, by anybody, in a transaction or not.
    fn append(&mut self) {
        let partition = self.partition();
        self.append_to(partition);
    }

    fn append_to(&mut self, partition: i32) {
        for _ in 0..1 + self.dice.roll(12) {
            let records = 1 + self.dice.roll(7) as i32;
            self.batches += 1;
            let built = self.records(partition, records);
            let producer_id = self.first_producer_id + self.dice.roll(3) as i64;
            let is_transactional = self.dice.roll(3) == 0;
            let is_plain = self.dice.roll(2) == 0;
            let writer = self.producers.entry((partition, producer_id)).or_default();
            let built = if is_plain || (writer.in_transaction && !is_transactional) {
                built
            } else {
                let built = built.producer(producer_id, 0, writer.next_sequence);
                writer.next_sequence += records;
                if is_transactional {
                    writer.in_transaction = true;
                    built.transactional()
                } else {
                    built
                }
            };
            self.stage.source.append(TOPIC, partition, &built.build()).unwrap();
        }
        if self.dice.roll(3) == 0 {
            self.end_transactions();
        }
    }

    fn records(&mut self, partition: i32, count: i32) -> BatchBuilder {
        const MONTH_MS: i64 = 30 * 24 * 3600 * 1000;
        let tag = format!("{partition}/{}", self.batches);
        let built = if self.is_compacted {
            let record = |at: i32| (format!("key {}", self.dice.roll(30)), format!("{tag}/{at}"));
            batch((0..count).map(record).collect::<Vec<_>>())
        } else {
            numbered(&tag, count as usize)
        };
        built.timestamp_ms(self.stage.source.now_ms() - if self.is_old { MONTH_MS } else { 0 })
    }

    fn compact(&mut self) {
        let (side, partition) = (self.side(), self.partition());
        self.tell(format!("partition {partition} of cluster {side} is compacted"));
        self.clusters()[side].compact(TOPIC, partition, None).unwrap_or_default();
    }

    /// The target forgets who wrote old records. What was on its way then must have arrived: see FAILURES.md for the window
    /// that remains.
    async fn forget(&mut self) {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        self.stage.target.clear_rules();
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.tell("the target forgets its old producers".to_owned());
        self.stage.target.expire_producer_ids(DAY_MS);
    }

    fn end_transactions(&mut self) {
        let open: Vec<_> =
            self.producers.iter().filter(|(_, writer)| writer.in_transaction).map(|(key, _)| *key).collect();
        for (partition, producer_id) in open {
            let producer = (producer_id, 0);
            if self.dice.roll(2) == 0 {
                self.stage.source.commit(TOPIC, partition, producer).unwrap();
            } else {
                self.stage.source.abort(TOPIC, partition, producer).unwrap();
            }
            self.producers.entry((partition, producer_id)).or_default().in_transaction = false;
        }
    }

    fn move_leader(&mut self) {
        let (side, node, partition) = (self.side(), self.node(), self.partition());
        if self.down[side] != Some(node) {
            self.tell(format!("partition {partition} of cluster {side} moves to {node}"));
            self.clusters()[side].move_leader(TOPIC, partition, node).unwrap();
        }
    }

    async fn crash_or_restart(&mut self) {
        let (side, node) = (self.side(), self.node());
        if let Some(node) = self.down[side].take() {
            self.tell(format!("broker {node} of cluster {side} comes back"));
            self.clusters()[side].restart(node).unwrap();
        } else {
            self.tell(format!("broker {node} of cluster {side} crashes"));
            self.clusters()[side].crash(node).await;
            self.down[side] = Some(node);
        }
    }

    fn fault(&mut self) {
        let side = self.side();
        let apis: &[ApiKey] = if side == 0 {
            &[
                ApiKey::Fetch,
                ApiKey::Fetch,
                ApiKey::Fetch,
                ApiKey::Metadata,
                ApiKey::ListOffsets,
                ApiKey::ApiVersions,
            ]
        } else {
            &[
                ApiKey::Produce,
                ApiKey::Produce,
                ApiKey::Produce,
                ApiKey::Produce,
                ApiKey::Metadata,
                ApiKey::DescribeProducers,
                ApiKey::ListOffsets,
                ApiKey::Fetch,
                ApiKey::InitProducerId,
                ApiKey::WriteTxnMarkers,
                ApiKey::DeleteRecords,
            ]
        };
        let api = *self.dice.pick(apis);
        let fault = self.accident(api);
        let times = 1 + self.dice.roll(3) as usize;
        self.has_late_markers |= late_markers::are_late(api, &fault);
        self.tell(format!("{times} times {fault:?} on {api:?} of cluster {side}"));
        self.clusters()[side].times(api, times, fault);
    }

    fn accident(&mut self, api: ApiKey) -> Control {
        let codes: &[i16] = match api {
            ApiKey::Produce => &[3, 5, 6, 7, 14, 19, 20, 45, 56],
            ApiKey::Fetch => &[3, 5, 6, 7, 9, 56, 70, 71, 74, 75, 78, 106],
            ApiKey::ListOffsets | ApiKey::DescribeProducers => &[3, 6, 7],
            ApiKey::InitProducerId => &[14, 15, 16],
            _ => &[],
        };
        let partition = self.partition();
        let accident = match self.dice.roll(8) {
            0 => Control::Disconnect,
            1 => Control::Silence,
            2 => Control::Delay(Duration::from_millis(*self.dice.pick(&[1, 30, 1000, 40_000]))),
            3 => Control::Corrupt(Corruption::CorrelationId),
            4 => Control::Corrupt(Corruption::CutAfter(self.dice.roll(60) as usize)),
            5 | 6 if matches!(api, ApiKey::Produce | ApiKey::Fetch) => {
                let code = ErrorCode(*self.dice.pick(&[3, 6, 7]));
                Control::PartitionError { topic: TOPIC.to_owned(), partition, code }
            }
            _ if !codes.is_empty() => Control::Error(ErrorCode(*self.dice.pick(codes))),
            _ => Control::Disconnect,
        };
        let is_lost = self.dice.roll(2) == 0 && !matches!(accident, Control::Corrupt(_));
        if is_lost { Control::ApplyThen(Box::new(accident)) } else { accident }
    }

    fn evict_sessions(&mut self) {
        let node = self.node();
        self.stage.source.evict_fetch_sessions(node);
    }

    /// Starts the flow's process unless it runs. A start may fail under faults; it can be tried again.
    async fn begin(&mut self) {
        if self.instances.len() >= self.most_instances {
            return;
        }
        let starting = self.stage.instance(self.config.clone(), &[TOPIC]);
        let patience = Duration::from_millis(*self.dice.pick(&[1, 10, 1000, 100_000]));
        let outcome = tokio::time::timeout(patience, starting).await;
        let line = match outcome {
            Ok(Ok(instance)) => {
                self.instances.push(instance);
                "the flow starts".to_owned()
            }
            Ok(Err(error)) => format!("the flow does not start: {error}"),
            Err(_) => format!("the flow is killed {patience:?} into its start"),
        };
        self.tell(line);
    }

    /// Ends the flow's process, in order or not.
    async fn end(&mut self) {
        if self.instances.is_empty() {
            return;
        }
        let at = self.dice.roll(self.instances.len() as u64) as usize;
        let instance = self.instances.remove(at);
        if self.dice.roll(4) == 0 {
            let outcome = soon("shutdown", instance.flow.shutdown()).await;
            self.tell(format!("the flow ends: {outcome:?}"));
        } else {
            self.tell("the flow is killed".to_owned());
            self.kills += 1;
            instance.kill();
        }
    }

    /// All is well again: the copy has to become perfect, and the flow has to know.
    async fn finish(&mut self) {
        self.tell("all is well again".to_owned());
        for side in 0..2 {
            self.clusters()[side].clear_rules();
            if let Some(node) = self.down[side].take() {
                self.clusters()[side].restart(node).unwrap();
            }
        }
        self.end_transactions();
        for _ in 0..20 {
            self.begin().await;
        }
        for partition in 0..self.partitions {
            self.arrive(partition).await;
        }
        let instance = self.instances.remove(0);
        let outcome = soon("caught up", instance.flow.caught_up()).await;
        let mut is_settled = false;
        eventually("nothing is left to do", || std::mem::replace(&mut is_settled, true)).await;
        let status = instance.flow.status().await.unwrap();
        assert_eq!(outcome.is_err(), status.stopped().next().is_some(), "{outcome:?}");
        for partition in &status.partitions {
            let number = partition.name.partition;
            let map = instance.flow.offset_map(partition.name.clone()).await.unwrap().unwrap();
            let copy = check::Copy {
                stage: &self.stage,
                partition: number,
                is_preserved: partition.offsets == OffsetsHeld::Preserved,
                is_compacted: self.is_compacted,
                is_merged: self.config.batching == Batching::Adaptive,
                map: &map,
            };
            let position = partition.position.source_offset;
            if let Some(reason) = &partition.stopped {
                match self.cut.get(&number) {
                    Some(cut) => copy.assert_right_up_to_the_cut(*cut, position),
                    None => copy.assert_right_before(late_markers::seen_at(reason).unwrap()),
                }
            } else if let Some(gap) = partition.gaps.last() {
                copy.assert_right_around(gap);
            } else {
                copy.assert_right();
            }
        }
    }

    /// Waits until everything of a partition is on the target.
    async fn arrive(&self, partition: i32) {
        let end = self.stage.source.last_stable_offset(TOPIC, partition).unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let arrived = async {
            loop {
                let status = self.instances[0].flow.status().await.unwrap();
                for partition in &status.partitions {
                    let (Some(reason), name) = (&partition.stopped, &partition.name) else { continue };
                    let has_late_markers =
                        self.has_late_markers && partition.offsets == OffsetsHeld::Preserved;
                    let is_right = self.cut.contains_key(&name.partition) && truncation::is_seen(reason)
                        || has_late_markers && late_markers::seen_at(reason).is_some();
                    assert!(is_right, "{name} stopped: {reason}");
                }
                let found = status.partitions.iter().find(|found| found.name.partition == partition).unwrap();
                // Beyond the end of a log that was cut: not noticed yet.
                let is_copied = found.position.source_offset == end && found.is_copying;
                if is_copied || found.stopped.is_some() {
                    return;
                }
                let waited = tokio::time::Instant::now() >= deadline;
                assert!(!waited, "partition {partition} does not come to {end}: {found:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        arrived.await;
    }
}
