//! One node of a cluster: a directory, its ports, and a Java process or none.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::distribution::Distribution;
use super::error::{Error, tail_of};
use super::options::{Options, Ports};
use super::warden::Warden;
use crate::stat;

/// Lines of a broker's log worth repeating in a message.
const LOG_TAIL_LINES: usize = 25;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: u32,
    pub(super) address: SocketAddr,
    pub(super) ports: Ports,
    /// Holds `server.properties`, the logs of the process and its temporary files.
    pub(super) directory: PathBuf,
    pub(super) process: Option<Child>,
}

impl Node {
    /// Kafka's data directory.
    pub(super) fn log_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What the broker logs.
    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("broker.log")
    }

    /// The end of the broker's log, or of what Java printed when it logged nothing.
    pub(super) fn log_tail(&self) -> String {
        let printed = tail_of(&self.directory.join("console.log"), LOG_TAIL_LINES);
        let logged = tail_of(&self.log(), LOG_TAIL_LINES);
        [logged, printed].join("\n").trim().to_owned()
    }

    /// Starts the process; does not wait for it to answer.
    pub(super) fn spawn(
        &mut self,
        distribution: &Distribution,
        options: &Options,
        warden: &mut Warden,
    ) -> Result<(), Error> {
        let console = self.directory.join("console.log");
        let doing = format!("write {}", console.display());
        let console = File::create(&console).map_err(Error::io(doing.clone()))?;
        let same = console.try_clone().map_err(Error::io(doing))?;
        // Codecs unpack libraries there and remove them at an orderly end, which a broker that is killed does not have.
        let temporary = self.directory.join("tmp");
        fs::create_dir_all(&temporary).map_err(Error::io(format!("create {}", temporary.display())))?;
        let child = distribution
            .java(options.heap_mib, None)
            .args(options.all_java_options())
            .arg("-Djava.awt.headless=true")
            .arg(format!("-Djava.io.tmpdir={}", temporary.display()))
            .arg(format!("-Dorg.slf4j.simpleLogger.logFile={}", self.log().display()))
            .arg("-Dorg.slf4j.simpleLogger.showDateTime=true")
            .arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
            .arg("kafka.Kafka")
            .arg(self.directory.join("server.properties"))
            .current_dir(&self.directory)
            .stdout(Stdio::from(console))
            .stderr(Stdio::from(same))
            .spawn()
            .map_err(Error::io("run java"))?;
        warden.started(child.id());
        self.process = Some(child);
        Ok(())
    }

    /// Whether the process lives (also when paused).
    pub(super) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends a signal by name, such as `TERM`. The standard library can only kill; `kill` can do the rest without unsafe code.
    pub(super) fn signal(&self, name: &str) -> Result<(), Error> {
        let Some(child) = &self.process else { return Ok(()) };
        let doing = format!("send SIG{name} to node {}", self.id);
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(child.id().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(Error::io(doing.clone()))?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::io(doing)(std::io::Error::from(std::io::ErrorKind::NotFound)))
        }
    }

    /// SIGSTOP, and waits until every thread has stopped: on other processors they run for a moment yet, and would still answer.
    pub(super) fn freeze(&self, patience: Duration) -> Result<(), Error> {
        self.signal("STOP")?;
        let Some(child) = &self.process else { return Ok(()) };
        let deadline = Instant::now() + patience;
        while !has_stopped(child.id()).map_err(Error::io(format!("look at node {}", self.id)))? {
            if Instant::now() >= deadline {
                let doing = format!("freeze node {}", self.id);
                return Err(Error::io(doing)(std::io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// SIGKILL, and waits until the process is gone.
    pub(super) fn kill(&mut self, warden: &mut Warden) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
            warden.ended(child.id());
        }
    }

    /// SIGTERM, and waits; after `patience` SIGKILL. True if it ended by itself.
    pub(super) fn stop(&mut self, warden: &mut Warden, patience: Duration) -> Result<bool, Error> {
        // A paused process would only receive the signal once resumed.
        if self.is_running() {
            self.signal("CONT")?;
            self.signal("TERM")?;
        }
        let deadline = Instant::now() + patience;
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let orderly = !self.is_running();
        self.kill(warden);
        Ok(orderly)
    }
}

/// Whether all threads of a process are stopped (`T` in proc_pid_stat(5)).
fn has_stopped(process: u32) -> std::io::Result<bool> {
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = task?.file_name();
        // One that has ended meanwhile answers no more.
        let Ok(fields) = stat::fields(format_args!("{process}/task/{}", thread.display())) else { continue };
        if !fields.trim_start().starts_with('T') {
            return Ok(false);
        }
    }
    Ok(true)
}
