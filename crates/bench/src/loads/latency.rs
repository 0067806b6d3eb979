//! `latency`: a steady trickle, and how long each record takes to the target.

use super::super::contenders::Contender;
use super::super::job::Job;
use super::super::parts::part;
use super::super::run::write_back;
use super::super::session::Session;
use super::super::table::{Spread, shown};
use super::super::usage::of_process;
use super::turns::order;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};
use xtask::command::Failure;

pub(super) const NAME: &str = "latency";
pub(super) const ABOUT: &str =
    "1,000 records of 200 B a second on 3 partitions: how long each takes to the target";
const PARTITIONS: u32 = 3;
const RATE: u64 = 1000;
const RECORD_BYTES: u64 = 200;
/// What the probe takes to end once all has arrived.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of a run that does not count, for the brokers to get warm.
const WARM_UP_SECONDS: u64 = 10;

/// p50, p99, p99.9 and the largest, in milliseconds.
type Quantiles = [f64; 4];

/// What one run of one contender came to.
struct Outcome {
    source: Quantiles,
    target: Quantiles,
    between: Quantiles,
    /// CPU of the contender while it was measured, in percent of a core.
    cpu_percent: f64,
}

pub(super) fn run(session: &Session) -> Result<String, Failure> {
    let contenders = session.contenders.iter().filter(|contender| contender.is_replicator());
    let mut rows: Vec<(&Contender, Vec<Outcome>, Option<String>)> =
        contenders.map(|contender| (contender, Vec::new(), None)).collect();
    if let Some((contender, ..)) = rows.first() {
        session.progress(&format!("{NAME}: a run to warm up"));
        let warm_up = once(session, contender, 0, WARM_UP_SECONDS);
        session.stage.source.clear(&[])?;
        session.stage.target.clear(&[])?;
        warm_up?;
    }
    for (round, number) in order(session.options.rounds, rows.len()) {
        let row = rows.get_mut(number).filter(|row| row.2.is_none());
        let Some((contender, outcomes, failure)) = row else { continue };
        match once(session, contender, round, session.options.seconds) {
            Ok(outcome) => {
                let [p50, p99, ..] = outcome.target;
                let name = contender.name();
                session.progress(&format!("{NAME}: round {round}, {name}: p50 {p50:.2} ms, p99 {p99:.2} ms"));
                outcomes.push(outcome);
            }
            Err(error) => *failure = Some(session.failed(NAME, contender.name(), error)),
        }
        session.stage.source.clear(&[])?;
        session.stage.target.clear(&[])?;
    }
    let mut text = format!(
        "{RATE} records of {RECORD_BYTES} B a second on {PARTITIONS} partitions for {} s. From the moment a record is handed to the \
         connection: until a consumer at the source has it, until one at the target has it, and the time between the two (of each \
         record). One process, one clock; milliseconds.\n\n\
         | what | at the source p50 / p99 / p99.9 | at the target p50 | p99 | p99.9 | added p50 | p99 | p99.9 | CPU, % of a core |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        session.options.seconds
    );
    for (contender, outcomes, _) in &rows {
        let column = |value: &dyn Fn(&Outcome) -> f64| Spread::of(outcomes.iter().map(value));
        let median = |value: &dyn Fn(&Outcome) -> f64| {
            column(value).map_or_else(|| "–".to_owned(), |spread| format!("{:.2}", spread.median))
        };
        let _ = write!(
            text,
            "| `{}` | {} / {} / {} |",
            contender.name(),
            median(&|outcome| outcome.source[0]),
            median(&|outcome| outcome.source[1]),
            median(&|outcome| outcome.source[2]),
        );
        for at in 0..3 {
            let _ = write!(text, " {} |", shown(column(&|outcome| outcome.target[at])));
        }
        for at in 0..3 {
            let _ = write!(text, " {} |", shown(column(&|outcome| outcome.between[at])));
        }
        let _ = writeln!(text, " {} |", shown(column(&|outcome| outcome.cpu_percent)));
    }
    for (contender, _, failure) in &rows {
        if failure.is_some() {
            let _ = writeln!(text, "\n`{}` failed.", contender.name());
        }
    }
    Ok(text)
}

fn once(session: &Session, contender: &Contender, round: usize, seconds: u64) -> Result<Outcome, Failure> {
    write_back();
    let stage = &session.stage;
    let topic = format!("bench-{NAME}");
    stage.source.create(&topic, PARTITIONS)?;
    stage.target.create(&topic, PARTITIONS)?;
    let job = Job {
        from: stage.source.bootstrap(),
        to: stage.target.bootstrap(),
        topic,
        partitions: PARTITIONS,
        records: 0,
        payload_bytes: 0,
        log_bytes: 0,
        codec: "none",
        ca_file: None,
        in_memory: false,
        follows: true,
        target_exists: true,
    };
    let command = contender.command(&job, &format!("{NAME}-{round}"), &stage.nursery)?;
    let mut running = stage.nursery.start(command, false)?;
    let mut probe = part("probe");
    probe.args([&job.from, &job.to, &job.topic]);
    probe.args([RATE, RECORD_BYTES, seconds].map(|number| number.to_string()));
    let mut probe = stage.nursery.start(probe, true)?;
    let stdout = probe.child.stdout.take();
    let mut said = stdout.map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
    let mut said = || said.as_mut().and_then(Iterator::next);

    if said().as_deref() != Some("measuring") {
        return Err(failure_of_either(&running, &probe));
    }
    let (began, before) = (Instant::now(), of_process(running.pid()).unwrap_or_default().cpu_seconds);
    let quantiles = said().as_deref().and_then(quantiles);
    let after = of_process(running.pid()).unwrap_or_default().cpu_seconds;
    let cpu_percent = 100.0 * (after - before) / began.elapsed().as_secs_f64().max(1e-6);
    let all =
        (quantiles, said().as_deref().and_then(self::quantiles), said().as_deref().and_then(self::quantiles));
    let (Some(source), Some(target), Some(between)) = all else {
        return Err(failure_of_either(&running, &probe));
    };
    probe.ended(PATIENCE)?;
    running.end()?;
    Ok(Outcome { source, target, between, cpu_percent })
}

/// The probe says what is missing, the replicator why.
fn failure_of_either(
    running: &super::super::process::Running,
    probe: &super::super::process::Running,
) -> Failure {
    let ended = if running.has_ended() { "has ended early" } else { "was too slow" };
    let (Failure::Failed(why) | Failure::Usage(why)) = running.failure(ended);
    let (Failure::Failed(what) | Failure::Usage(what)) = probe.failure("has ended");
    Failure::Failed(format!("{what}\n{why}"))
}

/// Four numbers in microseconds, as milliseconds.
fn quantiles(line: &str) -> Option<Quantiles> {
    let micros: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    Some(<[f64; 4]>::try_from(micros).ok()?.map(|micros| micros / 1000.0))
}
