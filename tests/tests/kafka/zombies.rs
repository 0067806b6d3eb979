//! Several instances of one flow at once: one that was frozen and comes back after it was replaced, or three that know nothing of
//! each other. Whatever they do, the target is exactly what the source is.
//!
//! Where a record's age makes the target's brokers forget who wrote it, they cannot refuse what comes twice: those tests come with
//! old records, and with brokers that forget within a second.
//!
//! What happens when is chosen at random; `VERBATIM_SEED` chooses the same again.

use std::ops::Deref;
use std::time::{Duration, Instant};

use verbatim_tests::replication::{Offsets, Replication};
use verbatim_tests::scenario::Dice;
use verbatim_tests::scene::Scene;
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::workload::{Kind, Stream, Workload, keep_log, seed};
use verbatim_tests::{Failure, TestResult, kafka};
use xtask::kafka::Options;

/// How long a broker of the target knows a producer that it has not heard of, by the time of the records.
const FORGETFUL: [(&str, &str); 2] =
    [("producer.id.expiration.ms", "3000"), ("producer.id.expiration.check.interval.ms", "1000")];
/// Records on the target that are progress.
const PROGRESS: i64 = 300;

#[test]
fn a_paused_instance_comes_back_after_it_was_replaced() -> TestResult {
    come_back(Stage::open("paused", &[], fresh(), false)?)
}

#[test]
fn a_paused_instance_comes_back_where_the_broker_forgets() -> TestResult {
    come_back(Stage::open("paused-forgotten", &FORGETFUL, old(fresh()), false)?)
}

#[test]
fn three_instances_at_once() -> TestResult {
    trio(Stage::open("trio", &[], fresh(), false)?)
}

#[test]
fn three_instances_at_once_with_old_records() -> TestResult {
    trio(Stage::open("trio-old", &[], old(fresh()), false)?)
}

#[test]
fn three_instances_at_once_where_the_broker_forgets() -> TestResult {
    trio(Stage::open("trio-forgotten", &FORGETFUL, old(fresh()), false)?)
}

#[test]
fn three_instances_at_once_beside_the_cleaner() -> TestResult {
    trio(Stage::open("trio-cleaner", &[], fresh(), true)?)
}

/// Nothing of the flow is on the target yet: three instances take their first steps together.
#[test]
fn three_instances_begin_together() -> TestResult {
    let Some(mut stage) = Stage::open("together", &[], fresh(), false)? else { return Ok(()) };
    let mut slots: [Slot; 3] = Default::default();
    let mut play = || -> TestResult {
        slots.iter_mut().try_for_each(|slot| stage.start(slot))?;
        stage.wait_for_progress()?;
        stage.wait_for_progress()
    };
    let played = play();
    slots.iter_mut().for_each(|slot| stage.kill(slot));
    stage.conclude(played)
}

fn fresh() -> Vec<Stream> {
    vec![
        Stream::new("plain", Kind::Log, 3, 500).codec("lz4"),
        Stream::new("compacted", Kind::Compacted, 2, 400),
        Stream::new("compacted-twice", Kind::CompactedTwice, 2, 200).codec("zstd"),
    ]
}

fn old(streams: Vec<Stream>) -> Vec<Stream> {
    streams.into_iter().map(Stream::old).collect()
}

/// The first instance freezes, a second one takes over, the first one thaws while the second goes on; then one of them ends.
fn come_back(stage: Option<Stage>) -> TestResult {
    let Some(mut stage) = stage else { return Ok(()) };
    let rounds = if kafka::is_long() { 40 } else { 4 };
    let mut first = Slot::default();
    let played = (0..rounds).try_for_each(|round| -> TestResult {
        stage.start(&mut first)?;
        stage.wait_for_progress()?;
        first.freeze()?;
        let mut second = Slot::default();
        stage.start(&mut second)?;
        // Now and then the second one has only just begun when the first one comes back.
        if round % 3 != 2 {
            stage.wait_for_progress()?;
        }
        first.thaw()?;
        stage.wait_for_progress()?;
        match stage.dice.roll(4) {
            0 => stage.kill(&mut second),
            1 => stage.interrupt(&mut second)?,
            2 => stage.kill(&mut first),
            _ => stage.interrupt(&mut first)?,
        }
        stage.wait_for_one([&mut first, &mut second])?;
        if first.is_alive() {
            stage.kill(&mut second);
        } else {
            stage.kill(&mut first);
            first = second;
        }
        Ok(())
    });
    stage.kill(&mut first);
    stage.conclude(played)
}

