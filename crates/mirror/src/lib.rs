//! What surrounds the data: which topics are copied, and making them on the target.
//!
//! Each part looks at both clusters, plans (pure, printable), and applies the plan.

mod config;
mod mirror;
mod mm2;
mod naming;
mod topics;

pub use config::{
    Beacons, ClusterSettings, ConfigError, ConfigSync, FlowSettings, GroupSync, Problem, Setup, SyncsLocation,
};
pub use mirror::{Mirror, MirrorConfig, MirrorError, StartOf};
pub use naming::{HEARTBEATS, Naming, Template, TemplateError, TopicNaming};
pub use topics::{FilterError, NameFilter, TopicFilter, TopicPlan, TopicProblem};
