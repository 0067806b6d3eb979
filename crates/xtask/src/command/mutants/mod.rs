//! `cargo xtask mutants`: does the simulation see what it is there to see? Plants one bug after the other in a copy of the
//! workspace and plays schedules of `tests/tests/simulation/main.rs` until one of them fails. A bug that is not found is a hole in the simulation.

mod bugs;
mod copy;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::process::{cargo, shown};
use super::{Failure, workspace};
use crate::kafka::target_directory;
use bugs::{BUGS, Bug};

/// Schedules that are played against a bug at most.
const DEFAULT_SEEDS: u32 = 3000;

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let seeds = arguments.value("--seeds")?.unwrap_or(DEFAULT_SEEDS);
    let wanted = arguments.word()?;
    let chosen: Vec<&Bug> =
        BUGS.iter().filter(|bug| wanted.as_deref().is_none_or(|wanted| wanted == bug.name)).collect();
    if chosen.is_empty() {
        let known: Vec<_> = BUGS.iter().map(|bug| bug.name).collect();
        return Err(Failure::Usage(format!(
            "there is no bug {:?}; there are: {}",
            wanted.unwrap_or_default(),
            known.join(", ")
        )));
    }
    let mut field = Field::new(seeds)?;
    println!("without a bug: {seeds} schedules");
    let start = Instant::now();
    match field.play()? {
        Played::Passed => field.patience += start.elapsed() * 3,
        Played::Failed { log } | Played::Endless { log } => {
            return Err(Failure::Failed(format!(
                "the simulation fails without a bug: see {}",
                log.display()
            )));
        }
    }
    let mut missed = Vec::new();
    for bug in &chosen {
        let start = Instant::now();
        let outcome = field.plant(bug)?;
        let found = match outcome {
            Played::Passed => {
                missed.push(bug.name);
                "NOT FOUND".to_owned()
            }
            Played::Failed { log } => format!("found ({})", first_failing(&log)),
            Played::Endless { .. } => "found (a schedule does not end)".to_owned(),
        };
        println!("{:30} {found}, {} s: {}", bug.name, start.elapsed().as_secs(), bug.what);
    }
    if missed.is_empty() {
        println!("all {} bugs found", chosen.len());
        return Ok(());
    }
    Err(Failure::Failed(format!("not found within {seeds} schedules: {}", missed.join(", "))))
}

/// A copy of the workspace in which bugs are planted.
struct Field {
    tree: PathBuf,
    build: PathBuf,
    seeds: u32,
    /// How long the schedules may take.
    patience: Duration,
}

enum Played {
    Passed,
    Failed {
        log: PathBuf,
    },
    /// A schedule went round in circles.
    Endless {
        log: PathBuf,
    },
}

impl Field {
    fn new(seeds: u32) -> Result<Self, Failure> {
        let root = target_directory().join("mutants");
        let field = Self {
            tree: root.join("tree"),
            build: root.join("build"),
            seeds,
            patience: Duration::from_secs(600),
        };
        copy::refresh(&workspace(), &field.tree)
            .map_err(Failure::while_doing(format!("copy the workspace to {}", field.tree.display())))?;
        Ok(field)
    }

    /// Plays with `bug` planted, and takes it out again.
    fn plant(&self, bug: &Bug) -> Result<Played, Failure> {
        let file = self.tree.join(bug.file);
        let doing = || format!("plant {} in {}", bug.name, bug.file);
        let right = fs::read_to_string(&file).map_err(Failure::while_doing(doing()))?;
        if right.matches(bug.right).count() != 1 {
            let problem = "the text it replaces does not occur exactly once: the code has changed";
            return Err(Failure::Failed(format!("cannot {}: {problem}", doing())));
        }
        let write = |text: &str| fs::write(&file, text).map_err(Failure::while_doing(doing()));
        write(&right.replacen(bug.right, bug.wrong, 1))?;
        let played = self.play();
        write(&right)?;
        played
    }

    fn play(&self) -> Result<Played, Failure> {
        let mut build = self.test();
        build.arg("--no-run");
        let log = self.build.with_file_name("build.log");
        if !quietly(&mut build, &log, self.patience)?.is_some_and(|status| status.success()) {
            return Err(Failure::Failed(format!("the workspace does not build: see {}", log.display())));
        }
        let log = self.build.with_file_name("play.log");
        let mut play = self.test();
        play.env("VERBATIM_SCHEDULES", self.seeds.to_string())
            .env("VERBATIM_FIRST_SEED", "0")
            .env_remove("VERBATIM_SEED");
        Ok(match quietly(&mut play, &log, self.patience)? {
            Some(status) if status.success() => Played::Passed,
            Some(_) => Played::Failed { log },
            None => Played::Endless { log },
        })
    }

    fn test(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        command.args(["test", "--locked", "--quiet", "--package", "verbatim-tests", "--test", "simulation"]);
        command
    }
}

/// Runs with everything printed going to `log`; how it ended, or `None` if it had to be ended after `patience`.
fn quietly(command: &mut Command, log: &Path, patience: Duration) -> Result<Option<ExitStatus>, Failure> {
    let shown = shown(command);
    let doing = || format!("run {shown} with its output in {}", log.display());
    let output = fs::File::create(log).map_err(Failure::while_doing(doing()))?;
    let errors = output.try_clone().map_err(Failure::while_doing(doing()))?;
    // A group of its own, to be ended with the programs it starts.
    command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
    let mut child = command.spawn().map_err(Failure::while_doing(doing()))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(Failure::while_doing(doing()))? {
            return Ok(Some(status));
        }
        if start.elapsed() > patience {
            let group = format!("-{}", child.id());
            let mut kill = Command::new("kill");
            kill.args(["-KILL", "--", &group]).status().map_err(Failure::while_doing(doing()))?;
            child.wait().map_err(Failure::while_doing(doing()))?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// What the simulation says of its failures.
fn first_failing(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.starts_with("failing seeds"));
    line.map_or_else(
        || format!("see {}", log.display()),
        |line| line.split(';').next().unwrap_or(line).to_owned(),
    )
}
