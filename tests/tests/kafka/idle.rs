//! Promise: where nothing is produced, nothing is done; the next record crosses at once.
//!
//! The figures are printed; what is asserted leaves room for any machine.

use std::time::{Duration, Instant};

use verbatim_tests::oracle::{BatchBuilder, Client, Isolation, NewTopic};
use verbatim_tests::scene::start;
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::{TestResult, kafka};

const PARTITIONS: i32 = 1000;

/// CPU time of the product in milliseconds.
fn cpu_ms(verbatim: &Verbatim) -> TestResult<u64> {
    Ok(u64::try_from(verbatim.cpu_time()?.as_millis())?)
}

/// It has clusters of its own: a thousand partitions would weigh on whoever else uses them.
#[test]
fn a_thousand_idle_partitions_cost_nothing_and_the_next_record_crosses_at_once() -> TestResult {
    let Some(clusters) = kafka::two_clusters()? else { return Ok(()) };
    let (from, to) = (clusters.source.bootstrap(), clusters.target.bootstrap());
    let (mut source, mut target) = (Client::new(&from), Client::new(&to));
    source.create_topic(&NewTopic::new("idle", PARTITIONS))?;
    source.produce("idle", PARTITIONS - 1, &hello())?;

    let verbatim = start(&from, &to, "idle", "idle", &[])?;
    wait_until("the last partition to be copied", PATIENCE, || {
        let is_there = target.topics()?.iter().any(|topic| topic == "idle");
        Ok(is_there && target.end("idle", PARTITIONS - 1)? == 1)
    })?;
    println!(
        "{PARTITIONS} partitions created and looked at after {} ms",
        verbatim.started().elapsed().as_millis()
    );

    let idle = Duration::from_secs(if kafka::is_long() { 60 } else { 10 });
    let before = cpu_ms(&verbatim)?;
    std::thread::sleep(idle);
    let permille = (cpu_ms(&verbatim)? - before) * 1000 / u64::try_from(idle.as_millis())?;
    println!("idle for {} s: {permille} ‰ of a core", idle.as_secs());
    assert!(permille < 50, "{permille} ‰ of a core while nothing is produced");

    let mut crossings = Vec::new();
    for round in 0..10 {
        crossings.push(cross(&mut source, &mut target, round * 99)?.as_millis());
    }
    crossings.sort_unstable();
    println!("records crossed after {crossings:?} ms, producing and fetching included");
    assert!(crossings.last().is_some_and(|worst| *worst < 5000), "{crossings:?}");
    verbatim.signal("TERM")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    Ok(())
}

fn hello() -> Vec<u8> {
    BatchBuilder::new().key_value(1_700_000_000_000, b"key", b"value").build()
}

/// Produces one record at the source and reads it at the target, with clients of our own.
fn cross(source: &mut Client, target: &mut Client, partition: i32) -> TestResult<Duration> {
    // Connections and leaders first: they are not what is measured.
    source.offsets("idle", partition)?;
    target.offsets("idle", partition)?;
    let started = Instant::now();
    source.produce("idle", partition, &hello())?;
    while target.fetch("idle", partition, 0, Isolation::Uncommitted, 1 << 20)?.batches.is_empty() {
        if started.elapsed() > Duration::from_secs(60) {
            return Err("the record did not arrive".into());
        }
    }
    Ok(started.elapsed())
}
