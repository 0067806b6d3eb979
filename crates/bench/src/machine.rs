//! What the figures were taken on.

use super::contenders::go_version;
use std::fs;
use std::path::Path;
use std::process::Command;
use xtask::command::process::output;
use xtask::kafka::{target_directory, version};

/// In a line: processor, memory, disk, kernel, versions, date.
pub(super) fn described() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = said("uname", "-r").unwrap_or_else(|| "unknown".to_owned());
    let java = said("java", "--version");
    let java = java.as_deref().and_then(|said| said.lines().next()).unwrap_or("unknown Java").to_owned();
    let go = go_version().unwrap_or_else(|| "no Go".to_owned());
    let memory = memory_gib().map_or_else(String::new, |gib| format!(" and {gib:.1} GiB of memory"));
    // Where the brokers' logs are.
    let disk = disk(&target_directory()).map_or_else(String::new, |kind| format!("logs on {kind}; "));
    format!(
        "{cores} cores of {model}{memory}, shared by both clusters, the load and what is measured; {disk}Linux {kernel}, Apache Kafka \
         {}, {java}, {go}; {}. Replication factor 1, plaintext unless said otherwise.",
        version(),
        date()
    )
}

fn memory_gib() -> Option<f64> {
    let information = fs::read_to_string("/proc/meminfo").ok()?;
    let total = information.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: f64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kib / f64::from(1 << 20))
}

/// The kind of disk that `path` is on; `None` where the kernel does not tell, and where there is no disk behind it.
fn disk(path: &Path) -> Option<&'static str> {
    let (major, minor) = numbers(device_number(path)?);
    let device = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    // A partition's queue is its disk's.
    let queues = [device.join("queue"), device.join("../queue")];
    let rotational = queues.iter().find_map(|queue| fs::read_to_string(queue.join("rotational")).ok())?;
    Some(kind(&device.to_string_lossy(), rotational.trim() == "1"))
}

#[cfg(unix)]
fn device_number(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata))
}

#[cfg(not(unix))]
fn device_number(_path: &Path) -> Option<u64> {
    None
}

/// A device number's two parts (`man 3 major`).
fn numbers(device: u64) -> (u64, u64) {
    ((device >> 8 & 0xfff) | (device >> 32 & !0xfff), (device & 0xff) | (device >> 12 & 0xfff_ff00))
}

fn kind(device: &str, is_rotational: bool) -> &'static str {
    // What a virtual machine's disk says of itself is not what is beneath it.
    if device.contains("/virtio") || device.contains("/vbd-") {
        "a virtual disk"
    } else if device.contains("/nvme") {
        "an NVMe disk"
    } else if is_rotational {
        "a rotating disk"
    } else {
        "a solid-state disk"
    }
}

/// Today.
pub(super) fn date() -> String {
    said("date", "+%Y-%m-%d").unwrap_or_default()
}

fn said(program: &str, argument: &str) -> Option<String> {
    let said = output(Command::new(program).arg(argument))?;
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_have_kinds() {
        for (device, is_rotational, expected) in [
            ("/sys/devices/pci0000:00/0000:00:02.0/virtio1/block/vda/vda1", true, "a virtual disk"),
            ("/sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1/nvme0n1p2", false, "an NVMe disk"),
            (
                "/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda",
                true,
                "a rotating disk",
            ),
            ("/sys/devices/virtual/block/dm-0", false, "a solid-state disk"),
        ] {
            assert_eq!(kind(device, is_rotational), expected, "{device}");
        }
        assert_eq!(numbers(65_024), (254, 0));
        assert_eq!(numbers(0x0010_3405), (0x34, 0x105));
        assert!(memory_gib().is_none_or(|gib| gib > 0.0));
    }
}
