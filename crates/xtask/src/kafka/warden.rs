//! The clean-up that survives us.
//!
//! `Drop` does not run when a process is killed, when it is interrupted at the terminal, or for a static. So every cluster has a
//! warden: a shell that reads the process ids it answers for from a pipe and, once the pipe closes, for whatever reason, ends those
//! that are left and removes the cluster's directory. The orderly end takes the same path.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::error::Error;

const SCRIPT: &str = r#"
pids=" "
while read -r word pid; do
  case $word in
    started) pids="$pids$pid " ;;
    ended) pids="${pids%% $pid *} ${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
for round in 1 2 3 4 5; do rm -rf -- "$1" 2>/dev/null && break; sleep 0.2; done
"#;

/// Ends the processes it was told of, and removes the directory, when it is dropped or we are gone.
#[derive(Debug)]
pub struct Warden {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Warden {
    /// A warden over `directory`.
    pub fn new(directory: &Path) -> Result<Self, Error> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("warden").arg(directory).stdin(Stdio::piped());
        // Its own group: a Ctrl-C at the terminal must not end it before its work is done.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = command.spawn().map_err(Error::io("run sh"))?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// A process to answer for.
    pub fn started(&mut self, pid: u32) {
        self.tell("started", pid);
    }

    /// A process that is no more, so that its id may belong to somebody else.
    pub fn ended(&mut self, pid: u32) {
        self.tell("ended", pid);
    }

    /// A process group to answer for: a process that leads one, and all it started.
    pub fn started_group(&mut self, leader: u32) {
        self.tell("started", format_args!("-{leader}"));
    }

    /// A process group that is no more.
    pub fn ended_group(&mut self, leader: u32) {
        self.tell("ended", format_args!("-{leader}"));
    }

    fn tell(&mut self, word: &str, pid: impl Display) {
        if let Some(pipe) = &mut self.pipe {
            let _ = writeln!(pipe, "{word} {pid}");
        }
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.shell.wait();
    }
}
