//! What is to be mirrored: clusters and flows between them, whatever file they were written in.

mod circles;
mod print;
mod problem;
pub(crate) mod reader;
pub(crate) use reader::bytes;
mod toml;

#[cfg(test)]
pub(crate) use toml::read as read_toml;

pub use problem::{ConfigError, Problem};
pub use reader::is_flow_name;

use crate::mm2;
use crate::naming::{Brought, Naming, TopicNaming};
use reader::Found;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;
use verbatim_pipeline::{Batching, Forward, Isolation, Offsets, OnSourceAccident};

/// All of a configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// Clusters by name.
    pub clusters: BTreeMap<String, ClusterSettings>,
    /// Flows in the order of the file.
    pub flows: Vec<FlowSettings>,
    /// Bytes per second that all flows may write together.
    pub max_rate: Option<NonZeroU64>,
}

/// How a cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Addresses to begin with: `[tls://]host:port[,host:port...]`.
    pub bootstrap: String,
    /// PEM file of authorities to trust; `None` takes the system's.
    pub ca_file: Option<PathBuf>,
}

/// One direction from one cluster to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowSettings {
    /// Its name; its state is in topic `__verbatim.<name>` on the target.
    pub name: String,
    /// Cluster to read from.
    pub source: String,
    /// Cluster to write to.
    pub target: String,
    /// Whether topics are copied. A flow that is not enabled may still send heartbeats.
    pub is_enabled: bool,
    /// Topics to copy: regular expressions for whole names.
    pub topics: Vec<String>,
    /// Topics not to copy; comes before `topics`.
    pub topics_exclude: Vec<String>,
    /// What topics are called on the target.
    pub naming: Naming,
    /// Topics with names of their own on the target.
    pub rename: BTreeMap<String, String>,
    /// What offsets records get.
    pub offsets: Offsets,
    /// Which records are copied, by where they came from; `None` as the other flows demand.
    pub forward: Option<Forward>,
    /// Whether others write to the target's topics too.
    pub shares_target: bool,
    /// Whether only what was produced on the source is copied, and what `carries` says. As told, and as the other flows demand; not
    /// written down.
    pub is_local: bool,
    /// Clusters whose records come to the source through other flows and get to the target through this one, besides what is
    /// produced on the source. As the other flows demand; not written down.
    pub carries: Vec<String>,
    /// What the flows of the file bring to their targets under other names, so that it is not sent back to where it came from. As the
    /// other flows demand; not written down.
    pub brought: Vec<Brought>,
    /// Where topics start that nothing is copied of yet: `[REGEX=]WHERE`.
    pub start: Vec<String>,
    /// What is done when the source's log has changed.
    pub on_source_accident: OnSourceAccident,
    /// Whether the source's retention is followed on the target.
    pub follow_retention: bool,
    /// Which records are copied.
    pub isolation: Isolation,
    /// Whether small batches become larger ones where a partition is behind.
    pub batching: Batching,
    /// Whether the payloads of large batches are left in the kernel where that can be.
    pub splice: bool,
    /// Whether the checksum of every batch is verified before it is sent.
    pub verify_source: bool,
    /// Memory for data on its way, in bytes; `None` for 16 MiB, and 64 where a cluster is far.
    pub memory_bytes: Option<usize>,
    /// Bytes per second that the flow may write.
    pub max_rate: Option<NonZeroU64>,
    /// Bytes per second that topics may be written with, each by itself: `REGEX=RATE`, the first that fits.
    pub topic_max_rate: Vec<String>,
    /// Replicas of topics created; `None` takes as many as on the source.
    pub replication_factor: Option<i16>,
    /// How often the source is asked for new topics and partitions.
    pub refresh_topics: Duration,
    /// Topic configs.
    pub configs: ConfigSync,
    /// Access control lists of topics.
    pub acls: AclSync,
    /// Consumer groups.
    pub groups: GroupSync,
    /// What MirrorMaker 2 writes beside the data.
    pub beacons: Beacons,
}

/// Which topic configs the target gets from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSync {
    /// How often; `None` for only when a topic is created.
    pub interval: Option<Duration>,
    /// Configs that are left alone, regular expressions, besides those that can never be carried over.
    pub exclude: Vec<String>,
    /// Whether defaults of the source are set on the target; if not, the target's own defaults hold.
    pub use_source_defaults: bool,
}

/// Whether the target gets the source's access control lists of topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AclSync {
    /// How often; `None` for never.
    pub interval: Option<Duration>,
    /// Whether what is taken away on the source is taken away on the target.
    pub removes: bool,
}

/// Which consumer groups get offsets on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSync {
    /// How often; `None` for never.
    pub interval: Option<Duration>,
    /// Groups: regular expressions for whole names.
    pub include: Vec<String>,
    /// Groups left out; comes before `include`.
    pub exclude: Vec<String>,
    /// Whether groups of the source are also brought to where those of the target are, for the way back.
    pub goes_back: bool,
}

