//! `far`: one of the clusters is at the end of a long line.

use super::super::contenders::Contender;
use super::super::parts::BYTES_PER_SECOND;
use super::super::session::Session;
use super::super::table::{Row, Spread, shown};
use super::CopyLoad;
use super::plain::plain;
use super::turns::{rows, turns, warm_up};
use std::fmt::Write;
use std::time::Duration;
use xtask::command::Failure;

pub(super) const NAME: &str = "far";
pub(super) const ABOUT: &str =
    "source or target behind 1 Gbit/s and 50 or 100 ms of round trip, 4 partitions, 1 and 256";
const ROUND_TRIPS_MS: [u64; 2] = [50, 100];
/// All with the same bytes: of many partitions each is only a little behind.
pub(in super::super) const PARTITIONS: [u32; 3] = [4, 1, 256];
/// At scale 1: four seconds of the line.
const RECORDS: u64 = 500_000;
/// Two seconds of the line.
const BLAST_BYTES: u64 = 2 * BYTES_PER_SECOND;
/// What the line has to carry by itself for the rest to mean something.
const ENOUGH_PERCENT: f64 = 99.0;

pub(super) fn run(session: &mut Session) -> Result<String, Failure> {
    let mut text = format!(
        "Records of 1 KiB of random bytes in batches of 64 KiB. One cluster is behind a proxy of 1 Gbit/s for each direction, which all \
         connections share, and half of the round trip each way; its brokers advertise the proxy's address. Nothing is lost on the \
         line. There is as much to copy each time: of many partitions each is only a little behind.\n\n\
         {}| far | round trip, ms | partitions | what | MB/s | % of the line | CPU-s/GiB | first record, ms |\n\
         |---|---|---|---|---|---|---|---|\n",
        lines(session)?
    );
    for partitions in session.options.far_partitions.clone() {
        let load = CopyLoad { name: NAME, records: RECORDS, partitions, ..plain() };
        let near = load.produced(session)?;
        warm_up(session, &format!("{NAME}, {partitions} partitions"), &near)?;
        for far_source in [true, false] {
            for round_trip_ms in ROUND_TRIPS_MS {
                let Some(links) = &mut session.links else { continue };
                let (side, link) = if far_source {
                    (&session.stage.source, &mut links.source)
                } else {
                    (&session.stage.target, &mut links.target)
                };
                link.lead(side.cluster.proxied()?, Duration::from_millis(round_trip_ms))?;
                let mut job = near.clone();
                *(if far_source { &mut job.from } else { &mut job.to }) = link.address.to_string();
                let turns = turns(session, &job, takes_part);
                let case = if far_source { "source" } else { "target" };
                let label = format!("{NAME} {case}, {round_trip_ms} ms, {partitions} partitions");
                // Brokers store more than payload, and that has to cross the line too.
                #[expect(clippy::cast_precision_loss, reason = "figures for people")]
                let stored = job.log_bytes as f64 / job.payload_bytes as f64;
                for row in rows(session, &label, &turns)? {
                    let _ = write!(text, "| {case} | {round_trip_ms} | {partitions} ");
                    text.push_str(&columns(&row, stored));
                }
            }
        }
        session.stage.source.clear(&[])?;
    }
    Ok(text)
}

/// Replicators that copy some data in a time worth measuring here; MirrorMaker 2 is slower than the line is.
fn takes_part(contender: &Contender) -> bool {
    contender.is_replicator() && !matches!(contender, Contender::MirrorMaker(_))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn columns(row: &Row, stored: f64) -> String {
    let column =
        |value: &dyn Fn(&super::super::run::Figures) -> f64| shown(Spread::of(row.runs.iter().map(value)));
    let line = BYTES_PER_SECOND as f64 / 1e6;
    format!(
        "| `{}` | {} | {} | {} | {} |\n",
        row.name,
        column(&|run| run.megabytes_per_second),
        column(&|run| 100.0 * run.megabytes_per_second * stored / line),
        column(&|run| run.cpu_seconds_per_gib),
        column(&|run| run.first_seconds * 1000.0),
    )
}

/// What the lines themselves carry: bytes without meaning, blasted through them.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn lines(session: &mut Session) -> Result<String, Failure> {
    let mut text = String::new();
    let mut said = Vec::new();
    let mut is_enough = true;
    let Some(links) = &mut session.links else {
        return Err(Failure::Failed("there are no links".to_owned()));
    };
    for round_trip_ms in ROUND_TRIPS_MS {
        let rate = links.source.blasted(Duration::from_millis(round_trip_ms), BLAST_BYTES)?;
        let percent = 100.0 * rate / BYTES_PER_SECOND as f64;
        said.push(format!("{NAME}: a blast over {round_trip_ms} ms: {:.1} MB/s, {percent:.1} %", rate / 1e6));
        let _ = write!(text, "{:.1} MB/s ({percent:.1} %) at {round_trip_ms} ms; ", rate / 1e6);
        is_enough &= percent >= ENOUGH_PERCENT;
    }
    said.iter().for_each(|line| session.progress(line));
    let text = text.trim_end_matches("; ");
    let doubt = if is_enough {
        ""
    } else {
        " **That is less than the line: this machine was too busy for it, and what follows is too low.**"
    };
    Ok(format!("One connection that sends bytes without meaning gets {text}.{doubt}\n\n"))
}
