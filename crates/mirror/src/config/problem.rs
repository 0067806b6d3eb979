//! What is wrong with a configuration file.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong, or has no effect, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line of the file, from 1; 0 where nothing in the file is the place.
    pub line: usize,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says something wrong: everything that is.
    #[error("{}", listed(path, problems, warnings))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of the file.
        problems: Vec<Problem>,
        /// What has no effect besides: it may be the very key that is missing elsewhere.
        warnings: Vec<Problem>,
    },
}

fn listed(path: &std::path::Path, problems: &[Problem], warnings: &[Problem]) -> String {
    let line = |problem: &Problem| match problem.line {
        0 => format!("{}: {}", path.display(), problem.what),
        line => format!("{}:{line}: {}", path.display(), problem.what),
    };
    problems.iter().chain(warnings).map(line).collect::<Vec<_>>().join("\n")
}
