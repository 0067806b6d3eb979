//! `verbatim` dies again and again, at any moment of its life, while producers write; afterwards the copy is compared.

use std::fmt;
use std::time::Duration;

use crate::replication::{Offsets, Replication};
use crate::scenario::Dice;
use crate::scene::Scene;
use crate::verbatim::{PATIENCE, Verbatim};
use crate::waiting::wait_until;
use crate::workload::{Stream, Workload, keep_log, seed};
use crate::{Failure, TestResult};

/// How often to look whether the target has grown.
const LOOK: Duration = Duration::from_millis(50);

/// Kills it `rounds` times while `streams` flow, starts it again at once each time, and compares. The moments are chosen at random;
/// `VERBATIM_SEED` chooses the same again.
pub fn killed_while(
    name: &str,
    streams: Vec<Stream>,
    rounds: u32,
    offsets: Offsets,
    words: &[&str],
) -> TestResult {
    let seed = seed()?;
    let mut dice = Dice::new(seed);
    let Some(scene) = Scene::shared_and_cleaned()? else { return Ok(()) };
    let mut workload = Workload::begin(scene, name, streams)?;
    workload.batches_may_differ = words.contains(&"adaptive");
    let replication = Replication::new(scene, name, &workload.pattern()).offsets(offsets).with(words);
    let mut story = Story::default();
    let told = |failure: &Failure, log: &str| -> Failure {
        let kept = keep_log(&format!("kills-{name}.log"), log);
        format!("VERBATIM_SEED={seed}: {failure:?}\nall instances logged to {kept:?}").into()
    };
    for round in 0..rounds {
        let struck = story.round(round, scene, &workload, &replication, &mut dice);
        struck.map_err(|failure| told(&failure, &story.log))?;
    }
    // The short form may be over before the cleaner has found anything.
    wait_until("the cleaner to run", PATIENCE, || workload.is_thinned(scene))?;
    workload.finish()?;
    let ended = replication.catch_up().map_err(|failure| told(&failure, &story.log))?;
    story.log += &ended.stderr;

    let tally = workload.compare(scene, offsets == Offsets::Preserve)?;
    println!("{name}: {story}; {tally}; {}", ended.stdout.trim());
    if tally.violations.is_empty() {
        return Ok(());
    }
    Err(told(&tally.violations.join("\n").into(), &story.log))
}

/// What happened so far.
#[derive(Debug, Default)]
struct Story {
    kills: u32,
    ends: u32,
    /// From the start of an instance to the first new record on the target, in ms, where it lived to see it.
    progress: Vec<u128>,
    log: String,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, ends, progress, log: _ } = self;
        let mut progress = progress.clone();
        progress.sort_unstable();
        let median = progress.get(progress.len() / 2).copied().unwrap_or(0);
        let slowest = progress.last().copied().unwrap_or(0);
        let seen = progress.len();
        write!(
            f,
            "{kills} kills, {ends} orderly ends; {seen} instances lived to make progress: median {median} ms after their start, \
             slowest {slowest} ms"
        )
    }
}

impl Story {
    /// One life, or two short ones.
    fn round(
        &mut self,
        round: u32,
        scene: &Scene,
        workload: &Workload,
        replication: &Replication,
        dice: &mut Dice,
    ) -> TestResult {
        let moment = Duration::from_millis(match dice.roll(4) {
            // Before the first request is answered; while it looks at the clusters; while it copies.
            0 => dice.roll(50),
            1 => dice.roll(600),
            _ => 500 + dice.roll(3_000),
        });
        let mut target = scene.at_target();
        let before = workload.ends(&mut target)?;
        let mut verbatim = replication.start()?;
        let may_live_on = round % 10 == 9;
        let patience = if may_live_on { PATIENCE } else { moment };
        let mut progress = None;
        while verbatim.started().elapsed() < patience {
            let rest = patience.saturating_sub(verbatim.started().elapsed());
            std::thread::sleep(rest.min(LOOK));
            if progress.is_none() && rest > LOOK && workload.ends(&mut target)? > before {
                progress = Some(verbatim.started().elapsed().as_millis());
            }
            // Now and then it has to get somewhere, however often it died before.
            if may_live_on && progress.is_some() {
                break;
            }
        }
        self.progress.extend(progress);
        if !verbatim.is_running() {
            let ended = verbatim.ended(PATIENCE)?;
            let message =
                format!("round {round}: it ended by itself with {:?}: {}", ended.code, ended.complaint());
            self.log += &ended.stderr;
            return Err(message.into());
        }
        let choice = dice.roll(10);
        if may_live_on && progress.is_none() {
            self.log += &verbatim.kill();
            return Err(format!("round {round}: no progress").into());
        }
        let what = match choice {
            0 | 1 => self.interrupt(verbatim)?,
            2 => {
                self.kill(verbatim)?;
                let again = replication.start()?;
                std::thread::sleep(Duration::from_millis(dice.roll(20)));
                self.kill(again)?;
                "killed twice"
            }
            _ => {
                self.kill(verbatim)?;
                "killed"
            }
        };
        self.log += &format!("#### round {round}: {what} after {} ms\n", moment.as_millis());
        Ok(())
    }

    fn kill(&mut self, verbatim: Verbatim) -> TestResult {
        self.kills += 1;
        let log = verbatim.kill();
        self.log += &log;
        no_errors(&log)
    }

    fn interrupt(&mut self, verbatim: Verbatim) -> TestResult<&'static str> {
        self.ends += 1;
        // Not INT: where a shell in the background has that ignored, it is sent only once it has an effect.
        verbatim.signal("TERM")?;
        let ended = verbatim.ended(PATIENCE)?;
        self.log += &ended.stderr;
        // Without a code: it had not got as far as to listen for the signal.
        match ended.code {
            Some(0) | None => no_errors(&ended.stderr).map(|()| "ended"),
            code => Err(format!("exit code {code:?} after SIGTERM: {}", ended.complaint()).into()),
        }
    }
}

/// An error if one was logged.
pub fn no_errors(log: &str) -> TestResult {
    match log.lines().find(|line| line.contains("ERROR")) {
        Some(line) => Err(line.into()),
        None => Ok(()),
    }
}
