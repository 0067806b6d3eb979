//! `cargo xtask bench`: a copy between two real clusters on this machine, measured from outside, beside a bare
//! TCP relay that moves as many bytes.

mod relay;
mod usage;

pub(super) use relay::run_relay;

use super::arguments::Arguments;
use super::process::{cargo, run as run_command};
use super::{Failure, workspace};
use crate::kafka::{Cluster, Distribution, Options, Tuning, version};
use std::process::{Command, Stdio};
use usage::{Measured, measure};

const TOPIC: &str = "bench";
const RECORD_BYTES: u64 = 1024;
const TOPIC_TOOL: &str = "org.apache.kafka.tools.TopicCommand";

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let records: u64 = arguments.value("--records")?.unwrap_or(2_000_000);
    let partitions: u32 = arguments.value("--partitions")?.unwrap_or(4);
    let rounds: usize = arguments.value("--rounds")?.unwrap_or(5);
    arguments.nothing()?;
    if rounds == 0 || records == 0 {
        return Err(Failure::Usage("at least one record and one round".to_owned()));
    }
    run_command(cargo().args(["build", "--quiet", "--release", "--package", "verbatim"]))?;

    let distribution = Distribution::resolve(&version())?;
    let start = |name: &str| {
        Cluster::start(&distribution, Options::new(name).heap_mib(1024).tuning(Tuning::Throughput))
    };
    let (source, target) = (start("source")?, start("target")?);
    println!("load: {records} records of 1 KiB of random bytes, batches of 64 KiB, {partitions} partitions");
    produce(&source, records, partitions)?;

    let bytes = records * RECORD_BYTES;
    let mut copies = Vec::new();
    let mut relays = Vec::new();
    for round in 1..=rounds {
        relays.push(relay::measured(bytes)?);
        copies.push(copy(&source, &target, round)?);
    }
    println!("\n| what | MB/s | CPU-s/GiB | peak RSS, MiB | first batch, ms |\n|---|---|---|---|---|");
    print_row("bare TCP relay", &relays, bytes);
    print_row("verbatim run", &copies, bytes);
    println!("\nmedians of {rounds} rounds (smallest to largest), taken in turn; {}", machine());
    Ok(())
}

fn produce(source: &Cluster, records: u64, partitions: u32) -> Result<(), Failure> {
    let bootstrap = source.bootstrap();
    let partitions = partitions.to_string();
    let create =
        ["--bootstrap-server", &bootstrap, "--create", "--topic", TOPIC, "--partitions", &partitions];
    source.tool(TOPIC_TOOL, &create)?;
    let records = records.to_string();
    let brokers = format!("bootstrap.servers={bootstrap}");
    let size = RECORD_BYTES.to_string();
    source.tool(
        "org.apache.kafka.tools.ProducerPerformance",
        &[
            "--topic",
            TOPIC,
            "--num-records",
            &records,
            "--record-size",
            &size,
            "--throughput",
            "-1",
            "--producer-props",
            &brokers,
            "acks=all",
            "batch.size=65536",
            "linger.ms=50",
        ],
    )?;
    Ok(())
}

/// One copy into a topic that was not there before.
fn copy(source: &Cluster, target: &Cluster, round: usize) -> Result<Measured, Failure> {
    let bootstrap = target.bootstrap();
    if round > 1 {
        target.tool(TOPIC_TOOL, &["--bootstrap-server", &bootstrap, "--delete", "--topic", TOPIC])?;
    }
    let name = format!("bench-{round}");
    let mut command = Command::new(crate::kafka::target_directory().join("release/verbatim"));
    command.current_dir(workspace()).stdin(Stdio::null()).args([
        "run",
        "--log",
        "warn",
        "--from",
        &source.bootstrap(),
        "--to",
        &bootstrap,
        "--topics",
        TOPIC,
        "--until-caught-up",
        "--name",
        &name,
    ]);
    let measured = measure(&mut command)?;
    println!("round {round}: {}", measured.stdout.trim());
    Ok(measured)
}

fn print_row(what: &str, runs: &[Measured], bytes: u64) {
    let column = |value: &dyn Fn(&Measured) -> Option<f64>| {
        let mut values: Vec<f64> = runs.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        match (values.first(), values.get(values.len() / 2), values.last()) {
            (Some(least), Some(median), Some(most)) => {
                let digits = if *median < 10.0 { 2 } else { 0 };
                format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
            }
            _ => "–".to_owned(),
        }
    };
    println!(
        "| {what} | {} | {} | {} | {} |",
        column(&|run| Some(megabytes(bytes) / run.seconds)),
        column(&|run| Some(run.cpu_seconds / gibibytes(bytes))),
        column(&|run| Some(run.peak_rss_kib / 1024.0)),
        column(&Measured::first_batch_ms),
    );
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("Apache Kafka {}, both clusters, load and copy on {cores} cores of {model}", version())
}
