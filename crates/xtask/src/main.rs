//! Development commands: `cargo xtask help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::command::run(std::env::args().skip(1).collect())
}
