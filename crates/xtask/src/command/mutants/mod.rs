//! `cargo xtask mutants`: does the simulation see what it is there to see? Plants one bug after the other in a copy of the
//! workspace and plays schedules of `tests/tests/chaos.rs` until one of them fails. A bug that is not found is a hole in the simulation.

mod bugs;
mod copy;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

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
    let field = Field::new(seeds)?;
    println!("without a bug: {seeds} schedules");
    if let Played::Failed { log } = field.play()? {
        return Err(Failure::Failed(format!("the simulation fails without a bug: see {}", log.display())));
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
}

enum Played {
    Passed,
    Failed { log: PathBuf },
}

impl Field {
    fn new(seeds: u32) -> Result<Self, Failure> {
        let root = target_directory().join("mutants");
        let field = Self { tree: root.join("tree"), build: root.join("build"), seeds };
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
        if !quietly(&mut build, &log)? {
            return Err(Failure::Failed(format!("the workspace does not build: see {}", log.display())));
        }
        let log = self.build.with_file_name("play.log");
        let mut play = self.test();
        play.env("VERBATIM_SEEDS", self.seeds.to_string()).env_remove("VERBATIM_SEED");
        Ok(if quietly(&mut play, &log)? { Played::Passed } else { Played::Failed { log } })
    }

    fn test(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        command.args(["test", "--locked", "--quiet", "--package", "verbatim-tests", "--test", "chaos"]);
        command
    }
}

/// Runs with everything printed going to `log`; whether it succeeded.
fn quietly(command: &mut Command, log: &Path) -> Result<bool, Failure> {
    let shown = shown(command);
    let doing = || format!("run {shown} with its output in {}", log.display());
    let output = fs::File::create(log).map_err(Failure::while_doing(doing()))?;
    let errors = output.try_clone().map_err(Failure::while_doing(doing()))?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = command.status().map_err(Failure::while_doing(doing()))?;
    Ok(status.success())
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
