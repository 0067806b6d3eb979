//! `tls`: what encryption on both sides costs, beside the same copy without it.

use super::super::contenders::Contender;
use super::super::job::Job;
use super::super::session::Session;
use super::super::table::{ratio, table};
use super::CopyLoad;
use super::plain::plain;
use super::turns::{Turn, rows, turns, warm_up};
use std::fmt::Write;
use xtask::command::Failure;

pub(super) const NAME: &str = "tls";
pub(super) const ABOUT: &str = "as plain, with and without TLS on both sides";
const SUFFIX: &str = ", TLS";
const IN_MEMORY: &str = ", in memory";

pub(super) fn run(session: &Session) -> Result<String, Failure> {
    let Some(authority) = &session.stage.authority else {
        return Err(Failure::Failed("the clusters have no TLS".to_owned()));
    };
    let load = CopyLoad { name: NAME, ..plain() };
    let job = load.produced(session)?;
    let mut secure = job.clone();
    secure.from = session.stage.source.cluster.secure_bootstrap();
    secure.to = session.stage.target.cluster.secure_bootstrap();
    secure.ca_file = Some(authority.ca_file());
    let takes_part =
        |contender: &Contender| contender.is_replicator() && !matches!(contender, Contender::Other(_));
    let in_memory = Job { in_memory: true, ..job.clone() };
    // With TLS payloads cannot stay in the kernel: what encryption itself costs is seen beside the same copy through memory.
    let all = turns(session, &job, takes_part).into_iter().flat_map(|turn| {
        let contender = turn.contender;
        let encrypted = Turn { label: format!("{}{SUFFIX}", turn.label), contender, job: secure.clone() };
        let read = Turn { label: format!("{}{IN_MEMORY}", turn.label), contender, job: in_memory.clone() };
        let splices = matches!(contender, Contender::Verbatim(_));
        [Some(turn), splices.then_some(read), Some(encrypted)].into_iter().flatten()
    });
    warm_up(session, NAME, &secure)?;
    let rows = rows(session, NAME, &all.collect::<Vec<_>>())?;
    session.stage.source.clear(&[])?;

    let mut text = format!("{}\n{}", load.described(&job), table(&rows));
    for row in &rows {
        let of_same = row.name.trim_end_matches(IN_MEMORY);
        let encrypted = rows.iter().find(|other| other.name == format!("{of_same}{SUFFIX}"));
        let costs = encrypted.and_then(|encrypted| Some((encrypted.cpu()?, row.cpu()?)));
        if let Some((encrypted, plain)) = costs {
            let _ = writeln!(text, "\n`{}`: {} × the CPU with TLS.", row.name, ratio(encrypted, plain));
        }
    }
    Ok(text)
}
