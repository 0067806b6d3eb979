//! `idle`: what it costs when nothing happens.

use super::super::contenders::Contender;
use super::super::process::Running;
use super::super::run::write_back;
use super::super::session::Session;
use super::super::table::{Spread, shown};
use super::super::usage::of_process;
use super::CopyLoad;
use super::plain::plain;
use super::turns::order;
use std::fmt::Write;
use std::time::{Duration, Instant};
use xtask::command::Failure;

pub(super) const NAME: &str = "idle";
pub(super) const ABOUT: &str =
    "CPU over 20 s on 1,000 partitions where all is copied and nothing produced (verbatim only)";
const PARTITIONS: u32 = 1000;
const OVER: Duration = Duration::from_secs(20);
/// From the last record until the measuring begins: what follows it, such as noting positions, is not idleness.
const SETTLE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn run(session: &Session) -> Result<String, Failure> {
    let load = CopyLoad {
        name: NAME,
        partitions: PARTITIONS,
        records: session.options.unscaled(u64::from(PARTITIONS)),
        batch_records: 1,
        ..plain()
    };
    let mut job = load.produced(session)?;
    job.follows = true;
    let mut text = format!(
        "{PARTITIONS} partitions, caught up, nothing produced; over {} s.\n\n\
         | what | CPU, % of a core | peak RSS, MiB |\n|---|---|---|\n",
        OVER.as_secs()
    );
    let stage = &session.stage;
    let own = |contender: &&Contender| matches!(contender, Contender::Verbatim(_));
    let contenders = session.contenders.iter().filter(own);
    let mut rows: Vec<(&Contender, Vec<f64>, Vec<f64>)> =
        contenders.map(|contender| (contender, Vec::new(), Vec::new())).collect();
    for (round, number) in order(session.options.rounds, rows.len()) {
        let Some((contender, percents, peaks)) = rows.get_mut(number) else { continue };
        write_back();
        stage.target.create(&job.topic, PARTITIONS)?;
        let command = contender.command(&job, &format!("{NAME}-{round}"), &stage.nursery)?;
        let mut running = stage.nursery.start(command, false)?;
        let begin = Instant::now();
        while stage.runtime.block_on(stage.target.records(&job.topic, PARTITIONS))? < job.records {
            if running.has_ended() || begin.elapsed() > PATIENCE {
                return Err(running.failure("has not caught up"));
            }
            std::thread::sleep(LOOK);
        }
        let (percent, peak) = watched(&mut running)?;
        session.progress(&format!("{NAME}: round {round}, {}: {percent:.2} % of a core", contender.name()));
        percents.push(percent);
        peaks.push(peak);
        stage.target.clear(&[])?;
    }
    for (contender, percents, peaks) in rows {
        let (percent, peak) = (shown(Spread::of(percents)), shown(Spread::of(peaks)));
        let _ = writeln!(text, "| `{}` | {percent} | {peak} |", contender.name());
    }
    stage.source.clear(&[])?;
    Ok(text)
}

/// CPU in percent of a core and the peak of the memory.
fn watched(running: &mut Running) -> Result<(f64, f64), Failure> {
    std::thread::sleep(SETTLE);
    let (begin, before) = (Instant::now(), of_process(running.pid()).unwrap_or_default());
    std::thread::sleep(OVER);
    let (elapsed, after) = (begin.elapsed(), of_process(running.pid()).unwrap_or_default());
    if running.has_ended() {
        return Err(running.failure("has ended early"));
    }
    running.end()?;
    let percent = 100.0 * (after.cpu_seconds - before.cpu_seconds) / elapsed.as_secs_f64();
    Ok((percent, after.peak_rss_mib))
}
