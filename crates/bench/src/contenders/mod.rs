//! What is measured: verbatim, other replicators, and references.

mod franz_go;
mod mirror_maker;
mod other;
mod verbatim;

pub(super) use franz_go::{FranzGo, go_version};
pub(super) use mirror_maker::MirrorMaker;
pub(super) use other::Other;
pub(super) use verbatim::Verbatim;

use super::job::Job;
use super::parts::part;
use super::process::Nursery;
use std::process::Command;
use xtask::command::Failure;

/// One of them.
#[derive(Debug)]
pub(super) enum Contender {
    Verbatim(Verbatim),
    MirrorMaker(MirrorMaker),
    FranzGo(FranzGo),
    /// A command line given with `--vs`.
    Other(Other),
    /// A bare TCP relay that moves as many bytes.
    Relay,
    /// The source's batches fetched and thrown away.
    FetchOnly,
    /// The same batches produced from memory.
    ProduceOnly,
}

/// All that `--against` knows besides `verbatim`, in the order in which they run.
pub(super) const NAMES: [&str; 7] =
    ["adaptive", "mm2", "mm2-tuned", "franz-go", "relay", "fetch-only", "produce-only"];

impl Contender {
    /// Its name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Verbatim(verbatim) => verbatim.name(),
            Self::MirrorMaker(mirror_maker) => mirror_maker.name(),
            Self::FranzGo(_) => "franz-go",
            Self::Other(_) => "--vs",
            Self::Relay => "relay",
            Self::FetchOnly => "fetch-only",
            Self::ProduceOnly => "produce-only",
        }
    }

    /// Whether it replicates: the others are references for a part of the work.
    pub(super) fn is_replicator(&self) -> bool {
        matches!(self, Self::Verbatim(_) | Self::MirrorMaker(_) | Self::FranzGo(_) | Self::Other(_))
    }

    /// The process that does `job`. `run` names it: no two runs have the same.
    pub(super) fn command(&self, job: &Job, run: &str, nursery: &Nursery) -> Result<Command, Failure> {
        let records = job.records.to_string();
        match self {
            Self::Verbatim(verbatim) => Ok(verbatim.command(job, run)),
            Self::MirrorMaker(mirror_maker) => mirror_maker.command(job, nursery),
            Self::FranzGo(franz_go) => Ok(franz_go.command(job)),
            Self::Other(other) => Ok(other.command(job)),
            Self::Relay => Ok(part("relay")),
            Self::FetchOnly => {
                let mut command = part("fetch");
                command.args([&job.from, &job.topic, &records]);
                Ok(command)
            }
            Self::ProduceOnly => {
                let mut command = part("produce");
                command.args([&job.from, &job.to, &job.topic, &records]);
                Ok(command)
            }
        }
    }

    /// Whether it ends by itself once all is copied.
    pub(super) fn ends_by_itself(&self) -> bool {
        !matches!(self, Self::MirrorMaker(_) | Self::Other(_))
    }
}

/// What every contender is told in its environment.
fn environment<'a>(command: &'a mut Command, job: &Job) -> &'a mut Command {
    command
        .env("FROM", &job.from)
        .env("TO", &job.to)
        .env("TOPIC", &job.topic)
        .env("PARTITIONS", job.partitions.to_string())
        .env("RECORDS", job.records.to_string())
        .env("COMPRESSION", job.codec);
    if let Some(ca_file) = &job.ca_file {
        command.env("CA_FILE", ca_file);
    }
    if job.follows {
        command.env("FOLLOW", "1");
    }
    command
}
