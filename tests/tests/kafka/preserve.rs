//! Offsets kept: with `--offsets preserve` every record has on the target the offset it has on the source, whatever lies between the
//! records of the source: aborted transactions, markers, what the cleaner or DeleteRecords took. What fills the gaps is seen by
//! nobody.
//!
//! One pair of clusters for all tests of this file but the one that kills; each has topics and a flow of its own. The clusters are
//! never dropped: their wardens end them with this process. The target's cleaner stays away: there nothing may hide.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use verbatim_tests::cleaned::{CODECS, compact};
use verbatim_tests::gaps::Gap;
use verbatim_tests::java::{Mix, MixMode};
use verbatim_tests::kills::killed_while;
use verbatim_tests::likeness::{Likeness, compare_seen};
use verbatim_tests::oracle::{BatchBuilder, Client, Comparison, Isolation, NewTopic};
use verbatim_tests::replication::{Offsets, Replication, can_preserve_offsets};
use verbatim_tests::scenario::Dice;
use verbatim_tests::scene::Scene;
use verbatim_tests::verbatim::{PATIENCE, Verbatim, executable};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::workload::{Kind, Stream, is_clean, now_ms, seed};
use verbatim_tests::{TestResult, kafka};

/// How long the largest gap may take to be filled, on a machine that has more to do.
const GAP_PATIENCE: Duration = Duration::from_secs(1_800);

/// None where the executable cannot keep offsets, or there is no Kafka.
fn scene() -> TestResult<Option<&'static Scene>> {
    if can_preserve_offsets()? { Scene::shared() } else { Ok(None) }
}

