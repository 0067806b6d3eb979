//! Promise: a consumer group that has read on one side goes on at exactly its next record on the other, there and back, and no group
//! is taken back.

use std::collections::BTreeMap;
use std::fs;

use verbatim_tests::TestResult;
use verbatim_tests::cleaned::compact;
use verbatim_tests::java::{GroupProtocol, MixMode, SeenRecord};
use verbatim_tests::kafka::{self, TemporaryDirectory};
use verbatim_tests::oracle::{Isolation, NewTopic};
use verbatim_tests::scenario::Dice;
use verbatim_tests::scene::Scene;
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::{wait_for, wait_until};
use verbatim_tests::workload::seed;

/// A flow from `a` to `b` with a prefix, whose groups are carried over every second.
fn start(scene: &Scene, folder: &TemporaryDirectory, topics: &str, more: &str) -> TestResult<Verbatim> {
    let path = folder.path().join("flows.toml");
    let text = format!(
        "[clusters.a]\nbootstrap = \"{}\"\n[clusters.b]\nbootstrap = \"{}\"\n[[flows]]\nfrom = \"a\"\nto = \"b\"\n\
         topics = [\"{topics}\"]\nsync_groups = \"1s\"\nname = \"{topics}\"\n{more}",
        scene.source(),
        scene.target()
    );
    fs::write(&path, text)?;
    Ok(Verbatim::start(&["run", &path.display().to_string()])?)
}

/// What tells a record from others, wherever it is.
fn identity(record: &SeenRecord) -> u128 {
    record.hash
}

/// Groups stop at random records of a topic with transactions and compaction, and go on on the target.
#[test]
fn groups_go_on_at_exactly_their_record() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "groups-mixed";
    let mut dice = Dice::new(seed()?);
    compact(scene, topic, 1, MixMode::Transactional { records: 30, abort_every: 3 })?;
    let seen = scene.programs.records(&scene.source(), topic, Isolation::Committed)?;
    let seen = seen.get(&0).ok_or("no records")?;
    let last = seen.last().ok_or("no records")?.offset;
    let count = if kafka::is_long() { 50 } else { 6 };
    let mut groups = |name: &str| -> BTreeMap<String, i64> {
        let offset = |dice: &mut Dice| i64::try_from(dice.roll(last.unsigned_abs() - 1)).unwrap_or(0);
        (0..count).map(|number| (format!("{name}-{number}"), offset(&mut dice))).collect()
    };
    let protocols =
        [(GroupProtocol::Classic, groups("classic")), (GroupProtocol::Consumer, groups("consumer"))];

    let folder = TemporaryDirectory::new("groups")?;
    let verbatim = start(scene, &folder, topic, "")?;
    all_copied(scene, topic)?;
    let mut holes = 0;
    for (protocol, groups) in &protocols {
        let committed = scene.programs.commit_by(*protocol, &scene.source(), topic, groups)?;
        assert_eq!(committed.len(), groups.len());
        let mut target = scene.at_target();
        for group in committed.keys() {
            wait_until(&format!("group {group} on the target"), PATIENCE, || {
                Ok(target.committed_offset(group, "a.groups-mixed", 0).is_ok_and(|found| found.is_some()))
            })?;
        }
        let resumed = scene.programs.resume_by(*protocol, &scene.target(), "a.groups-mixed", &committed)?;
        for (group, offset) in &committed {
            let expected = seen.iter().find(|record| record.offset >= *offset).ok_or("read to the end")?;
            let found = resumed.get(group).map(identity);
            assert_eq!(found, Some(identity(expected)), "{group}, which had committed {offset}");
            holes += usize::from(expected.offset != *offset);
        }
    }
    println!("{} groups went on at exactly their record; {holes} of them had committed a hole", 2 * count);
    verbatim.signal("INT")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    Ok(())
}

/// A group that has read more on the target is left there, one that was taken back on the source too; the way back carries what was
/// read on the target.
#[test]
fn no_group_is_taken_back_and_the_way_back_is_carried() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "groups-plain";
    scene.create(&NewTopic::new(topic, 1))?;
    let mix = verbatim_tests::java::Mix {
        mode: MixMode::Transactional { records: 7, abort_every: 4 },
        ..verbatim_tests::java::Mix::default()
    };
    scene.programs.produce(&scene.source(), topic, &mix)?;
    let (mut source, mut target) = (scene.at_source(), scene.at_target());
    let folder = TemporaryDirectory::new("back")?;
    let verbatim = start(scene, &folder, topic, "sync_groups_back = true\n")?;
    all_copied(scene, topic)?;
    let mut carried = |group: &str, offset: i64| -> TestResult<i64> {
        source.commit_offset(group, topic, 0, offset)?;
        wait_for(&format!("group {group} on the target"), PATIENCE, || {
            Ok(target.committed_offset(group, "a.groups-plain", 0).ok().flatten())
        })
    };
    let middle = carried("groups-reader", 500)?;
    let later = carried("groups-compass", 900)?;
    let end = carried("groups-end", source_end(scene, topic)?)?;
    assert!(middle < later && later < end, "{middle} {later} {end}");
    assert_eq!(end, scene.at_target().end("a.groups-plain", 0)?);

    // Taken back on the source: the target stays; the source is brought to where the target is.
    let (mut source, mut target) = (scene.at_source(), scene.at_target());
    source.commit_offset("groups-compass", topic, 0, 10)?;
    wait_until("the source to follow", PATIENCE, || {
        Ok(source.committed_offset("groups-compass", topic, 0)?.is_some_and(|offset| offset >= 890))
    })?;
    assert_eq!(target.committed_offset("groups-compass", "a.groups-plain", 0)?, Some(later));

    // Read on the target: what the source gets is the same record.
    let resumed = scene.programs.resume_groups(
        &scene.target(),
        "a.groups-plain",
        &[("groups-reader".to_owned(), 0)].into(),
    )?;
    let next = resumed.get("groups-reader").ok_or("nothing read")?;
    target.commit_offset("groups-reader", "a.groups-plain", 0, later)?;
    let back = wait_for("the source to follow", PATIENCE, || {
        Ok(source.committed_offset("groups-reader", topic, 0)?.filter(|offset| *offset != 500))
    })?;
    let seen = scene.programs.records(&scene.source(), topic, Isolation::Committed)?;
    let copied = scene.programs.records(&scene.target(), "a.groups-plain", Isolation::Committed)?;
    let first =
        |records: &[SeenRecord], from: i64| records.iter().find(|record| record.offset >= from).map(identity);
    let (seen, copied) = (seen.get(&0).ok_or("no records")?, copied.get(&0).ok_or("no records")?);
    assert_eq!(first(seen, 500), Some(identity(next)));
    assert_eq!(first(seen, back), first(copied, later));
    verbatim.signal("INT")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    Ok(())
}

/// Waits until all is copied: a group that has read more goes on at the copy's end, until it is.
fn all_copied(scene: &Scene, topic: &str) -> TestResult {
    let (end, mut source) = (source_end(scene, topic)?, scene.at_source());
    wait_until("all to be copied", PATIENCE, || {
        let position = source.committed_offset(&format!("verbatim.{topic}"), topic, 0)?;
        Ok(position.is_some_and(|position| position >= end))
    })
}

fn source_end(scene: &Scene, topic: &str) -> TestResult<i64> {
    Ok(scene.at_source().end(topic, 0)?)
}
