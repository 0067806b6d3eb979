//! Promise: MirrorMaker 2 dies in the middle, `verbatim run --takeover` goes on: nothing is lost, nothing is there twice that
//! MirrorMaker 2 did not send twice itself.

use std::collections::BTreeMap;
use std::fs;

use verbatim_tests::TestResult;
use verbatim_tests::java::{Mix, Produced, Programs};
use verbatim_tests::kafka::{self, TemporaryDirectory};
use verbatim_tests::oracle::{Client, Isolation, NewTopic};
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use xtask::kafka::Options;

const TOPICS: [&str; 2] = ["orders", "payments"];

/// Waits until the target holds in each partition at least what `counts` says.
fn wait_for(target: &mut Client, topic: &str, counts: &BTreeMap<i32, u64>) -> TestResult {
    for (partition, count) in counts {
        wait_until(&format!("{topic}-{partition} has {count} records"), PATIENCE, || {
            let end = target.end(topic, *partition).unwrap_or(0);
            Ok(u64::try_from(end).unwrap_or(0) >= *count)
        })?;
    }
    Ok(())
}

#[test]
fn killed_in_the_middle() -> TestResult {
    let Some(distribution) = kafka::distribution_with_mirror()? else { return Ok(()) };
    let programs = Programs::compile_with_mirror(&distribution)?;
    let clusters = kafka::start_two(&distribution, Options::new("takeover-a"), Options::new("takeover-b"))?;
    let (source, target) = (clusters.source.bootstrap(), clusters.target.bootstrap());
    let (mut at_source, mut at_target) = (Client::new(&source), Client::new(&target));
    for topic in TOPICS {
        at_source.create_topic(&NewTopic::new(topic, 3))?;
    }
    let folder = TemporaryDirectory::new("takeover")?;
    let config = folder.path().join("mm2.properties");
    // Positions are noted every few seconds: some of what was sent is noted, some is not.
    let text = format!(
        "clusters = A, B\nA.bootstrap.servers = {source}\nB.bootstrap.servers = {target}\nA->B.enabled = true\n\
         A->B.topics = orders, payments\nreplication.factor = 1\nconfig.storage.replication.factor = 1\n\
         offset.storage.replication.factor = 1\nstatus.storage.replication.factor = 1\n\
         offset-syncs.topic.replication.factor = 1\ncheckpoints.topic.replication.factor = 1\n\
         heartbeats.topic.replication.factor = 1\nB.offset.flush.interval.ms = 5000\ntasks.max = 2\n"
    );
    fs::write(&config, text)?;
    let arguments = ["run", &config.display().to_string(), "--takeover"];

    let complaint = Verbatim::run(&arguments)?.expect(1)?;
    assert!(complaint.stderr.contains("there is nothing to take over"), "{}", complaint.stderr);

    let mix = Mix { partitions: 3, rate: 400, records: None, numbered: true, ..Mix::default() };
    let loads = TOPICS.map(|topic| programs.start_producing(&source, topic, &mix));
    let maker = programs.start_mirror_maker(&config)?;
    let some = (0..3).map(|partition| (partition, 1500)).collect();
    for topic in TOPICS {
        wait_for(&mut at_target, &format!("A.{topic}"), &some)?;
    }
    // It has noted something, and gone on.
    wait_until("a note", PATIENCE, || {
        let mut notes = 0;
        for partition in 0..25 {
            notes += at_target.end("mm2-offsets.A.internal", partition)?;
        }
        Ok(notes >= 6)
    })?;
    let more = at_target.end("A.orders", 0)? + 200;
    wait_until("more", PATIENCE, || Ok(at_target.end("A.orders", 0)? > more))?;
    maker.kill();
    let held = |client: &mut Client| -> TestResult<i64> {
        let mut held = 0;
        for topic in TOPICS {
            for partition in 0..3 {
                held += client.end(&format!("A.{topic}"), partition)?;
            }
        }
        Ok(held)
    };
    let before = held(&mut at_target)?;
    let mut verbatim = Verbatim::start(&arguments)?;
    wait_until("the copy to go on", PATIENCE, || Ok(held(&mut at_target)? > before + 2000))?;
    for (topic, load) in TOPICS.into_iter().zip(loads) {
        let produced = Produced::parse(&load?.finish()?)?;
        wait_for(&mut at_target, &format!("A.{topic}"), &produced.acked)?;
    }
    verbatim.logs("copying")?;
    verbatim.signal("INT")?;
    let ended = verbatim.ended(PATIENCE)?.expect(0)?;
    println!("{}", ended.stdout);

    let mut unnoted = 0;
    for line in ended.stdout.lines().filter(|line| line.contains("MirrorMaker 2 noted")) {
        let beyond = line.split(" offsets beyond the note").next().and_then(|rest| rest.rsplit(' ').next());
        unnoted += beyond.and_then(|count| count.parse::<i64>().ok()).ok_or("the end was not found")?;
    }
    println!("MirrorMaker 2 had sent {unnoted} records without noting it");
    for topic in TOPICS {
        let everything = Isolation::Uncommitted;
        let original = programs.records(&source, topic, everything)?;
        let copy = programs.records(&target, &format!("A.{topic}"), everything)?;
        for (partition, original) in original {
            let hashes = |records: &[verbatim_tests::java::SeenRecord]| -> Vec<u128> {
                records.iter().map(|record| record.hash).collect()
            };
            let copied = copy.get(&partition).map(|records| hashes(records)).unwrap_or_default();
            assert_eq!(copied.len(), original.len(), "{topic}-{partition}: records");
            assert_eq!(copied, hashes(&original), "{topic}-{partition}: order and content");
        }
    }
    Ok(())
}
