//! What is copied, and how it is judged: one file a load.

mod compressed;
mod copy;
mod far;
mod idle;
mod large;
mod latency;
mod many;
mod plain;
mod small;
mod start;
mod tls;
mod turns;

pub(super) use copy::CopyLoad;
pub(super) use far::PARTITIONS as FAR_PARTITIONS;

use super::session::Session;
use xtask::command::Failure;

/// One load.
#[derive(Debug, Clone)]
pub(super) enum Load {
    /// A topic that lies there, copied to its end.
    Copy(CopyLoad),
    Latency,
    Far,
    Tls,
    Start,
    Idle,
}

impl Load {
    /// All loads, in the order in which they run.
    pub(super) fn all() -> Vec<Self> {
        let copies = [
            plain::plain(),
            compressed::lz4(),
            compressed::zstd(),
            small::one(),
            small::twelve(),
            large::large(),
            many::many(),
        ];
        let others = [Self::Latency, Self::Far, Self::Tls, Self::Start, Self::Idle];
        copies.into_iter().map(Self::Copy).chain(others).collect()
    }

    /// Its name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Copy(copy) => copy.name,
            Self::Latency => latency::NAME,
            Self::Far => far::NAME,
            Self::Tls => tls::NAME,
            Self::Start => start::NAME,
            Self::Idle => idle::NAME,
        }
    }

    /// What it is, in a line.
    pub(super) fn about(&self) -> &'static str {
        match self {
            Self::Copy(copy) => copy.about,
            Self::Latency => latency::ABOUT,
            Self::Far => far::ABOUT,
            Self::Tls => tls::ABOUT,
            Self::Start => start::ABOUT,
            Self::Idle => idle::ABOUT,
        }
    }

    /// Runs it; returns what is to be said of it, as Markdown.
    pub(super) fn run(&self, session: &mut Session) -> Result<String, Failure> {
        match self {
            Self::Copy(copy) => copy.run(session),
            Self::Latency => latency::run(session),
            Self::Far => far::run(session),
            Self::Tls => tls::run(session),
            Self::Start => start::run(session),
            Self::Idle => idle::run(session),
        }
    }
}
