//! The product as its user has it: a process with arguments, output, signals and an exit code.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use xtask::stat;

/// How long a run may take that ought to end by itself. Generous: two cores carry two tests with their clusters.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// SIGINT, which is signal 2, in a mask of signals.
const SIGINT_BIT: u64 = 1 << 1;
/// Lines of a log worth repeating in a message.
const TAIL_LINES: usize = 40;

/// Why the process is of no use to the test.
#[derive(Debug)]
pub enum Error {
    /// It could not be built.
    Build(String),
    /// It did not do what was waited for; the end of what it said.
    Late {
        /// What was waited for.
        waiting_for: String,
        /// The end of its log.
        log: String,
    },
    /// The operating system refused something.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The refusal.
        source: io::Error,
    },
}

impl Error {
    fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(output) => write!(f, "verbatim cannot be built: {output}"),
            Self::Late { waiting_for, log } => {
                write!(f, "verbatim: no {waiting_for} in time; its log:\n{log}")
            }
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {}

/// The executable: what `VERBATIM_EXECUTABLE` names, else built on first use. Unoptimised it copies several hundred MiB/s, more than the brokers beside it take.
pub fn executable() -> Result<&'static Path, Error> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| match std::env::var_os("VERBATIM_EXECUTABLE") {
        Some(given) => Ok(PathBuf::from(given)),
        None => build().map_err(|error| error.to_string()),
    });
    built.as_deref().map_err(|output| Error::Build(output.clone()))
}

fn build() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", "verbatim", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut named =
        messages.lines().rev().filter_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    match named.next() {
        Some(path) if output.status.success() => Ok(PathBuf::from(path)),
        _ => Err(io::Error::other("cargo build failed; see above")),
    }
}

/// CPU time that a process has used, by its id or as `self`.
pub fn cpu_time(process: &str) -> io::Result<Duration> {
    let fields = stat::fields(process)?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap_or(0));
    Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Ended {
    /// The one sentence in which a run that failed says why: the lines of stderr that begin with `verbatim: `, and what follows.
    pub fn complaint(&self) -> &str {
        self.stderr.find("verbatim: ").and_then(|at| self.stderr.get(at..)).unwrap_or_default().trim_end()
    }

    /// An error with all that was said unless the exit code is `code`.
    pub fn expect(self, code: i32) -> Result<Self, String> {
        if self.code == Some(code) {
            return Ok(self);
        }
        Err(format!("exit code {:?} instead of {code}\n{}\n{}", self.code, self.stdout, self.stderr))
    }
}

/// A running `verbatim`. Dropping it kills it; should the test be killed instead, a shell that waits for that does.
#[derive(Debug)]
pub struct Verbatim {
    child: Child,
    warden: Child,
    started: Instant,
    stdout: Lines,
    stderr: Lines,
}

impl Verbatim {
    /// Runs to its end.
    pub fn run(arguments: &[&str]) -> Result<Ended, Error> {
        Self::start(arguments)?.ended(PATIENCE)
    }

    /// Starts it.
    pub fn start(arguments: &[&str]) -> Result<Self, Error> {
        let executable = executable()?;
        let mut verbatim = Command::new(executable);
        verbatim.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut warden = Command::new("sh");
        warden.args(["-c", "read -r word || kill -9 \"$1\"", "warden"]);
        warden.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Groups of their own: a Ctrl-C at the terminal is for the test, which then ends both.
        #[cfg(unix)]
        for command in [&mut verbatim, &mut warden] {
            std::os::unix::process::CommandExt::process_group(command, 0);
        }
        let started = Instant::now();
        let mut child = verbatim.spawn().map_err(Error::io("run verbatim"))?;
        let warden = warden.arg(child.id().to_string()).spawn().map_err(Error::io("run sh"))?;
        let (stdout, stderr) = (Lines::of(child.stdout.take()), Lines::of(child.stderr.take()));
        Ok(Self { child, warden, started, stdout, stderr })
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its log contains `text`.
    pub fn logs(&mut self, text: &str) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let may_come = self.is_running() && Instant::now() < deadline;
            if !may_come && !self.is_running() {
                // What it said last may still be in the pipe.
                self.stderr.join();
            }
            if self.log().contains(text) {
                return Ok(());
            }
            if !may_come {
                return Err(self.late(&format!("{text:?} in the log")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal by name: `INT` is what Ctrl-C sends.
    ///
    /// What a shell runs in the background ignores that one, and so does all that it starts, until it asks for it. Sent before, it
    /// would have no effect at all, instead of ending the process: then that moment is waited for.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while name == "INT" && self.ignores_interrupts() {
            if Instant::now() > deadline {
                return Err(self.late("end of ignoring SIGINT"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(self.child.id().to_string()).stderr(Stdio::null());
        kill.status().map(drop).map_err(Error::io("run kill"))
    }

    /// Ends it at once (SIGKILL); returns its log.
    pub fn kill(mut self) -> String {
        self.finish();
        self.log()
    }

    /// Whether SIGINT has no effect on it; `false` as well where the system does not say.
    fn ignores_interrupts(&self) -> bool {
        let ignored: Option<String> = stat::named(self.child.id(), "SigIgn:");
        let ignored = ignored.and_then(|mask| u64::from_str_radix(&mask, 16).ok());
        // One that has ended is there until it is waited for.
        ignored.is_some_and(|mask| mask & SIGINT_BIT != 0) && !stat::has_ended(self.child.id())
    }

    /// Resident memory now and at most so far, in KiB; `None` where the system does not say.
    pub fn resident_kib(&self) -> Option<(u64, u64)> {
        let kib = |name| stat::named(self.child.id(), name);
        Some((kib("VmRSS:")?, kib("VmHWM:")?))
    }

    /// CPU time used so far.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        cpu_time(&self.child.id().to_string())
    }

    /// Waits for its end.
    pub fn ended(mut self, patience: Duration) -> Result<Ended, Error> {
        let deadline = Instant::now() + patience;
        while self.is_running() {
            if Instant::now() > deadline {
                return Err(self.late("end"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = self.started.elapsed();
        let status = self.child.wait().map_err(Error::io("wait for verbatim"))?;
        self.finish();
        Ok(Ended { code: status.code(), stdout: self.stdout.text(), stderr: self.stderr.text(), took })
    }

    fn late(&self, waiting_for: &str) -> Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n");
        Error::Late { waiting_for: waiting_for.to_owned(), log: tail }
    }

    fn finish(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A word: there is nobody left to kill.
        if let Some(mut pipe) = self.warden.stdin.take() {
            let _ = pipe.write_all(b"ended\n");
        }
        let _ = self.warden.wait();
        self.stdout.join();
        self.stderr.join();
    }
}

impl Drop for Verbatim {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What comes out of a pipe, collected by a thread.
#[derive(Debug)]
struct Lines {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&text);
        let reader = pipe.map(|pipe| {
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut text = collected.lock().unwrap_or_else(|e| e.into_inner());
                    text.push_str(&line);
                    text.push('\n');
                }
            })
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
