//! What ends the command early, and the exit code that tells a script which kind it was.

use crate::output;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use verbatim_mirror::{ConfigError, FilterError, MirrorError, StartError};
use verbatim_pipeline::FlowError;
use verbatim_wire::cluster::{BootstrapError, ClusterError};

/// Wrong usage or config (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;
const FAILED: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{option}: {source}")]
    Address { option: &'static str, source: BootstrapError },
    #[error(
        "{option} {}: {address} does not speak TLS, so that there is nobody to trust; write tls://{address}, or leave {option} out",
        file.display()
    )]
    CaFile { option: &'static str, file: PathBuf, address: String },
    #[error(
        "{0} is about the flows of a configuration file, and none is named; write `verbatim run FILE {0}`, or leave {0} out"
    )]
    WithoutFile(&'static str),
    #[error("--topics: {0}")]
    Topics(#[from] FilterError),
    #[error(
        "--name: `{0}` cannot be part of a topic name; use letters, digits, '.', '_' and '-', at most 200"
    )]
    Name(String),
    #[error("--{0}")]
    Start(#[from] StartError),
    #[error("{option} {address}: {source}")]
    Connect { option: &'static str, address: String, source: ClusterError },
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("--flows {name}: there is no flow of that name; there are: {known}")]
    NoSuchFlow { name: String, known: String },
    #[error("{0}")]
    Flows(String),
    #[error("flow {flow}: {source}")]
    OfFlow { flow: String, source: MirrorError },
    #[error("--config {0}: write NAME=VALUE")]
    TopicConfig(String),
    #[error("{address}: topic {topic}: {problem}; {elsewhere}")]
    Topic { address: String, topic: String, problem: String, elsewhere: String },
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("--http {address}: {source}; is there another that listens there?")]
    Http { address: SocketAddr, source: std::io::Error },
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error("the demo's clusters could not be started: {0}")]
    Demo(std::io::Error),
    #[error("the copy differs from its source in {0}; this is a defect of verbatim, please report it")]
    Differs(String),
    #[error("the answer could not be written: {0}")]
    Output(std::io::Error),
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Says what it is; returns the exit code.
    pub(crate) fn end(&self) -> ExitCode {
        output::aside(format!("verbatim: {self}\n").as_bytes());
        self.exit_code()
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Address { .. } | Self::CaFile { .. } | Self::WithoutFile(_) => USAGE,
            Self::Topics(_) | Self::Name(_) | Self::Start(_) => USAGE,
            Self::Config(_) | Self::NoSuchFlow { .. } | Self::TopicConfig(_) => USAGE,
            Self::Connect { source: ClusterError::Tls(_), .. } => USAGE,
            Self::Mirror(MirrorError::Flow(FlowError::SameCluster { .. })) => USAGE,
            Self::Interrupted => 130,
            _ => FAILED,
        })
    }
}

/// Prints what clap has to say: help and version to stdout, anything else to stderr.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let printed = output::written(error.print());
    if error.use_stderr() {
        return ExitCode::from(USAGE);
    }
    printed.map_or_else(|failure| failure.end(), |()| ExitCode::SUCCESS)
}
