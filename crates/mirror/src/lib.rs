//! What surrounds the data: which topics are copied, and making them on the target.
//!
//! Each part looks at both clusters, plans (pure, printable), and applies the plan.

mod acls;
mod beacons;
mod config;
mod fleet;
mod groups;
mod mirror;
mod mm2;
mod naming;
mod rates;
mod report;
mod said;
mod starts;
mod takeover;
mod topics;

pub use config::{
    AclSync, Beacons, ClusterSettings, ConfigError, ConfigSync, FlowSettings, GroupSync, Problem, Setup,
    SyncsLocation, is_flow_name,
};
pub use fleet::{Fleet, FleetView, FlowReport, FlowState, look_for_takeover};
pub use mirror::{Mirror, MirrorConfig, MirrorError};
pub use naming::{Brought, HEARTBEATS, Naming, Template, TemplateError, TopicNaming};
pub use rates::{RateError, RateOf, Rates, parse_rate};
pub use report::{FlowPlan, GroupLine, GroupsReport, PlannedConfigs, plan_flow, report_groups};
pub use said::listed;
pub use starts::{StartError, StartOf};
pub use takeover::{TakenPartition, Takeover, TakeoverError};
pub use topics::{
    ConfigRules, FilterError, Growth, NameFilter, TopicFilter, TopicPlan, TopicProblem, TopicSelection,
};
