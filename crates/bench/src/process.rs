//! Processes of a benchmark: none outlives it, and what they said is there when one fails.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use xtask::command::Failure;
use xtask::command::process::shown;
use xtask::kafka::target_directory;
use xtask::kafka::warden::Warden;
use xtask::stat;

/// How long a process may take to end after SIGTERM before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
/// Letters of a command line that are worth repeating: Java's name every jar.
const SHOWN_LETTERS: usize = 160;
/// Bytes of what a failed process said that are worth repeating.
const SAID_BYTES: usize = 2000;

/// A directory for the files of a benchmark, and the warden over its processes; both go with it, however it ends.
#[derive(Debug, Clone)]
pub(super) struct Nursery {
    directory: PathBuf,
    warden: Rc<RefCell<Warden>>,
    /// Processes started so far: their files are named by that.
    started: Rc<Cell<u32>>,
}

impl Nursery {
    pub(super) fn new() -> Result<Self, Failure> {
        let directory = target_directory().join("bench").join(format!("run-{}", std::process::id()));
        fs::create_dir_all(&directory)
            .map_err(Failure::while_doing(format!("create {}", directory.display())))?;
        let warden = Rc::new(RefCell::new(Warden::new(&directory)?));
        Ok(Self { directory, warden, started: Rc::default() })
    }

    /// Where files go that belong to this benchmark.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts `command` in a process group of its own. What it prints goes to files, unless its standard output is `piped`.
    pub(super) fn start(&self, mut command: Command, piped: bool) -> Result<Running, Failure> {
        let mut shown = shown(&command);
        if shown.len() > SHOWN_LETTERS {
            shown = shown.chars().take(SHOWN_LETTERS).chain("...".chars()).collect();
        }
        let number = self.started.get();
        self.started.set(number + 1);
        let stdout = self.directory.join(format!("{number}.stdout"));
        let stderr = self.directory.join(format!("{number}.stderr"));
        let create = |path: &Path| {
            File::create(path).map_err(Failure::while_doing(format!("create {}", path.display())))
        };
        command.stderr(Stdio::from(create(&stderr)?));
        command.stdout(if piped { Stdio::piped() } else { Stdio::from(create(&stdout)?) });
        command.stdin(if piped { Stdio::piped() } else { Stdio::null() });
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = Instant::now();
        let child = command.spawn().map_err(Failure::while_doing(format!("run {shown}")))?;
        self.warden.borrow_mut().started_group(child.id());
        Ok(Running { child, started, shown, stdout, stderr, warden: self.warden.clone(), status: None })
    }
}

/// A process that was started; killed with all it started when dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) started: Instant,
    /// The command line, as far as it is worth repeating.
    shown: String,
    stdout: PathBuf,
    stderr: PathBuf,
    warden: Rc<RefCell<Warden>>,
    /// Once it was waited for.
    status: Option<ExitStatus>,
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended; it is not waited for, so that its CPU time stays readable.
    pub(super) fn has_ended(&self) -> bool {
        stat::has_ended(self.child.id())
    }

    /// What it printed until it ended: of a pipe, what was not read of it before.
    pub(super) fn stdout(&mut self) -> String {
        let mut printed = String::new();
        match self.child.stdout.take() {
            Some(mut piped) => drop(piped.read_to_string(&mut printed)),
            None => printed = fs::read_to_string(&self.stdout).unwrap_or_default(),
        }
        printed
    }

    /// A failure with what it said last. The first line goes into tables that are published: it names no file of this machine.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let said = fs::read(&self.stderr).unwrap_or_default();
        let said = said.get(said.len().saturating_sub(SAID_BYTES)..).unwrap_or_default();
        let said = String::from_utf8_lossy(said);
        let program = self.shown.split(' ').next().unwrap_or_default();
        Failure::Failed(format!("{program} {what}\n{}\n{}", self.shown, said.trim()))
    }

    /// Waits until it has ended by itself; a failure of it is one.
    pub(super) fn ended(&mut self, patience: Duration) -> Result<(), Failure> {
        match self.wait(patience)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(&format!("failed ({status})"))),
            None => Err(self.failure(&format!("has not ended after {} s", patience.as_secs()))),
        }
    }

    /// Ends it: SIGTERM to its group, after a while SIGKILL.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        if self.status.is_none() {
            self.signal("TERM");
        }
        self.wait(END_PATIENCE)?;
        Ok(())
    }

    fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>, Failure> {
        let begin = Instant::now();
        while self.status.is_none() && !self.has_ended() {
            if begin.elapsed() > patience {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
        self.reap();
        Ok(self.status)
    }

    /// Kills what is left of its group and waits for it. Until then its id cannot be somebody else's.
    fn reap(&mut self) {
        if self.status.is_none() {
            self.signal("KILL");
            self.status = self.child.wait().ok();
            self.warden.borrow_mut().ended_group(self.child.id());
        }
    }

    /// The standard library can only kill one process; `kill` can do the rest without unsafe code.
    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.args([format!("-{name}"), "--".to_owned(), format!("-{}", self.child.id())]);
        let _ = kill.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reap();
        let _ = fs::remove_file(&self.stdout);
        let _ = fs::remove_file(&self.stderr);
    }
}
