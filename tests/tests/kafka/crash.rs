//! `verbatim` dies again and again, at any moment of its life, while producers of every kind write: afterwards nothing is lost,
//! doubled or out of order. And it is quickly back at work, also with a thousand partitions.
//!
//! The moments are chosen at random; `VERBATIM_SEED` chooses the same again.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use verbatim_tests::kills::{killed_while, no_errors};
use verbatim_tests::oracle::{BatchBuilder, Client, Comparison, Isolation, NewTopic, Slice, Wanted};
use verbatim_tests::replication::{Offsets, Replication};
use verbatim_tests::scene::Scene;
use verbatim_tests::verbatim::{PATIENCE, Verbatim, executable};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::workload::{Kind, Stream, now_ms};
use verbatim_tests::{Failure, TestResult, kafka};
use xtask::kafka::Options;

/// Killed (SIGKILL) and ended (SIGINT) two hundred times, from its very first moment on, and started again at once each time.
#[test]
fn two_hundred_kills() -> TestResult {
    let streams = vec![
        Stream::new("plain", Kind::Log, 3, 300).codec("lz4").plain(),
        Stream::new("idempotent", Kind::Log, 4, 400).codec("zstd"),
        Stream::new("old", Kind::Log, 2, 200).codec("snappy").old(),
        Stream::new("transactions", Kind::Transactions, 3, 400).codec("gzip"),
    ];
    killed_while("crash", streams, rounds(), Offsets::Translate, &[])
}

/// The same while the cleaner takes records out of what is being copied.
#[test]
fn two_hundred_kills_beside_the_cleaner() -> TestResult {
    let streams = vec![
        Stream::new("compacted", Kind::Compacted, 2, 400),
        Stream::new("compacted-twice", Kind::CompactedTwice, 2, 400).codec("lz4"),
        Stream::new("compacted-old", Kind::Compacted, 2, 200).codec("zstd").old(),
    ];
    killed_while("cleaner", streams, rounds(), Offsets::Translate, &[])
}

/// The same while small batches become larger ones whenever it has fallen behind, which after each kill it has.
#[test]
fn killed_while_it_merges_batches() -> TestResult {
    let streams = vec![
        Stream::new("merged", Kind::Log, 2, 1500),
        Stream::new("merged-lz4", Kind::Log, 2, 800).codec("lz4").plain(),
        Stream::new("merged-old", Kind::Log, 2, 400).old(),
        Stream::new("merged-transactions", Kind::Transactions, 2, 400),
    ];
    let rounds = if kafka::is_long() { 60 } else { 6 };
    killed_while("merged", streams, rounds, Offsets::Auto, &["--batching", "adaptive"])
}

fn rounds() -> u32 {
    if kafka::is_long() { 200 } else { 12 }
}

const TOPICS: i32 = 10;
const PARTITIONS: i32 = 100;

/// From its start to the first new record on the target, and to the last partition: what a crash costs where there is much to look
/// at. Figures are printed; asserted is what any machine can do. `VERBATIM_EXECUTABLE` names a release build to be measured.
#[test]
fn a_restart_is_quick_at_a_thousand_partitions() -> TestResult {
    let rounds = if kafka::is_long() { 10 } else { 3 };
    let heap = |name: &str| Options::new(name).heap_mib(768);
    let Some(scene) = Scene::open(heap("thousand-source"), heap("thousand-target"))? else { return Ok(()) };
    let (mut source, mut target) = (scene.at_source(), scene.at_target());
    for topic in 0..TOPICS {
        scene.create(&NewTopic::new(format!("thousand-{topic}"), PARTITIONS))?;
    }
    let replication = Replication::new(&scene, "thousand", "thousand-.*").offsets(Offsets::Translate);
    for _ in 0..3 {
        fill(&mut source)?;
    }
    let mut verbatim = replication.start()?;
    wait_until("the topics to be copied", PATIENCE, || {
        Ok(target.topics()?.iter().filter(|topic| topic.starts_with("thousand-")).count() == TOPICS as usize)
    })?;
    let mut end = 3;
    served(&mut target, end - 1, verbatim.started()).map_err(|failure| with_log(&failure, &verbatim))?;
    println!("{}: all copied after {} ms", executable()?.display(), verbatim.started().elapsed().as_millis());
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        no_errors(&verbatim.kill())?;
        fill(&mut source)?;
        end += 1;
        verbatim = replication.start()?;
        let started = verbatim.started();
        let (one, thousand) =
            served(&mut target, end - 1, started).map_err(|failure| with_log(&failure, &verbatim))?;
        first.push(one.as_millis());
        all.push(thousand.as_millis());
    }
    verbatim.signal("INT")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    for topic in 0..TOPICS {
        let report = Comparison::new(&scene.source(), &scene.target(), &format!("thousand-{topic}"))
            .same_offsets()
            .run()?;
        assert!(report.is_equal() && report.records() == 100 * end.unsigned_abs(), "{report}");
    }
    first.sort_unstable();
    all.sort_unstable();
    println!("first new record after {first:?} ms, all {} partitions after {all:?} ms", TOPICS * PARTITIONS);
    assert!(first.last().is_some_and(|worst| *worst < 30_000), "{first:?}");
    Ok(())
}

/// One more record of this moment in each partition of the source. (Old records wait for the claim that the killed process leaves
/// behind for three seconds: `zombies` covers them.)
fn fill(source: &mut Client) -> TestResult {
    let batch = BatchBuilder::new().key_value(now_ms(), b"key", b"value").build();
    for topic in 0..TOPICS {
        for partition in 0..PARTITIONS {
            source.produce(&format!("thousand-{topic}"), partition, &batch)?;
        }
    }
    Ok(())
}

/// Waits until every partition of the target holds offset `offset`; from `started` to the first that does, and to the last.
fn served(target: &mut Client, offset: i64, started: Instant) -> TestResult<(Duration, Duration)> {
    let all = (0..TOPICS).flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)));
    let mut missing: Vec<Wanted> = all
        .map(|(topic, partition)| Wanted {
            topic: format!("thousand-{topic}"),
            partition,
            offset,
            max_bytes: 1_000,
            leader_epoch: -1,
        })
        .collect();
    let mut first = None;
    while !missing.is_empty() {
        let (code, _, slices) = target.try_fetch(&missing, 10 << 20, Isolation::Uncommitted, (0, -1))?;
        assert_eq!(code, 0, "Fetch");
        let holds = |slice: &&Slice| slice.code == 0 && slice.high_watermark > offset;
        let held: HashSet<_> =
            slices.iter().filter(holds).map(|slice| (slice.topic.clone(), slice.partition)).collect();
        missing.retain(|wanted| !held.contains(&(wanted.topic.clone(), wanted.partition)));
        if first.is_none() && missing.len() < (TOPICS * PARTITIONS) as usize {
            first = Some(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{} partitions have not gone on", missing.len()).into());
        }
    }
    let all = started.elapsed();
    Ok((first.unwrap_or(all), all))
}

fn with_log(failure: &Failure, verbatim: &Verbatim) -> Failure {
    format!("{failure:?}\n{}", verbatim.log()).into()
}
