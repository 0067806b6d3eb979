//! What the kernel says of a process or thread in /proc (Linux).

use std::fmt::Display;
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
