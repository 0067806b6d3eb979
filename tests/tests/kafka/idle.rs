//! Promise: where nothing is produced, nothing is done; the next record crosses at once.
//!
//! The figures are printed; what is asserted leaves room for any machine.

use std::time::{Duration, Instant};
use verbatim_mirror::{Mirror, MirrorConfig};
use verbatim_pipeline::{Cluster, ClusterConfig};
use verbatim_tests::oracle::{BatchBuilder, Client, Isolation, NewTopic};
use verbatim_tests::verbatim::cpu_time;
use verbatim_tests::{TestResult, kafka};

const PARTITIONS: i32 = 1000;

/// CPU time of this thread in milliseconds: of the flow, as nothing else runs on it.
fn cpu_ms() -> TestResult<u64> {
    let thread = std::fs::read_link("/proc/thread-self")?;
    Ok(u64::try_from(cpu_time(&thread.display().to_string())?.as_millis())?)
}

/// It has clusters of its own: a thousand partitions would weigh on whoever else uses them.
#[test]
fn a_thousand_idle_partitions_cost_nothing_and_the_next_record_crosses_at_once() -> TestResult {
    let Some(clusters) = kafka::two_clusters()? else { return Ok(()) };
    let (from, to) = (clusters.source.bootstrap(), clusters.target.bootstrap());
    Client::new(&from).create_topic(&NewTopic::new("idle", PARTITIONS))?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connect =
            async |address: &str| TestResult::Ok(Cluster::connect(ClusterConfig::new(address)?).await?);
        let started = Instant::now();
        let mirror =
            Mirror::start(connect(&from).await?, connect(&to).await?, MirrorConfig::new("idle")?).await?;
        mirror.flow().caught_up().await?;
        println!("{PARTITIONS} partitions created and looked at after {} ms", started.elapsed().as_millis());

        let idle = if std::env::var_os("VERBATIM_LONG").is_some() {
            Duration::from_secs(60)
        } else {
            Duration::from_secs(10)
        };
        let before = cpu_ms()?;
        tokio::time::sleep(idle).await;
        let permille = (cpu_ms()? - before) * 1000 / u64::try_from(idle.as_millis())?;
        println!("idle for {} s: {permille} ‰ of a core", idle.as_secs());
        assert!(permille < 50, "{permille} ‰ of a core while nothing is produced");
        TestResult::Ok(())?;

        let mut crossings = Vec::new();
        for round in 0..10 {
            let partition = round * 99;
            let (mut source, mut target) = (Client::new(&from), Client::new(&to));
            let crossing = tokio::task::spawn_blocking(move || cross(&mut source, &mut target, partition));
            crossings.push(crossing.await??.as_millis());
        }
        crossings.sort_unstable();
        println!("records crossed after {crossings:?} ms, producing and fetching included");
        assert!(crossings.last().is_some_and(|worst| *worst < 5000), "{crossings:?}");
        mirror.into_flow().shutdown().await?;
        TestResult::Ok(())
    })
}

/// Produces one record at the source and reads it at the target, with clients of our own.
fn cross(source: &mut Client, target: &mut Client, partition: i32) -> TestResult<Duration> {
    // Connections and leaders first: they are not what is measured.
    source.offsets("idle", partition)?;
    target.offsets("idle", partition)?;
    let batch = BatchBuilder::new().key_value(1_700_000_000_000, b"key", b"value").build();
    let started = Instant::now();
    source.produce("idle", partition, &batch)?;
    while target.fetch("idle", partition, 0, Isolation::Uncommitted, 1 << 20)?.batches.is_empty() {
        if started.elapsed() > Duration::from_secs(60) {
            return Err("the record did not arrive".into());
        }
    }
    Ok(started.elapsed())
}