/// Three instances are started, frozen, thawed, ended and killed, each without regard to the others; only the very first steps of the
/// flow are left to one.
fn trio(stage: Option<Stage>) -> TestResult {
    let Some(mut stage) = stage else { return Ok(()) };
    let duration = Duration::from_secs(if kafka::is_long() { 600 } else { 40 });
    let mut slots: [Slot; 3] = Default::default();
    let mut play = || -> TestResult {
        if let Some(first) = slots.first_mut() {
            stage.start(first)?;
        }
        stage.wait_for_progress()?;
        let begun = Instant::now();
        while begun.elapsed() < duration {
            std::thread::sleep(Duration::from_millis(stage.dice.roll(700)));
            let chosen = usize::try_from(stage.dice.roll(3))?;
            let Some(slot) = slots.get_mut(chosen) else { continue };
            match (slot.is_alive(), slot.is_frozen, stage.dice.roll(8)) {
                (false, ..) => stage.start(slot)?,
                (_, true, 0) | (_, false, 0..=2) => stage.kill(slot),
                (_, true, _) => slot.thaw()?,
                (_, false, 3) => stage.interrupt(slot)?,
                (_, false, 4..=6) => slot.freeze()?,
                _ => {}
            }
        }
        // However it went, one alone that is started now gets somewhere.
        slots.iter_mut().for_each(|slot| stage.kill(slot));
        let mut last = Slot::default();
        stage.start(&mut last)?;
        let progress = stage.wait_for_progress();
        stage.kill(&mut last);
        progress
    };
    let played = play();
    slots.iter_mut().for_each(|slot| stage.kill(slot));
    stage.conclude(played)
}

/// An instance, or none.
#[derive(Debug, Default)]
struct Slot {
    verbatim: Option<Verbatim>,
    is_frozen: bool,
}

impl Slot {
    fn is_alive(&mut self) -> bool {
        self.verbatim.as_mut().is_some_and(Verbatim::is_running)
    }

    fn signal(&self, name: &str) -> TestResult {
        self.verbatim.iter().try_for_each(|verbatim| Ok(verbatim.signal(name)?))
    }

    fn freeze(&mut self) -> TestResult {
        self.is_frozen = true;
        self.signal("STOP")
    }

    fn thaw(&mut self) -> TestResult {
        self.is_frozen = false;
        self.signal("CONT")
    }
}

/// Clusters that others use as well, or, where brokers are to forget, clusters of this test's own.
enum Held {
    Shared(&'static Scene),
    Own(Box<Scene>),
}

impl Held {
    fn open(name: &str, properties: &[(&str, &str)]) -> TestResult<Option<Self>> {
        if properties.is_empty() {
            return Ok(Scene::shared_and_cleaned()?.map(Self::Shared));
        }
        let source = Options::new(format!("{name}-source"));
        let target = Options::new(format!("{name}-target"));
        let target = properties.iter().fold(target, |options, (name, value)| options.property(*name, *value));
        Ok(Scene::open(source, target)?.map(|scene| Self::Own(Box::new(scene))))
    }
}

impl Deref for Held {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        match self {
            Self::Shared(scene) => scene,
            Self::Own(scene) => scene,
        }
    }
}

/// Two clusters, producers at work, and what happened.
struct Stage {
    scene: Held,
    workload: Workload,
    replication: Replication,
    dice: Dice,
    seed: u64,
    name: &'static str,
    /// Starts, kills, orderly ends, and ends that nobody asked for.
    counts: [u32; 4],
    log: String,
}