/// Committed, aborted, and one still open at the end: the copy ends where the open one begins, and follows once it is committed.
#[test]
fn transactions_keep_their_offsets() -> TestResult {
    let Some(scene) = scene()? else { return Ok(()) };
    let topic = "preserved-transactions";
    scene.create(&NewTopic::new(topic, 3))?;
    std::thread::scope(|scope| {
        let mode = MixMode::Transactional { records: 30, abort_every: 3 };
        let produce = |seed, mode| {
            let mix =
                Mix { partitions: 3, records: Some(3_000), seed, mode, numbered: true, ..Mix::default() };
            scene.programs.produce(&scene.source(), topic, &mix)
        };
        let both =
            [scope.spawn(move || produce(1, mode)), scope.spawn(move || produce(2, MixMode::Idempotent))];
        both.into_iter().try_for_each(|one| match one.join() {
            Ok(produced) => produced.map(drop),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let mut source = scene.at_source();
    let producer = source.init_transactions("open")?;
    source.add_to_transaction("open", producer, topic, 1)?;
    let open = BatchBuilder::new().key_value(now_ms(), b"open", b"value").attributes(0x10);
    let written =
        source.try_produce(topic, 1, Some("open"), &open.producer(producer.0, producer.1, 0).build())?;
    assert_eq!(written.code, 0, "{written:?}");
    // Behind it, in no transaction: not to be seen by a reader of committed records, and so not to be copied yet.
    source.produce(topic, 1, &BatchBuilder::new().key_value(now_ms(), b"behind", b"value").build())?;

    let verbatim = start(scene, topic)?;
    wait_for_copy(scene, topic, &verbatim, PATIENCE)?;
    assert_eq!(
        scene.at_target().end(topic, 1)?,
        written.base_offset,
        "the copy ends where the open transaction begins"
    );
    let before = assert_preserved(scene, topic)?;
    source.end_transaction("open", producer, true)?;
    wait_until("the open transaction to be decided", PATIENCE, || {
        Ok(source.offsets(topic, 1)?.last_stable > written.base_offset + 1)
    })?;
    wait_for_copy(scene, topic, &verbatim, PATIENCE)?;
    end(verbatim)?;
    assert_eq!(assert_preserved(scene, topic)?, before + 2);
    Ok(())
}

/// Holes inside batches, between batches, and tombstones.
#[test]
fn a_compacted_topic_keeps_its_offsets() -> TestResult {
    let Some(scene) = scene()? else { return Ok(()) };
    let topic = "preserved-compacted";
    compact(scene, topic, 2, MixMode::Idempotent)?;
    let verbatim = start(scene, topic)?;
    wait_for_copy(scene, topic, &verbatim, PATIENCE)?;
    end(verbatim)?;
    let records = assert_preserved(scene, topic)?;
    assert!(is_clean(scene.source_logs(), topic, 2)?, "the source was compacted again meanwhile");
    println!("{topic}: {records} records at their offsets");
    Ok(())
}

/// A log that begins at five million, as one does whose retention has long been at work.
#[test]
fn a_log_that_begins_late() -> TestResult {
    let Some(scene) = scene()? else { return Ok(()) };
    begins_late(scene, "late", 5_000_000)
}

/// The same where the topic is compacted: there every record needs a key, and nobody may delete any.
#[test]
fn a_compacted_log_that_begins_late() -> TestResult {
    let Some(scene) = scene()? else { return Ok(()) };
    begins_late(scene, "late-compacted", 5_000_000)
}

/// A hundred million, to see what it costs.
#[test]
fn a_log_that_begins_very_late() -> TestResult {
    if !kafka::long() {
        return Ok(());
    }
    let Some(scene) = scene()? else { return Ok(()) };
    begins_late(scene, "very-late", 100_000_000)
}

fn begins_late(scene: &Scene, name: &str, start_offset: i64) -> TestResult {
    scene.create(&NewTopic::new(name, 1))?;
    let mut source = scene.at_source();
    Gap::new(start_offset).write(&mut source, name, 0)?;
    assert_eq!(source.delete_records(name, 0, start_offset)?, start_offset);
    if name.ends_with("compacted") {
        // Before, DeleteRecords would have been refused.
        source.set_topic_config(name, "cleanup.policy", "compact")?;
    }
    let mix = Mix { records: Some(2_000), always_keyed: true, numbered: true, ..Mix::default() };
    scene.programs.produce(&scene.source(), name, &mix)?;
    let verbatim = start(scene, name)?;
    wait_for_copy(scene, name, &verbatim, GAP_PATIENCE)?;
    let took = verbatim.started().elapsed();
    end(verbatim)?;
    assert_eq!(assert_preserved(scene, name)?, 2_000);
    println!(
        "{name}: {} copied a log that begins at {start_offset} in {} ms",
        executable()?.display(),
        took.as_millis()
    );
    Ok(())
}

/// All five codecs in one topic: offsets, and the bytes beside them.
#[test]
fn every_codec_keeps_its_offsets() -> TestResult {
    let Some(scene) = scene()? else { return Ok(()) };
    let topic = "preserved-codecs";
    scene.create(&NewTopic::new(topic, 2))?;
    for (seed, codec) in (1..).zip(CODECS) {
        let mix = Mix { codec, partitions: 2, seed, numbered: true, ..Mix::default() };
        scene.programs.produce(&scene.source(), topic, &mix)?;
    }
    let verbatim = start(scene, topic)?;
    wait_for_copy(scene, topic, &verbatim, PATIENCE)?;
    end(verbatim)?;
    assert_eq!(assert_preserved(scene, topic)?, 5_000);
    let report = Comparison::new(&scene.source(), &scene.target(), topic).same_offsets().run()?;
    assert!(report.is_equal() && report.records() == 5_000, "{report}");
    Ok(())
}

/// Consumer groups read a part of the source; what they committed is committed on the target as it is, and there they go on at
/// exactly the record they would have read next.
#[test]
fn groups_go_on_at_exactly_their_record() -> TestResult {
    let Some(scene) = scene()? else { return Ok(()) };
    let topic = "preserved-groups";
    let mut dice = Dice::new(seed()?);
    compact(scene, topic, 1, MixMode::Transactional { records: 30, abort_every: 3 })?;
    let verbatim = start(scene, topic)?;
    wait_for_copy(scene, topic, &verbatim, PATIENCE)?;
    end(verbatim)?;
    assert_preserved(scene, topic)?;

    let seen = scene.programs.records(&scene.source(), topic, Isolation::Committed)?;
    let seen = seen.get(&0).ok_or("no records")?;
    let last = seen.last().ok_or("no records")?.offset;
    let groups: BTreeMap<String, i64> = (0..if kafka::is_long() { 100 } else { 10 })
        .map(|number| {
            (format!("preserved-group-{number}"), i64::try_from(dice.roll(last.unsigned_abs())).unwrap_or(0))
        })
        .collect();
    let committed = scene.programs.commit_in_groups(&scene.source(), topic, &groups)?;
    assert_eq!(committed.len(), groups.len());
    for (group, expected) in &committed {
        let found = scene.at_source().committed_offset(group, topic, 0)?;
        assert_eq!(found, Some(*expected), "{group}");
        scene.at_target().commit_offset(group, topic, 0, *expected)?;
    }
    let resumed = scene.programs.resume_groups(&scene.target(), topic, &committed)?;
    for (group, offset) in &committed {
        let expected = seen.iter().find(|record| record.offset >= *offset).ok_or("read to the end")?;
        assert_eq!(resumed.get(group), Some(expected), "{group}, which had committed {offset}");
    }
    let inside =
        committed.values().filter(|offset| !seen.iter().any(|record| record.offset == **offset)).count();
    println!(
        "{topic}: {} groups go on at their record; {inside} of them had committed a hole",
        committed.len()
    );
    Ok(())
}

/// Killed at any moment while transactions are written: still every record is where it was.
#[test]
fn killed_while_it_keeps_offsets() -> TestResult {
    if !can_preserve_offsets()? {
        return Ok(());
    }
    let streams = vec![
        Stream::new("transactions", Kind::Transactions, 3, 400).codec("lz4"),
        Stream::new("old-transactions", Kind::Transactions, 2, 200).old(),
        Stream::new("idempotent", Kind::Log, 2, 300).codec("zstd"),
    ];
    killed_while("preserve", streams, if kafka::is_long() { 50 } else { 10 }, Offsets::Preserve, &[])
}

/// A million offsets between two records: an aborted transaction of a million records. How long until the copy has passed them.
#[test]
fn a_gap_of_a_million() -> TestResult {
    let Some(scene) = scene()? else { return Ok(()) };
    let (topic, wide) = ("preserved-gap", 1_000_000);
    scene.create(&NewTopic::new(topic, 1))?;
    let ten = |seed| Mix { records: Some(10), seed, numbered: true, ..Mix::default() };
    scene.programs.produce(&scene.source(), topic, &ten(1))?;
    let verbatim = start(scene, topic)?;
    wait_for_copy(scene, topic, &verbatim, PATIENCE)?;

    let mut source = scene.at_source();
    let producer = source.init_transactions("gap")?;
    source.add_to_transaction("gap", producer, topic, 0)?;
    Gap::new(wide).aborted_by("gap", producer).write(&mut source, topic, 0)?;
    source.end_transaction("gap", producer, false)?;
    let begun = Instant::now();
    scene.programs.produce(&scene.source(), topic, &ten(2))?;
    assert!(source.end(topic, 0)? >= wide + 20);
    wait_for_copy(scene, topic, &verbatim, GAP_PATIENCE)?;
    println!(
        "{}: {wide} inner offsets passed after {} ms",
        executable()?.display(),
        begun.elapsed().as_millis()
    );
    end(verbatim)?;
    assert_eq!(assert_preserved(scene, topic)?, 20);
    Ok(())
}

fn start(scene: &Scene, topic: &str) -> TestResult<Verbatim> {
    Replication::new(scene, topic, topic).offsets(Offsets::Preserve).start()
}

fn end(verbatim: Verbatim) -> TestResult {
    verbatim.signal("INT")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    Ok(())
}

/// Waits until the target's log ends where the source's readers of committed records end.
fn wait_for_copy(scene: &Scene, topic: &str, verbatim: &Verbatim, patience: Duration) -> TestResult {
    let (mut source, mut target) = (scene.at_source(), scene.at_target());
    let goals: BTreeMap<i32, i64> = source
        .partitions(topic)?
        .into_iter()
        .map(|partition| Ok((partition, source.offsets(topic, partition)?.last_stable)))
        .collect::<TestResult<_>>()?;
    wait_until("the copied topic", PATIENCE, || Ok(target.topics()?.iter().any(|found| found == topic)))?;
    let ends = |target: &mut Client| -> TestResult<BTreeMap<i32, i64>> {
        goals.keys().map(|partition| Ok((*partition, target.end(topic, *partition)?))).collect()
    };
    wait_until(
        "the target's log to end where the source's does",
        patience,
        || Ok(ends(&mut target)? == goals),
    )
    .or_else(|failure| {
        let log = verbatim.log();
        Err(format!("{failure:?}\nsource {goals:?}\ntarget {:?}\n{log}", ends(&mut target)?).into())
    })
}

/// Both kinds of reader see on the target exactly the committed records of the source, at their offsets, and both logs have the same
/// bounds; returns how many records there are.
fn assert_preserved(scene: &Scene, topic: &str) -> TestResult<u64> {
    let original = scene.programs.records(&scene.source(), topic, Isolation::Committed)?;
    let mut records = 0;
    for isolation in [Isolation::Committed, Isolation::Uncommitted] {
        let copy = scene.programs.records(&scene.target(), topic, isolation)?;
        let found = compare_seen(&original, &copy, Likeness::OFFSETS);
        assert!(found.is_equal(), "{topic}, a consumer of {isolation:?} records: {found}");
        records = found.records;
    }
    for partition in original.keys() {
        let (source, target) =
            (scene.at_source().offsets(topic, *partition)?, scene.at_target().offsets(topic, *partition)?);
        assert_eq!(target.log_start, source.log_start, "{topic}-{partition}: log start");
        assert_eq!(
            (target.end, target.last_stable),
            (source.last_stable, source.last_stable),
            "{topic}-{partition}"
        );
    }
    Ok(records)
}
