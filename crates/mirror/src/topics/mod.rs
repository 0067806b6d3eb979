//! Topics: choose among what the source has, plan what the target lacks, make it, keep its configs alike.

mod apply;
mod configs;
mod filter;
mod look;
mod plan;
mod selection;
mod sync;

pub(crate) use apply::{create_all, make};
pub use configs::ConfigRules;
pub(crate) use configs::{ConfigChange, EXCLUDED};
pub(crate) use filter::split;
pub use filter::{FilterError, NameFilter, TopicFilter};
pub(crate) use look::{Looking, look};
pub use plan::{Growth, TopicPlan, TopicProblem};
pub(crate) use plan::{Making, SeenTopic, plan};
pub use selection::TopicSelection;
pub(crate) use sync::ConfigSyncer;
