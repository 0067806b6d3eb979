//! What a program costs: CPU and memory of the whole process, as the kernel counts them (Linux).

use super::super::Failure;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    /// User and system time of all its threads.
    pub(super) cpu_seconds: f64,
    pub(super) peak_rss_kib: f64,
    pub(super) stdout: String,
}

/// How often the peak of the resident memory is read; the kernel keeps the peak itself.
const LOOK: Duration = Duration::from_millis(10);
/// Clock ticks per second in /proc (`USER_HZ`, 100 on every Linux).
const TICKS: f64 = 100.0;

/// Runs `command` to its end.
pub(super) fn measure(command: &mut Command) -> Result<Measured, Failure> {
    let shown = super::super::process::shown(command);
    let before = children_cpu_seconds();
    let started = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(Failure::while_doing(format!("run {shown}")))?;
    let mut peak_rss_kib: f64 = 0.0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.split_whitespace().next()).and_then(|kib| kib.parse().ok());
        peak_rss_kib = peak_rss_kib.max(peak.unwrap_or(0.0));
        match child.try_wait().map_err(Failure::while_doing(format!("wait for {shown}")))? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK),
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    let mut stdout = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut stdout).map_err(Failure::while_doing(format!("read from {shown}")))?;
    }
    if !status.success() {
        return Err(Failure::Failed(format!("{shown} failed")));
    }
    Ok(Measured { seconds, cpu_seconds: children_cpu_seconds() - before, peak_rss_kib, stdout })
}

impl Measured {
    /// As the program itself says.
    pub(super) fn first_batch_ms(&self) -> Option<f64> {
        self.stdout.split("the first batch after ").nth(1)?.split(' ').next()?.parse().ok()
    }
}

/// CPU time of all children that have ended (fields 16 and 17 of /proc/self/stat).
fn children_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses, which may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}
