//! Counts what one operation costs: the programs of `benches/src/stages.rs`, under valgrind.

use super::super::Failure;
use super::super::process::{output, shown};
use std::path::Path;
use std::process::Command;

/// Operations of the first run; the second does twice as many. Both numbers have as many digits, so that reading the
/// command line costs the same.
const TIMES: u64 = 1000;

/// The stages there are.
pub(super) fn stages(program: &Path) -> Result<Vec<String>, Failure> {
    let mut command = Command::new(program);
    let listed =
        output(&mut command).ok_or_else(|| Failure::Failed(format!("{} failed", shown(&command))))?;
    Ok(String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect())
}

/// Instructions per operation of `stage`: what a second thousand adds to the first, so that start-up and inputs fall out.
pub(super) fn per_operation(program: &Path, stage: &str) -> Result<u64, Failure> {
    let (once, twice) = (total(program, stage, TIMES)?, total(program, stage, 2 * TIMES)?);
    let added = twice.checked_sub(once).ok_or_else(|| {
        Failure::Failed(format!(
            "{stage}: twice as many operations cost less; the counts are not reproducible"
        ))
    })?;
    Ok((added + TIMES / 2) / TIMES)
}

fn total(program: &Path, stage: &str, times: u64) -> Result<u64, Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(program).args([stage, &times.to_string()]);
    // An environment that is the same everywhere: it is copied to the stack and looked through at start-up.
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let ran = output(&mut command).ok_or_else(|| Failure::Failed(format!("{} failed", shown(&command))))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.ok_or_else(|| Failure::Failed(format!("{} printed no count", shown(&command))))
}
