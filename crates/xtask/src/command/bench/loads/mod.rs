//! What is copied, and how it is judged: one file a load.

mod compressed;
mod copy;
mod plain;
mod small;

pub(super) use copy::CopyLoad;

use super::session::Session;
use crate::command::Failure;

/// One load.
#[derive(Debug, Clone)]
pub(super) enum Load {
    /// A topic that lies there, copied to its end.
    Copy(CopyLoad),
}

impl Load {
    /// All loads, in the order in which they run.
    pub(super) fn all() -> Vec<Self> {
        let copies = [plain::plain(), compressed::lz4(), compressed::zstd(), small::one(), small::twelve()];
        copies.into_iter().map(Self::Copy).collect()
    }

    /// Its name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Copy(copy) => copy.name,
        }
    }

    /// What it is, in a line.
    pub(super) fn about(&self) -> &'static str {
        match self {
            Self::Copy(copy) => copy.about,
        }
    }

    /// Runs it; returns what is to be said of it, as Markdown.
    pub(super) fn run(&self, session: &mut Session) -> Result<String, Failure> {
        match self {
            Self::Copy(copy) => copy.run(session),
        }
    }
}
