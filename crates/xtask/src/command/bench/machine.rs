//! What the figures were taken on.

use super::contenders::go_version;
use crate::command::process::output;
use crate::kafka::version;
use std::process::Command;

/// In a line: processor, kernel, versions, date.
pub(super) fn described() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = said("uname", "-r").unwrap_or_else(|| "unknown".to_owned());
    let java = said("java", "--version");
    let java = java.as_deref().and_then(|said| said.lines().next()).unwrap_or("unknown Java").to_owned();
    let go = go_version().unwrap_or_else(|| "no Go".to_owned());
    format!(
        "{cores} cores of {model}, shared by both clusters, the load and what is measured; Linux {kernel}, Apache Kafka {}, {java}, \
         {go}; {}. Replication factor 1, plaintext unless said otherwise.",
        version(),
        date()
    )
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
