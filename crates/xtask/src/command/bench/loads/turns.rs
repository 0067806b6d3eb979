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

/// The rounds, from 1, each with the numbers of all `turns` in their order: it begins with another every time, because brokers get faster
/// for long and a run feels what the one before it left behind.
pub(super) fn order(rounds: usize, turns: usize) -> impl Iterator<Item = (usize, usize)> {
    (1..=rounds).flat_map(move |round| {
        let first = (round - 1) % turns.max(1);
        (first..turns).chain(0..first).map(move |number| (round, number))
    })
}

/// All in turn, as many rounds as asked for.
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
    for (round, number) in order(session.options.rounds, turns.len()) {
        let (Some(turn), Some(row)) = (turns.get(number), rows.get_mut(number)) else { continue };
        // What has failed once is not waited for again.
        if row.failure.is_some() {
            continue;
        }
        let name = run_name(load, &format!("{number}-{round}"));
        match measured(&session.stage, turn.contender, &turn.job, &name) {
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
    Ok(rows)
}

/// A name for one run, of letters that may be part of a topic's name.
fn run_name(load: &str, rest: &str) -> String {
    let name = format!("{load}-{rest}");
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn each_round_begins_with_another() {
        let order: Vec<_> = order(4, 3).collect();
        let rounds: Vec<Vec<usize>> =
            order.chunks(3).map(|round| round.iter().map(|(_, number)| *number).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        assert_eq!((order.first(), order.last()), (Some(&(1, 0)), Some(&(4, 2))));
        assert_eq!(super::order(3, 0).count(), 0);
    }
}
