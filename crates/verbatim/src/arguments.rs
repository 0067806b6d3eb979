//! What can be typed.

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use tracing::level_filters::LevelFilter;
use verbatim_pipeline::{Batching, Offsets, OnSourceAccident};

/// Copies Kafka topics between clusters by forwarding record batches byte for byte.
#[derive(Debug, Parser)]
#[command(name = "verbatim", version, max_term_width = 110)]
pub(crate) struct Arguments {
    /// What is logged to stderr: error, warn, info, debug, trace or off
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    pub(crate) log: LevelFilter,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy topics from one cluster to another, or run all flows of a configuration file
    Run(RunArguments),
    /// Print what the flows of a configuration file would change on their targets; changes nothing
    Plan(ConfigArguments),
    /// Print where consumer groups stand on both sides, and how exactly that is known
    Groups(ConfigArguments),
    /// Make a topic in several clusters: in all of them or in none
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Print a configuration file, MirrorMaker 2's too, as TOML
    Convert(ConfigArguments),
    /// Two clusters in memory, one copy between them, verified at the end; needs no Kafka
    Demo(DemoArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
exit codes:
  0   done: caught up, or ended by Ctrl-C with everything noted
  1   failed: a cluster could not be reached, or partitions stopped
  64  wrong usage: nothing was started

examples:
  verbatim run mm2.properties
  verbatim run --from a:9092 --to b:9092 --topics 'orders,payments.*'
  verbatim run --from a:9092 --to tls://b:9093 --topics '.*' --until-caught-up
  verbatim run --from a:9092 --to b:9092 --topics '.*' --start 'logs-.*=latest' --offsets preserve")]
#[command(group = ArgGroup::new("single").args([
    "from", "to", "topics", "name", "offsets", "start", "on_source_accident", "follow_retention", "read_uncommitted",
    "from_ca_file", "to_ca_file", "memory", "batching", "no_splice", "verify_source", "max_rate",
]).multiple(true))]
pub(crate) struct RunArguments {
    /// Configuration file: TOML with clusters and flows, or MirrorMaker 2's (*.properties)
    #[arg(value_name = "CONFIG", conflicts_with = "single")]
    pub(crate) config: Option<PathBuf>,
    /// Flows of CONFIG to run, comma-separated [default: all that are enabled]
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "config")]
    pub(crate) flows: Vec<String>,
    /// Go on where MirrorMaker 2 stopped: prints what it left behind, then begins there
    #[arg(long, requires = "config")]
    pub(crate) takeover: bool,
    /// Tell programs how the copy goes, over HTTP on this address: metrics for Prometheus (/metrics), status as JSON (/status)
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) http: Option<SocketAddr>,
    /// Source cluster: [tls://]HOST:PORT[,HOST:PORT...]
    #[arg(long, value_name = "BROKERS", required_unless_present = "config")]
    pub(crate) from: Option<String>,
    /// Target cluster: [tls://]HOST:PORT[,HOST:PORT...]
    #[arg(long, value_name = "BROKERS", required_unless_present = "config")]
    pub(crate) to: Option<String>,
    /// Topics to copy: regular expressions, comma-separated, each matching whole names
    #[arg(long, value_name = "REGEX", required_unless_present = "config")]
    pub(crate) topics: Option<String>,
    /// End once every partition has come to where its source ends now
    #[arg(long)]
    pub(crate) until_caught_up: bool,
    /// Name of the flow; its positions are kept in topic __verbatim.NAME on the target
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) name: String,
    /// What offsets records get on the target: the source's (a partition where that cannot be stops), its own, or the
    /// source's where they can be had
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) offsets: OffsetsArgument,
    /// Where topics start that nothing is copied of yet: earliest, latest, offset:N or a time like 2026-01-31T12:00:00Z;
    /// REGEX=WHERE for topics that match; the first that fits counts [default: earliest]
    #[arg(long, value_name = "[REGEX=]WHERE")]
    pub(crate) start: Vec<String>,
    /// What happens when the source's log has changed under us (retention overtook, truncated, topic created again): stop the
    /// partition, delete the target topic and copy it anew, or go on and keep note of the gap
    #[arg(long, value_enum, default_value = "stop")]
    pub(crate) on_source_accident: AccidentArgument,
    /// Delete on the target what the source's retention deletes
    #[arg(long)]
    pub(crate) follow_retention: bool,
    /// Also copy records of transactions that are open or aborted
    #[arg(long)]
    pub(crate) read_uncommitted: bool,
    /// PEM file of authorities to trust for a tls:// source; default: the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) from_ca_file: Option<PathBuf>,
    /// PEM file of authorities to trust for a tls:// target; default: the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) to_ca_file: Option<PathBuf>,
    /// Whether bytes go on as they are, or neighbouring small batches become one where a partition is behind
    #[arg(long, value_enum, default_value = "verbatim")]
    pub(crate) batching: BatchingArgument,
    /// Read the payloads of large batches into memory, instead of leaving them in the kernel (Linux, both clusters without TLS)
    #[arg(long)]
    pub(crate) no_splice: bool,
    /// Verify the checksum of every batch before it is sent, instead of leaving that to the target; implies --no-splice
    #[arg(long)]
    pub(crate) verify_source: bool,
    /// Bytes per second to write at most, for example 50MiB [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = verbatim_mirror::parse_rate)]
    pub(crate) max_rate: Option<NonZeroU64>,
    /// Memory for data on its way, in MiB [default: 16, and 64 where a cluster is 5 ms away or more]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) memory: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// Configuration file: MirrorMaker 2's (*.properties), or TOML
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// Flows of CONFIG that are meant, comma-separated [default: all that are enabled]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) flows: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Create a topic of the same name in all clusters named
    Create(TopicArguments),
}

#[derive(Debug, Args)]
pub(crate) struct TopicArguments {
    /// Name of the topic
    #[arg(value_name = "TOPIC")]
    pub(crate) name: String,
    /// A cluster to create it in: [tls://]HOST:PORT[,HOST:PORT...]; give it once for each
    #[arg(long = "at", value_name = "BROKERS", required = true)]
    pub(crate) at: Vec<String>,
    /// Number of partitions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    pub(crate) partitions: i32,
    /// Replicas [default: each cluster's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    pub(crate) replication_factor: Option<i16>,
    /// Configs of the topic
    #[arg(long = "config", value_name = "NAME=VALUE")]
    pub(crate) configs: Vec<String>,
    /// PEM file of authorities to trust for tls:// clusters; default: the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OffsetsArgument {
    Preserve,
    Translate,
    Auto,
}

impl From<OffsetsArgument> for Offsets {
    fn from(argument: OffsetsArgument) -> Self {
        match argument {
            OffsetsArgument::Preserve => Self::Preserve,
            OffsetsArgument::Translate => Self::Translate,
            OffsetsArgument::Auto => Self::Auto,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum BatchingArgument {
    Verbatim,
    Adaptive,
}

impl From<BatchingArgument> for Batching {
    fn from(argument: BatchingArgument) -> Self {
        match argument {
            BatchingArgument::Verbatim => Self::Verbatim,
            BatchingArgument::Adaptive => Self::Adaptive,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AccidentArgument {
    Stop,
    Reseed,
    Continue,
}

impl From<AccidentArgument> for OnSourceAccident {
    fn from(argument: AccidentArgument) -> Self {
        match argument {
            AccidentArgument::Stop => Self::Stop,
            AccidentArgument::Reseed => Self::Reseed,
            AccidentArgument::Continue => Self::Continue,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// How much to copy, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) size: u32,
}
