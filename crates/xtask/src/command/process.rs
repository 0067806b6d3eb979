//! Running other programs and saying so.

use std::process::{Command, Output, Stdio};

use super::Failure;

/// `cargo` as it called us, so that the same toolchain builds everything.
pub(super) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(super::workspace());
    command
}

/// Prints the command, runs it with our own output, and tells whether it succeeded.
pub(super) fn succeeds(command: &mut Command) -> Result<bool, Failure> {
    let shown = shown(command);
    eprintln!("+ {shown}");
    let status =
        command.stdin(Stdio::null()).status().map_err(Failure::while_doing(format!("run {shown}")))?;
    Ok(status.success())
}

/// The same where a failure ends the command.
pub(super) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = shown(command);
    if succeeds(command)? { Ok(()) } else { Err(Failure::Failed(format!("{shown} failed"))) }
}

/// Runs quietly and returns what was printed; an absent program or a failure is `None`.
pub(super) fn output(command: &mut Command) -> Option<Output> {
    command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())
}

/// The command as one would type it.
pub(super) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let words = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
}
