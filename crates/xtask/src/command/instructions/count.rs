//! Counts what one operation costs: the programs of `benches/src/stages.rs` and `benches/src/flow.rs`, under valgrind.

use super::super::Failure;
use super::super::process::{output, shown};
use std::path::Path;
use std::process::Command;

/// Operations of the first run; the second does twice as many. Both numbers have as many digits, so that reading the
/// command line costs the same.
const TIMES: u64 = 1000;

/// What is counted.
pub(super) struct Stage {
    pub(super) name: String,
    /// The function that is counted, with all it calls; `None` for everything.
    function: Option<String>,
}

/// The stages there are.
pub(super) fn stages(program: &Path) -> Result<Vec<Stage>, Failure> {
    let mut command = Command::new(program);
    let listed =
        output(&mut command).ok_or_else(|| Failure::Failed(format!("{} failed", shown(&command))))?;
    let stage = |line: &str| match line.split_once(' ') {
        Some((name, function)) => Stage { name: name.to_owned(), function: Some(function.to_owned()) },
        None => Stage { name: line.to_owned(), function: None },
    };
    Ok(String::from_utf8_lossy(&listed.stdout).lines().map(stage).collect())
}

/// Instructions per operation of `stage`: what a second thousand adds to the first, so that start-up and inputs fall out.
pub(super) fn per_operation(program: &Path, stage: &Stage) -> Result<u64, Failure> {
    let (once, twice) = (total(program, stage, TIMES)?, total(program, stage, 2 * TIMES)?);
    let added = twice.checked_sub(once).ok_or_else(|| {
        Failure::Failed(format!(
            "{}: twice as many operations cost less; the counts are not reproducible",
            stage.name
        ))
    })?;
    if added == 0 {
        return Err(Failure::Failed(format!("{}: nothing is counted; is its function inlined?", stage.name)));
    }
    Ok((added + TIMES / 2) / TIMES)
}

fn total(program: &Path, stage: &Stage, times: u64) -> Result<u64, Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    if let Some(function) = &stage.function {
        command.arg(format!("--toggle-collect={function}"));
    }
    command.arg(program).args([&stage.name, &times.to_string()]);
    // An environment that is the same everywhere: it is copied to the stack and looked through at start-up.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let ran = output(&mut command).ok_or_else(|| Failure::Failed(format!("{} failed", shown(&command))))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.ok_or_else(|| Failure::Failed(format!("{} printed no count", shown(&command))))
}
