//! Contenders in turn.

use super::super::contenders::Contender;
use super::super::job::Job;
use super::super::run::measured;
use super::super::session::Session;
use super::super::table::Row;
use xtask::command::Failure;

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

/// The rounds, from 1, each with the numbers of all `turns` in their order. Each round begins with another, because brokers get faster
/// for long. A run feels what the one before it left behind, so that each follows each other one equally often: in as many rounds as
/// there are turns, or twice as many where that is odd (E. J. Williams, "Experimental designs balanced for the estimation of
/// residual effects of treatments", 1949).
pub(super) fn order(rounds: usize, turns: usize) -> impl Iterator<Item = (usize, usize)> {
    (1..=rounds).flat_map(move |round| {
        let first = (round - 1) % turns.max(1);
        let is_mirrored = turns % 2 == 1 && round % 2 == 0;
        (0..turns).map(move |at| {
            // 0, 1, -1, 2, -2 ... of the first.
            let (ahead, behind) = if at % 2 == 1 { (at.div_ceil(2), 0) } else { (0, at / 2) };
            let (ahead, behind) = if is_mirrored { (behind, ahead) } else { (ahead, behind) };
            (round, (first + ahead + turns - behind) % turns)
        })
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
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn each_comes_after_each_other_as_often() {
        for turns in 1..9 {
            let order: Vec<_> = order(turns * 2, turns).collect();
            let mut pairs = BTreeMap::new();
            for (number, round) in order.chunks(turns).enumerate() {
                assert!(round.iter().all(|(round, _)| *round == number + 1));
                let round: Vec<_> = round.iter().map(|(_, turn)| *turn).collect();
                assert_eq!(round.first(), Some(&(number % turns)), "each round begins with another");
                assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), turns, "{round:?}");
                for pair in round.windows(2) {
                    *pairs.entry(pair.to_vec()).or_insert(0) += 1;
                }
            }
            assert_eq!(pairs.len(), turns * (turns - 1));
            assert!(pairs.values().all(|times| *times == 2), "{turns}: {pairs:?}");
        }
        assert_eq!(super::order(3, 0).count(), 0);
    }
}
