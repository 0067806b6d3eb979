//! Topics: filter what the source has, plan what the target lacks, create it.

mod filter;
mod look;
mod plan;

pub(crate) use filter::split;
pub use filter::{FilterError, NameFilter, TopicFilter};
pub(crate) use look::look;
pub(crate) use plan::{SeenTopic, plan};
pub use plan::{TopicPlan, TopicProblem};
