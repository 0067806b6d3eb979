//! Compiles `tests/java/*.java` once for each content and Kafka version, and runs what comes out.

use std::fmt;
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use xtask::kafka::{Distribution, target_directory};

/// Why a Java program did not do its work.
#[derive(Debug)]
pub enum Error {
    /// The compiler is missing, or refuses.
    Compile(String),
    /// The program failed; what it said.
    Failed {
        /// The main class.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// The program printed something unexpected.
    Output(String),
    /// The operating system refused something.
    Io {
        /// What was being done.
        doing: String,
        /// The refusal.
        source: io::Error,
    },
}

impl Error {
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compile(output) => write!(f, "javac (a JDK is needed, not a JRE): {output}"),
            Self::Failed { program, output } => write!(f, "{program} failed:\n{output}"),
            Self::Output(line) => write!(f, "unexpected output of a Java program: {line:?}"),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The compiled programs.
#[derive(Debug, Clone)]
pub struct Programs {
    distribution: Distribution,
    classes: PathBuf,
    heap_mib: u32,
}

impl Programs {
    /// Compiles against the jars of `distribution`, unless that was done before.
    pub fn compile(distribution: &Distribution) -> Result<Self, Error> {
        Self::compile_folders(distribution, &["java"])
    }

    /// The same with the programs of `tests/java/mirror`, which need `connect-mirror` on the class path.
    pub fn compile_with_mirror(distribution: &Distribution) -> Result<Self, Error> {
        Self::compile_folders(distribution, &["java", "java/mirror"])
    }

    fn compile_folders(distribution: &Distribution, folders: &[&str]) -> Result<Self, Error> {
        let mut sources: Vec<PathBuf> = Vec::new();
        for folder in folders {
            let listed = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
                .map_err(Error::io(format!("list tests/{folder}")))?;
            let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
            sources.extend(paths.filter(|path| path.extension().is_some_and(|suffix| suffix == "java")));
        }
        sources.sort();
        let mut hash = std::hash::DefaultHasher::new();
        hash.write(distribution.class_path().as_bytes());
        for source in &sources {
            hash.write(&fs::read(source).map_err(Error::io(format!("read {}", source.display())))?);
        }
        let parent = target_directory().join("java");
        let classes = parent.join(format!("{}-{:016x}", distribution.version(), hash.finish()));
        let programs = Self { distribution: distribution.clone(), classes, heap_mib: 384 };
        if programs.classes.is_dir() {
            return Ok(programs);
        }

        fs::create_dir_all(&parent).map_err(Error::io(format!("create {}", parent.display())))?;
        let lock = File::create(parent.join("lock")).map_err(Error::io("create the compiler's lock"))?;
        lock.lock().map_err(Error::io("take the compiler's lock"))?;
        if programs.classes.is_dir() {
            return Ok(programs);
        }
        let unfinished = parent.join("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        let javac = std::env::var_os("JAVA_HOME")
            .map(|home| Path::new(&home).join("bin/javac"))
            .filter(|javac| javac.is_file())
            .unwrap_or_else(|| PathBuf::from("javac"));
        let output = Command::new(javac)
            .args(["-Xlint:all,-classfile,-processing", "--release", "17"])
            .args(["-cp", distribution.class_path()])
            .arg("-d")
            .arg(&unfinished)
            .args(&sources)
            .output()
            .map_err(|error| Error::Compile(error.to_string()))?;
        if !output.status.success() {
            return Err(Error::Compile(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        fs::rename(&unfinished, &programs.classes).map_err(Error::io("keep the compiled classes"))?;
        Ok(programs)
    }

    /// The Kafka whose clients they use.
    pub fn distribution(&self) -> &Distribution {
        &self.distribution
    }

    /// Sets the heap limit of the programs; 384 MiB if not set.
    pub fn heap_mib(mut self, heap_mib: u32) -> Self {
        self.heap_mib = heap_mib;
        self
    }

    /// Runs a main class to its end; returns what it printed.
    pub fn run(&self, program: &str, args: &[String]) -> Result<String, Error> {
        let mut command = self.command(program, args);
        let output = command.output().map_err(Error::io(format!("run {program}")))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let output = last_lines(&(stdout + &String::from_utf8_lossy(&output.stderr)));
        Err(Error::Failed { program: program.to_owned(), output })
    }

    /// Starts a main class that ends when its standard input does.
    pub fn start(&self, program: &str, args: &[String]) -> Result<Running, Error> {
        let mut child = self
            .command(program, args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io(format!("run {program}")))?;
        let printed = Arc::new(Mutex::new(Vec::new()));
        let readers = [
            child.stdout.take().map(|pipe| collect(pipe, Arc::clone(&printed))),
            child.stderr.take().map(|pipe| collect(pipe, Arc::clone(&printed))),
        ];
        let readers = readers.into_iter().flatten().collect();
        Ok(Running { program: program.to_owned(), child, printed, readers })
    }

    fn command(&self, program: &str, args: &[String]) -> Command {
        let mut command = self.distribution.java(self.heap_mib, Some(&self.classes));
        command
            .args(["-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
            .arg(program)
            .args(args);
        command
    }
}

/// A program that goes on until it is told, or nobody is left to tell it. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    program: String,
    child: Child,
    printed: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// What it has printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.printed.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Closes its input, waits for its end, and returns what it printed.
    pub fn finish(mut self) -> Result<Vec<String>, Error> {
        drop(self.child.stdin.take());
        let status = self.child.wait().map_err(Error::io(format!("wait for {}", self.program)))?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let lines = self.lines();
        if status.success() {
            return Ok(lines);
        }
        Err(Error::Failed { program: self.program.clone(), output: last_lines(&lines.join("\n")) })
    }

    /// Kills it (SIGKILL) and returns what it had printed.
    pub fn kill(mut self) -> Vec<String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        self.lines()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(|e| e.into_inner()).push(line);
        }
    })
}

/// The end of a text: a Java program that fails can be talkative.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}
