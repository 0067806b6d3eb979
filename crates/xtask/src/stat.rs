//! What the kernel says of a process or thread in /proc (Linux).

use std::fmt::Display;
use std::str::FromStr;
use std::{fs, io};

/// The fields of `/proc/OF/stat` from the third (the state) on; `of` is a process id, `self`, or `PID/task/TID`.
///
/// # Errors
/// When there is no such process.
pub fn fields(of: impl Display) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{of}/stat"))?;
    // The second field is the program's name in parentheses, which may hold anything.
    Ok(stat.rsplit_once(')').map_or_else(String::new, |(_, fields)| fields.to_owned()))
}

/// The first word behind `name` (as `VmHWM:`) in `/proc/OF/status`; `None` where there is no such process or name.
pub fn named<T: FromStr>(of: impl Display, name: &str) -> Option<T> {
    let status = fs::read_to_string(format!("/proc/{of}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Whether the process has ended, waited for or not.
pub fn has_ended(of: impl Display) -> bool {
    fields(of).map_or(true, |fields| matches!(fields.split_whitespace().next(), Some("Z" | "X")))
}
