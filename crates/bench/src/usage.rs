//! What a process costs: CPU and memory, as the kernel counts them (Linux).

use std::fs;
use xtask::stat;

/// Clock ticks per second in /proc (`USER_HZ`, 100 on every Linux).
const TICKS: f64 = 100.0;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// User and system time of all its threads, and of children that have ended and were waited for.
    pub(super) cpu_seconds: f64,
    /// The most memory that was resident at once; 0 once the process has ended.
    pub(super) peak_rss_mib: f64,
}

/// Of process `pid` alone; `None` once it is gone. One that has ended and was not waited for yet still tells its CPU time.
pub(super) fn of_process(pid: u32) -> Option<Usage> {
    let fields = stat::fields(pid).ok()?;
    let ticks = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok());
    let cpu_seconds = ticks.sum::<f64>() / TICKS;
    let peak: Option<f64> = stat::named(pid, "VmHWM:");
    Some(Usage { cpu_seconds, peak_rss_mib: peak.unwrap_or(0.0) / 1024.0 })
}

/// Of process `pid` and all that descend from it and live: CPU times are summed, peaks of memory too.
pub(super) fn of_family(pid: u32) -> Option<Usage> {
    let mut total = of_process(pid)?;
    for child in descendants(pid) {
        if let Some(usage) = of_process(child) {
            total.cpu_seconds += usage.cpu_seconds;
            total.peak_rss_mib += usage.peak_rss_mib;
        }
    }
    Some(total)
}

fn descendants(ancestor: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|pid| Some((pid, stat::fields(pid).ok()?.split_whitespace().nth(1)?.parse().ok()?)))
        .collect();
    let mut family = vec![ancestor];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    family.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let usage = of_family(std::process::id()).unwrap();
        assert!(usage.peak_rss_mib > 0.5, "{usage:?}");
        assert!(!stat::has_ended(std::process::id()));
    }
}
