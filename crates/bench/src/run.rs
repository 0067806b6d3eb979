//! One measured run of one contender.

use super::contenders::Contender;
use super::copied;
use super::job::Job;
use super::parts::relayed;
use super::process::Running;
use super::stage::Stage;
use super::usage::{Usage, of_family, of_process};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::time::{Duration, Instant};
use xtask::command::Failure;

/// A run without progress for so long has failed.
const STALL: Duration = Duration::from_secs(90);
/// How often the target is asked for its ends: few partitions are asked often, as it costs nothing then.
const LOOK: Duration = Duration::from_millis(5);
const LOOK_AT_MANY: Duration = Duration::from_millis(20);
const MANY_PARTITIONS: u32 = 64;
/// How long a program that has copied all may take to end.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    /// From the start of the process to the first record on the target, in seconds.
    pub(super) first_seconds: f64,
    /// Payload per second from the first record on, in MB/s.
    pub(super) megabytes_per_second: f64,
    /// The same from the start of the process.
    pub(super) megabytes_per_second_overall: f64,
    /// CPU seconds per GiB of payload, up to the last record.
    pub(super) cpu_seconds_per_gib: f64,
    /// Bytes copied per byte of batches; `None` where a program does not say.
    pub(super) copied_per_byte: Option<f64>,
    /// Peak of the resident memory; `None` where it says nothing.
    pub(super) peak_rss_mib: Option<f64>,
}

/// Times and CPU of a run, not yet related to its size.
#[derive(Debug, Clone, Copy)]
struct Taken {
    first: Duration,
    /// From when the first records were seen to the last.
    copying: Duration,
    /// The part of all records that `copying` covers.
    share: f64,
    /// From the start of the process to the last record.
    whole: Duration,
    usage: Usage,
    copied_per_byte: Option<f64>,
}

/// Has what earlier runs left in memory written to disk, so that nobody pays for another's records.
pub(super) fn write_back() {
    // Without such a command the figures are less fair, no more.
    let _ = Command::new("sync").status();
}

/// Runs `contender` once; the target topic is created before, if it is to be there, and deleted afterwards.
pub(super) fn measured(
    stage: &Stage,
    contender: &Contender,
    job: &Job,
    run: &str,
) -> Result<Figures, Failure> {
    write_back();
    let taken = match contender {
        Contender::Relay => {
            let relayed = relayed(&stage.nursery, job.log_bytes)?;
            Taken {
                first: relayed.first,
                copying: relayed.moving,
                share: 1.0,
                whole: relayed.first + relayed.moving,
                usage: relayed.usage,
                copied_per_byte: relayed.copied_per_byte,
            }
        }
        Contender::FetchOnly => read(stage, contender, job, run)?,
        _ => {
            if job.target_exists {
                stage.target.create(&job.topic, job.partitions)?;
            }
            let taken = copied(stage, contender, job, run);
            stage.target.clear(&[])?;
            stage.source.clear(&[&job.topic])?;
            taken?
        }
    };
    let mut figures = figures(&taken, job);
    if matches!(contender, Contender::ProduceOnly) {
        // It is the data it holds.
        figures.peak_rss_mib = None;
    }
    Ok(figures)
}

fn figures(taken: &Taken, job: &Job) -> Figures {
    let Taken { first, copying, share, whole, usage, copied_per_byte } = taken;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let bytes = job.payload_bytes as f64;
    Figures {
        first_seconds: first.as_secs_f64(),
        megabytes_per_second: bytes * share / 1e6 / copying.as_secs_f64().max(1e-6),
        megabytes_per_second_overall: bytes / 1e6 / whole.as_secs_f64().max(1e-6),
        cpu_seconds_per_gib: usage.cpu_seconds / (bytes / f64::from(1 << 30)),
        copied_per_byte: *copied_per_byte,
        peak_rss_mib: Some(usage.peak_rss_mib),
    }
}

