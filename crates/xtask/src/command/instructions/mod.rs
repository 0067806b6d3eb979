//! `cargo xtask instructions`: what each hot stage costs in instructions, against what is accepted. Time depends on the machine
//! and on who else is on it; instructions do not, so they can be a gate.
//!
//! What makes them reproducible: the toolchain is fixed (`rust-toolchain.toml`), and so are the crates (`Cargo.lock`); the program
//! is the static one for musl, as released, so that copying and allocating come with the toolchain and the crates too, not from
//! this machine's C library, which chooses among variants at run time; valgrind shows it a processor of its own, with SSE 4.2,
//! so that the checksum takes the way it takes on real ones. Counts are then the same to a few instructions in ten thousand, run
//! after run; where hash tables are seeded at random (the fetch session) they vary by less than one percent.
//!
//! What is not counted: the kernel, cache misses, mispredicted branches; an instruction is an instruction, be it an addition or
//! a locked exchange. Whether fewer of them are also faster, `cargo bench -p verbatim-benches` says.

mod accepted;
mod count;

use std::fs;
use std::path::PathBuf;

use super::arguments::Arguments;
use super::dist::{require_musl_compiler, require_target};
use super::process::{cargo, run as run_command};
use super::{Failure, workspace};
use crate::kafka::{find_program, target_directory};
use accepted::Accepted;

/// What the stages are part of.
const PROGRAMS: [&str; 3] = ["instructions", "instructions-scan", "instructions-flow"];
const TARGET: &str = "x86_64-unknown-linux-musl";
/// More than this above what is accepted is a failure, below it worth accepting. In percent.
const TOLERANCE_PERCENT: f64 = 3.0;
const FILE: &str = "benches/instructions.toml";

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let accepts = arguments.flag("--accept");
    arguments.nothing()?;
    require_valgrind()?;
    let programs = build()?;
    let path = workspace().join(FILE);
    let accepted = match fs::read_to_string(&path) {
        Ok(text) => {
            Accepted::parse(&text).map_err(|problem| Failure::Failed(format!("{FILE}: {problem}")))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Accepted::default(),
        Err(error) => return Err(Failure::while_doing(format!("read {FILE}"))(error)),
    };

    println!("{:22} {:>10} {:>10} {:>11}", "instructions", "accepted", "now", "difference");
    let mut counts = Vec::new();
    let (mut dearer, mut cheaper) = (Vec::new(), Vec::new());
    let mut stages = Vec::new();
    for program in &programs {
        stages.extend(count::stages(program)?.into_iter().map(|stage| (program, stage)));
    }
    for (program, stage) in stages {
        let now = count::per_operation(program, &stage)?;
        let stage = stage.name;
        let before = accepted.of(&stage);
        let percent = before.map(|before| difference_percent(before, now));
        let column = before.map_or_else(|| "–".to_owned(), |before| before.to_string());
        let difference = percent.map_or_else(|| "new".to_owned(), |percent| format!("{percent:+.1} %"));
        println!("{stage:22} {column:>10} {now:>10} {difference:>11}");
        match percent {
            None => dearer.push(format!("{stage} is new")),
            Some(percent) if percent > TOLERANCE_PERCENT => dearer.push(format!("{stage} {difference}")),
            Some(percent) if percent < -TOLERANCE_PERCENT => cheaper.push(format!("{stage} {difference}")),
            Some(_) => {}
        }
        counts.push((stage, now));
    }
    dearer.extend(accepted.besides(&counts).into_iter().map(|name| format!("{name} is gone")));

    if accepts {
        fs::write(&path, Accepted::text(&counts)).map_err(Failure::while_doing(format!("write {FILE}")))?;
        println!("accepted: {FILE} is written");
        return Ok(());
    }
    let how = "accept with `cargo xtask instructions --accept`";
    if !cheaper.is_empty() {
        println!("cheaper than accepted: {}; {how}, so that it stays so", cheaper.join(", "));
    }
    if dearer.is_empty() {
        return Ok(());
    }
    let dearer = dearer.join(", ");
    Err(Failure::Failed(format!(
        "{dearer}: more than {TOLERANCE_PERCENT} % off what is accepted. If that is wanted, {how} and say why in the commit"
    )))
}

/// The programs, as the product is released.
fn build() -> Result<Vec<PathBuf>, Failure> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Failure::Failed(format!("{FILE} holds counts of x86_64: count there")));
    }
    require_target(TARGET)?;
    require_musl_compiler(TARGET)?;
    let package = ["--package", "verbatim-benches", "--bins"];
    let mut command = cargo();
    command.args(["build", "--profile", "dist", "--locked", "--quiet", "--target", TARGET]).args(package);
    run_command(&mut command)?;
    let directory = target_directory().join(TARGET).join("dist");
    Ok(PROGRAMS.iter().map(|program| directory.join(program)).collect())
}

fn require_valgrind() -> Result<(), Failure> {
    match find_program("valgrind") {
        Some(_) => Ok(()),
        None => Err(Failure::Failed("valgrind is missing: install the package valgrind".to_owned())),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn difference_percent(before: u64, now: u64) -> f64 {
    (now as f64 - before as f64) * 100.0 / (before as f64).max(1.0)
}
