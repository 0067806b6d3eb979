//! `start`: from the start of the process until the first record is on the target.

use super::super::contenders::Contender;
use super::super::session::Session;
use super::super::table::{Spread, shown};
use super::CopyLoad;
use super::plain::plain;
use super::turns::{rows, turns, warm_up};
use std::fmt::Write;
use xtask::command::Failure;

pub(super) const NAME: &str = "start";
pub(super) const ABOUT: &str =
    "time to the first record on 12 and on 1,000 partitions, target topic there or not";
const PARTITIONS: [u32; 2] = [12, 1000];
/// Some for each partition.
const RECORDS_EACH: u64 = 10;

pub(super) fn run(session: &Session) -> Result<String, Failure> {
    let mut text = format!(
        "{RECORDS_EACH} records of 1 KiB in each partition. From the start of the process; the target topic is there before, or the \
         replicator creates it.\n\n\
         | partitions | target topic | what | first record, ms | all records, ms |\n|---|---|---|---|---|\n"
    );
    for partitions in PARTITIONS {
        let load = CopyLoad {
            name: NAME,
            partitions,
            // Sizes do not shrink here: they are what is asked about.
            records: session.options.unscaled(RECORDS_EACH * u64::from(partitions)),
            batch_records: RECORDS_EACH,
            ..plain()
        };
        let mut job = load.produced(session)?;
        warm_up(session, NAME, &job)?;
        for target_exists in [true, false] {
            job.target_exists = target_exists;
            let creates = |contender: &Contender| {
                target_exists || !matches!(contender, Contender::FranzGo(_) | Contender::Other(_))
            };
            let turns = turns(session, &job, |contender| contender.is_replicator() && creates(contender));
            let case = if target_exists { "there" } else { "not there" };
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let megabytes = job.payload_bytes as f64 / 1e6;
            for row in rows(session, &format!("{NAME} {partitions}, {case}"), &turns)? {
                let first = Spread::of(row.runs.iter().map(|run| run.first_seconds * 1000.0));
                let all = row.runs.iter().map(|run| megabytes / run.megabytes_per_second_overall * 1000.0);
                let (first, all) = (shown(first), shown(Spread::of(all)));
                let _ = writeln!(text, "| {partitions} | {case} | `{}` | {first} | {all} |", row.name);
            }
        }
        session.stage.source.clear(&[])?;
    }
    Ok(text)
}