/// A contender that fills the target's topic: all that is measured is read from there and from the kernel.
fn copied(stage: &Stage, contender: &Contender, job: &Job, run: &str) -> Result<Taken, Failure> {
    let is_prepared = matches!(contender, Contender::ProduceOnly);
    let mut running = stage.nursery.start(contender.command(job, run, &stage.nursery)?, is_prepared)?;
    let usage = |pid| if matches!(contender, Contender::Other(_)) { of_family(pid) } else { of_process(pid) };
    let mut before = 0.0;
    if is_prepared {
        prepared(&mut running)?;
        before = usage(running.pid()).unwrap_or_default().cpu_seconds;
        running.started = Instant::now();
    }
    let look = if job.partitions > MANY_PARTITIONS { LOOK_AT_MANY } else { LOOK };
    let mut first: Option<(Instant, u64)> = None;
    let mut last_seen = (Instant::now(), 0);
    let mut peak_rss_mib = 0.0f64;
    let (mut taken_usage, last) = loop {
        let had_ended = running.has_ended();
        let records = stage.runtime.block_on(stage.target.records(&job.topic, job.partitions))?;
        let now = Instant::now();
        let usage = usage(running.pid()).unwrap_or_default();
        peak_rss_mib = peak_rss_mib.max(usage.peak_rss_mib);
        if records > 0 {
            first.get_or_insert((now, records));
        }
        if records >= job.records {
            break (usage, now);
        }
        if records > last_seen.1 {
            last_seen = (now, records);
        }
        if had_ended {
            return Err(
                running.failure(&format!("has ended with {records} of {} records copied", job.records))
            );
        }
        if now - last_seen.0 > STALL {
            return Err(running.failure(&format!("stands still at {records} of {} records", job.records)));
        }
        stage.runtime.block_on(async { tokio::time::sleep(look).await });
    };
    if contender.ends_by_itself() {
        running.ended(END_PATIENCE)?;
    } else {
        running.end()?;
    }
    let copied_per_byte = copied::said(&running.stdout());
    taken_usage.cpu_seconds -= before;
    taken_usage.peak_rss_mib = peak_rss_mib;
    let (first_at, first_records) = first.unwrap_or((last, 0));
    let first = first_at - running.started;
    // All came between two looks: then the time before the first look counts too.
    if first_records >= job.records {
        return Ok(Taken {
            first,
            copying: first,
            share: 1.0,
            whole: first,
            usage: taken_usage,
            copied_per_byte,
        });
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let share = (job.records - first_records) as f64 / job.records as f64;
    let whole = last - running.started;
    Ok(Taken { first, copying: last - first_at, share, whole, usage: taken_usage, copied_per_byte })
}

/// Waits until it says that it is ready, and tells it to begin.
fn prepared(running: &mut Running) -> Result<(), Failure> {
    let mut said = String::new();
    if let Some(stdout) = running.child.stdout.as_mut() {
        // It says no more until it is told to begin: nothing is lost with the reader.
        let read = BufReader::new(stdout).read_line(&mut said);
        read.map_err(Failure::while_doing("wait until it is prepared"))?;
    }
    if said.trim() != "ready" {
        return Err(running.failure("has ended before it was ready"));
    }
    let stdin = running.child.stdin.as_mut().map(|stdin| stdin.write_all(b"go\n"));
    stdin.transpose().map_err(Failure::while_doing("start it"))?;
    Ok(())
}

/// A contender that only reads says itself how long it took.
fn read(stage: &Stage, contender: &Contender, job: &Job, run: &str) -> Result<Taken, Failure> {
    let mut running = stage.nursery.start(contender.command(job, run, &stage.nursery)?, false)?;
    let mut taken = Usage::default();
    let mut last_cpu = (Instant::now(), 0.0);
    while !running.has_ended() {
        let usage = of_process(running.pid()).unwrap_or_default();
        taken.peak_rss_mib = taken.peak_rss_mib.max(usage.peak_rss_mib);
        if usage.cpu_seconds > last_cpu.1 {
            last_cpu = (Instant::now(), usage.cpu_seconds);
        }
        if last_cpu.0.elapsed() > STALL {
            return Err(running.failure("stands still"));
        }
        std::thread::sleep(LOOK);
    }
    taken.cpu_seconds = of_process(running.pid()).unwrap_or_default().cpu_seconds;
    running.ended(END_PATIENCE)?;
    let said = running.stdout();
    let mut numbers = said.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
    let (Some(first), Some(copying)) = (numbers.next(), numbers.next()) else {
        return Err(running.failure("does not say what it took"));
    };
    let of = Duration::from_secs_f64;
    let (first, copying) = (of(first), of(copying));
    Ok(Taken {
        first,
        copying,
        share: 1.0,
        whole: first + copying,
        usage: taken,
        copied_per_byte: copied::said(&said),
    })
}