/// What MirrorMaker 2 writes beside the data, in its formats, for its Java clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beacons {
    /// How often a heartbeat is sent; `None` for never.
    pub heartbeats: Option<Duration>,
    /// Topic of heartbeats on the target.
    pub heartbeats_topic: String,
    /// Whether topics of heartbeats are copied, whatever `topics` says.
    pub copies_heartbeats: bool,
    /// How often checkpoints are written; `None` for never.
    pub checkpoints: Option<Duration>,
    /// Topic of checkpoints on the target; `None` for MirrorMaker 2's name.
    pub checkpoints_topic: Option<String>,
    /// Where offset syncs are written, if they are.
    pub offset_syncs: Option<SyncsLocation>,
    /// Topic of offset syncs; `None` for MirrorMaker 2's name.
    pub offset_syncs_topic: Option<String>,
    /// Replicas of these topics; `None` for as many as there are brokers, at most 3.
    pub replication_factor: Option<i16>,
}

/// Which cluster holds the topic of offset syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncsLocation {
    /// The source.
    Source,
    /// The target.
    Target,
}

impl ClusterSettings {
    /// A cluster without further settings.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), ca_file: None }
    }
}

/// Left out unless said otherwise (`DefaultGroupFilter`), and the group of our own positions.
pub(crate) const GROUPS_EXCLUDE: [&str; 4] = ["console-consumer-.*", "connect-.*", "__.*", r"verbatim\..*"];

impl FlowSettings {
    /// A flow with defaults: all topics, named with the source as prefix.
    pub fn new(source: &str, target: &str) -> Self {
        let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Self {
            name: format!("{source}-{target}"),
            source: source.to_owned(),
            target: target.to_owned(),
            is_enabled: true,
            topics: owned(&[".*"]),
            topics_exclude: Vec::new(),
            naming: Naming::default(),
            rename: BTreeMap::new(),
            offsets: Offsets::default(),
            forward: None,
            shares_target: false,
            is_local: false,
            carries: Vec::new(),
            brought: Vec::new(),
            start: Vec::new(),
            on_source_accident: OnSourceAccident::default(),
            follow_retention: false,
            isolation: Isolation::ReadCommitted,
            batching: Batching::Verbatim,
            splice: true,
            verify_source: false,
            memory_bytes: None,
            max_rate: None,
            topic_max_rate: Vec::new(),
            replication_factor: None,
            refresh_topics: Duration::from_secs(2),
            configs: ConfigSync {
                interval: Some(Duration::from_secs(10)),
                exclude: owned(&crate::topics::EXCLUDED),
                use_source_defaults: false,
            },
            acls: AclSync::default(),
            groups: GroupSync {
                interval: Some(Duration::from_secs(5)),
                include: owned(&[".*"]),
                exclude: owned(&GROUPS_EXCLUDE),
                goes_back: false,
            },
            beacons: Beacons::default(),
        }
    }

    /// Topic of checkpoints on the target (`ReplicationPolicy.checkpointsTopic`).
    pub fn checkpoints_topic(&self) -> String {
        let separator = self.naming.separator();
        let default = || format!("{}{separator}checkpoints{separator}internal", self.source);
        self.beacons.checkpoints_topic.clone().unwrap_or_else(default)
    }

    /// Topic of offset syncs, on the cluster that is not `other` (`ReplicationPolicy.offsetSyncsTopic`).
    pub fn offset_syncs_topic(&self, other: &str) -> String {
        let separator = self.naming.separator();
        let default = || format!("mm2-offset-syncs{separator}{other}{separator}internal");
        self.beacons.offset_syncs_topic.clone().unwrap_or_else(default)
    }

    /// What this flow calls topics.
    pub fn topic_naming(&self) -> TopicNaming {
        TopicNaming { source: self.source.clone(), naming: self.naming.clone(), map: self.rename.clone() }
    }
}

impl Default for Beacons {
    fn default() -> Self {
        Self {
            heartbeats: None,
            heartbeats_topic: crate::naming::HEARTBEATS.to_owned(),
            copies_heartbeats: true,
            checkpoints: None,
            checkpoints_topic: None,
            offset_syncs: None,
            offset_syncs_topic: None,
            replication_factor: None,
        }
    }
}

impl Setup {
    /// Reads a file: `mm2.properties` by its suffix `.properties`, anything else as TOML. Returns what it says, and what in
    /// it has no effect.
    ///
    /// # Errors
    /// When the file cannot be read; or with everything that is wrong in it, each with its line.
    pub fn read(path: &Path) -> Result<(Self, Vec<Problem>), ConfigError> {
        let bytes =
            std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let is_mm2 = path.extension().is_some_and(|suffix| suffix == "properties");
        let mut found = if is_mm2 { mm2::read(&bytes) } else { toml::read(&bytes) };
        found.check();
        let Found { setup, warnings, errors, .. } = found;
        if errors.is_empty() {
            return Ok((setup, warnings));
        }
        Err(ConfigError::Wrong { path: path.to_owned(), problems: errors, warnings })
    }
}

impl fmt::Display for Setup {
    /// As TOML, which [`read`](Self::read) reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::print(self, f)
    }
}

#[cfg(test)]
mod tests;
