//! A version of Kafka as a class path, cached under the target directory.
//!
//! The first resolution asks Maven (seconds to a minute), formats a storage directory to copy from and archives the classes a
//! broker loads; later ones read one small file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::Error;
use super::{archive, find_program, maven, target_directory};

/// A resolved Kafka version: where its jars are and which Java runs them.
#[derive(Debug, Clone)]
pub struct Distribution {
    version: String,
    directory: PathBuf,
    class_path: String,
    java: PathBuf,
}

impl Distribution {
    /// The broker and the command line tools of a version, such as `"4.1.0"` or `"3.9.1"`; 3.3 is the oldest that can start.
    pub fn resolve(version: &str) -> Result<Self, Error> {
        Self::resolve_with(version, &[])
    }

    /// The same with further artifacts of group `org.apache.kafka`, such as `connect-mirror`, on the class path.
    pub fn resolve_with(version: &str, artifacts: &[&str]) -> Result<Self, Error> {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !version.starts_with(|c: char| c.is_ascii_digit()) || !plain(version) {
            return Err(Error::Version(version.to_owned()));
        }
        if let Some(artifact) = artifacts.iter().find(|artifact| !plain(artifact)) {
            return Err(Error::Version((*artifact).to_owned()));
        }
        let java = java_program().ok_or(Error::NoJava)?;
        let name = [&[version], artifacts].concat().join("+");
        let directory = target_directory().join("kafka").join(name);
        let distribution =
            |class_path| Self { version: version.to_owned(), directory: directory.clone(), class_path, java };
        let cache = directory.join("classpath");
        if let Some(class_path) = cached(&cache) {
            return Ok(distribution(class_path));
        }

        fs::create_dir_all(&directory).map_err(Error::io(format!("create {}", directory.display())))?;
        // Test binaries run side by side: one of them resolves, the others wait here and then find the file.
        let lock = directory.join("lock");
        let lock = File::create(&lock).map_err(Error::io(format!("create {}", lock.display())))?;
        lock.lock().map_err(Error::io("lock the distribution"))?;
        if let Some(class_path) = cached(&cache) {
            return Ok(distribution(class_path));
        }
        let class_path = maven::class_path(version, artifacts, &directory)?;
        let distribution = distribution(class_path);
        archive::prepare(&distribution)?;
        distribution.write_run_class()?;
        fs::write(&cache, &distribution.class_path)
            .map_err(Error::io(format!("write {}", cache.display())))?;
        Ok(distribution)
    }

    /// The Kafka version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The jars, joined by `:`.
    pub fn class_path(&self) -> &str {
        &self.class_path
    }

    /// Where this version keeps what it prepared.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `java` with a heap limit and the class path of this version, then `append` (a folder of own classes); the caller adds
    /// further Java options, the main class and its arguments. Runs in its own process group, with nothing to read, so that a
    /// Ctrl-C at the terminal reaches us alone and we decide what ends when.
    pub fn java(&self, heap_mib: u32, append: Option<&Path>) -> Command {
        let mut class_path = self.class_path.clone();
        if let Some(folder) = append {
            class_path = format!("{class_path}:{}", folder.display());
        }
        let mut command = Command::new(&self.java);
        command.arg(format!("-Xmx{heap_mib}m"));
        let archive = archive::path(self);
        if archive.exists() {
            // A missing or outdated archive costs time, nothing else: -Xshare:auto is the default.
            command.arg(format!("-XX:SharedArchiveFile={}", archive.display())).arg("-Xlog:disable");
        }
        command.arg("-cp").arg(class_path).stdin(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }

    /// A script that runs one of Kafka's main classes with the arguments it is given, for people at a terminal.
    pub fn run_class(&self) -> PathBuf {
        self.directory.join("run-class")
    }

    fn write_run_class(&self) -> Result<(), Error> {
        let path = self.run_class();
        let doing = format!("write {}", path.display());
        let script = format!(
            "#!/bin/sh\nexec '{}' -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '{}' \"$@\"\n",
            self.java.display(),
            self.class_path
        );
        fs::write(&path, script).map_err(Error::io(doing.clone()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(Error::io(doing))?;
        }
        Ok(())
    }

    /// Runs the main method of one of Kafka's classes to its end; returns what it printed.
    pub fn tool(&self, main_class: &str, args: &[&str]) -> Result<String, Error> {
        let output = self
            .java(192, None)
            .args([
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            ])
            .arg(main_class)
            .args(args)
            .output()
            .map_err(Error::io(format!("run {}", self.java.display())))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let output = stdout + &String::from_utf8_lossy(&output.stderr);
        Err(Error::Tool { main_class: main_class.to_owned(), output })
    }
}

/// `JAVA_HOME/bin/java`, else `java` in `PATH`.
fn java_program() -> Option<PathBuf> {
    std::env::var_os("JAVA_HOME")
        .map(|home| Path::new(&home).join("bin/java"))
        .filter(|java| java.is_file())
        .or_else(|| find_program("java"))
}

/// A cached class path whose jars are all still there: the local Maven repository is nobody's to rely on.
fn cached(cache: &Path) -> Option<String> {
    let class_path = fs::read_to_string(cache).ok()?;
    class_path.split(':').all(|jar| Path::new(jar).is_file()).then_some(class_path)
}