impl Stage {
    fn open(
        name: &'static str,
        properties: &[(&str, &str)],
        streams: Vec<Stream>,
        cleans: bool,
    ) -> TestResult<Option<Self>> {
        let seed = seed()?;
        let Some(scene) = Held::open(name, properties)? else { return Ok(None) };
        let streams = if cleans { streams } else { streams.into_iter().map(Stream::never_cleaned).collect() };
        let workload = Workload::begin(&scene, name, streams)?;
        let replication = Replication::new(&scene, name, &workload.pattern()).offsets(Offsets::Translate);
        let (dice, counts, log) = (Dice::new(seed), [0; 4], String::new());
        Ok(Some(Self { scene, workload, replication, dice, seed, name, counts, log }))
    }

    /// Starts an instance where there is none, or none any more.
    fn start(&mut self, slot: &mut Slot) -> TestResult {
        if slot.is_alive() {
            return Ok(());
        }
        self.bury(slot)?;
        self.counts[0] += 1;
        *slot = Slot { verbatim: Some(self.replication.start()?), is_frozen: false };
        Ok(())
    }

    /// Takes note of one that has ended by itself, as one may that was replaced.
    fn bury(&mut self, slot: &mut Slot) -> TestResult {
        if let Some(verbatim) = slot.verbatim.take() {
            let ended = verbatim.ended(PATIENCE)?;
            self.counts[3] += 1;
            self.log += &format!("#### ended by itself with {:?}\n{}", ended.code, ended.stderr);
        }
        Ok(())
    }

    fn kill(&mut self, slot: &mut Slot) {
        if let Some(verbatim) = slot.verbatim.take() {
            self.counts[1] += 1;
            self.log += &format!("#### killed\n{}", verbatim.kill());
        }
    }

    fn interrupt(&mut self, slot: &mut Slot) -> TestResult {
        if let Some(verbatim) = slot.verbatim.take() {
            self.counts[2] += 1;
            verbatim.signal("INT")?;
            let ended = verbatim.ended(PATIENCE)?;
            self.log += &format!("#### interrupted, ended with {:?}\n{}", ended.code, ended.stderr);
        }
        Ok(())
    }

    /// Waits until the target has more records than before.
    fn wait_for_progress(&self) -> TestResult {
        let mut target = self.scene.at_target();
        let before = self.workload.ends(&mut target)?;
        wait_until("progress", PATIENCE, || Ok(self.workload.ends(&mut target)? > before + PROGRESS))
    }

    /// Waits until the target has more records than before, and goes on with another instance if all have ended by themselves.
    fn wait_for_one(&mut self, mut slots: [&mut Slot; 2]) -> TestResult {
        if slots.iter_mut().all(|slot| !slot.is_alive()) {
            let [first, _] = slots;
            self.start(first)?;
        }
        self.wait_for_progress()
    }

    /// Ends the producers, copies the rest and compares, also if something else has failed.
    fn conclude(mut self, played: TestResult) -> TestResult {
        let [starts, kills, ends, own_ends] = self.counts;
        self.workload.finish()?;
        let copied = self.replication.catch_up();
        let tally = self.workload.compare(&self.scene, false)?;
        println!(
            "{}: {starts} starts, {kills} kills, {ends} orderly ends, {own_ends} others; {tally}",
            self.name
        );
        let mut failures: Vec<String> = tally.violations;
        failures.extend(played.err().map(|failure| format!("{failure:?}")));
        failures.extend(copied.err().map(|failure| format!("the last copy: {failure:?}")));
        if failures.is_empty() {
            return Ok(());
        }
        let kept = keep_log(&format!("zombies-{}.log", self.name), &self.log)?;
        let message =
            format!("VERBATIM_SEED={}; all instances logged to {kept}\n{}", self.seed, failures.join("\n"));
        Err(Failure::from(message))
    }
}
