//! `cargo xtask fuzz`: cargo-fuzz, with what it needs.

use std::fs;
use std::process::Command;

use super::arguments::Arguments;
use super::process::{output, run as run_command, succeeds};
use super::{Failure, workspace};
use crate::kafka::find_program;

const DEFAULT_SECONDS: u32 = 600;

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let seconds = arguments.value("--seconds")?.unwrap_or(DEFAULT_SECONDS);
    let wanted = arguments.word()?;
    let all = targets()?;
    let chosen = match wanted {
        None => all,
        Some(target) if all.contains(&target) => vec![target],
        Some(target) => {
            let known = all.join(", ");
            return Err(Failure::Usage(format!("there is no fuzz target {target:?}; there are: {known}")));
        }
    };
    require_nightly()?;
    require_cargo_fuzz()?;

    let mut failed = Vec::new();
    for target in &chosen {
        println!("fuzzing {target} for {seconds} s");
        let limit = format!("-max_total_time={seconds}");
        let mut command = Command::new("cargo");
        // Our own toolchain is in the environment of everything cargo starts; fuzzing needs the other one.
        command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(workspace());
        command.args([
            "+nightly",
            "fuzz",
            "run",
            "--fuzz-dir",
            "fuzz",
            target,
            "--",
            &limit,
            "-rss_limit_mb=4096",
        ]);
        if !succeeds(&mut command)? {
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        println!("no findings in {} target(s)", chosen.len());
        return Ok(());
    }
    let failed = failed.join(", ");
    Err(Failure::Failed(format!("findings in {failed}: the inputs are under fuzz/artifacts/")))
}

/// The fuzz targets: the files in `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>, Failure> {
    let folder = workspace().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(Failure::while_doing("list fuzz/fuzz_targets"))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    if names.is_empty() { Err(Failure::Failed("fuzz/fuzz_targets is empty".to_owned())) } else { Ok(names) }
}

fn require_nightly() -> Result<(), Failure> {
    let toolchains = output(Command::new("rustup").args(["toolchain", "list"]))
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .ok_or_else(|| Failure::Failed("fuzzing needs rustup and a nightly toolchain".to_owned()))?;
    if toolchains.lines().any(|line| line.starts_with("nightly")) {
        return Ok(());
    }
    println!("fuzzing needs a nightly toolchain: installing it");
    run_command(Command::new("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))
}

fn require_cargo_fuzz() -> Result<(), Failure> {
    let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let beside_cargo = home.map(|home| home.join("bin/cargo-fuzz")).filter(|program| program.is_file());
    if find_program("cargo-fuzz").or(beside_cargo).is_some() {
        return Ok(());
    }
    println!("cargo-fuzz is missing: installing it");
    run_command(Command::new("cargo").args(["install", "cargo-fuzz", "--locked"]).current_dir(workspace()))
}
