//! Running other programs and saying so.

use std::process::{Command, Output, Stdio};

use super::Failure;

/// `cargo` as it called us, so that the same toolchain builds everything.
pub fn cargo() -> Command {
    /// What `cargo run` tells us of our own package. Some build scripts (ring's) look at it, and would build anew what was built from a shell.
    const OURS: [&str; 5] =
        ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_PACKAGE"];
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours))) {
            command.env_remove(name);
        }
    }
    command.current_dir(super::workspace());
    command
}

/// Prints the command, runs it with our own output, and tells whether it succeeded.
pub fn succeeds(command: &mut Command) -> Result<bool, Failure> {
    let shown = shown(command);
    eprintln!("+ {shown}");
    let status =
        command.stdin(Stdio::null()).status().map_err(Failure::while_doing(format!("run {shown}")))?;
    Ok(status.success())
}

/// The same where a failure ends the command.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = shown(command);
    if succeeds(command)? { Ok(()) } else { Err(Failure::Failed(format!("{shown} failed"))) }
}

/// Runs quietly and returns what was printed; an absent program or a failure is `None`.
pub fn output(command: &mut Command) -> Option<Output> {
    command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let words = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
}
