//! Contenders in turn.

use super::super::contenders::Contender;
use super::super::job::Job;
use super::super::run::measured;
use super::super::session::Session;
use super::super::table::Row;
use crate::command::Failure;

/// Who copies what, and what that is called.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) label: String,
    pub(super) contender: &'a Contender,
    pub(super) job: Job,
}

/// One turn for each of the session's contenders that `takes_part`.
pub(super) fn turns<'a>(
    session: &'a Session,
    job: &Job,
    takes_part: impl Fn(&Contender) -> bool,
) -> Vec<Turn<'a>> {
    let contenders = session.contenders.iter().filter(|contender| takes_part(contender));
    contenders
        .map(|contender| Turn { label: contender.name().to_owned(), contender, job: job.clone() })
        .collect()
}

/// A run that does not count, for the brokers to get warm.
pub(super) fn warm_up(session: &Session, load: &str, job: &Job) -> Result<(), Failure> {
    let Some(contender) = session.contenders.first() else { return Ok(()) };
    session.progress(&format!("{load}: a run to warm up"));
    measured(&session.stage, contender, job, &run_name(load, "warm-up")).map(|_| ())
}

/// All in turn, as many rounds as asked for; each round begins with another, because brokers get faster for long and a run feels what
/// the one before it left behind.
pub(super) fn rows(session: &Session, load: &str, turns: &[Turn<'_>]) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = turns
        .iter()
        .map(|turn| Row {
            name: turn.label.clone(),
            is_replicator: turn.contender.is_replicator(),
            runs: Vec::new(),
            failure: None,
        })
        .collect();
    for round in 1..=session.options.rounds {
        let first = (round - 1) % turns.len().max(1);
        for number in (first..turns.len()).chain(0..first) {
            let (Some(turn), Some(row)) = (turns.get(number), rows.get_mut(number)) else { continue };
            // What has failed once is not waited for again.
            if row.failure.is_some() {
                continue;
            }
            match measured(
                &session.stage,
                turn.contender,
                &turn.job,
                &run_name(load, &format!("{number}-{round}")),
            ) {
                Ok(figures) => {
                    session.progress(&format!(
                        "{load}: round {round}, {}: {:.0} MB/s, {:.2} CPU-s/GiB, first record after {:.0} ms",
                        turn.label,
                        figures.megabytes_per_second,
                        figures.cpu_seconds_per_gib,
                        figures.first_seconds * 1000.0
                    ));
                    row.runs.push(figures);
                }
                Err(failure) => row.failure = Some(session.failed(load, &turn.label, failure)),
            }
        }
    }
    Ok(rows)
}

/// A name for one run, of letters that may be part of a topic's name.
fn run_name(load: &str, rest: &str) -> String {
    let name = format!("{load}-{rest}");
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}
