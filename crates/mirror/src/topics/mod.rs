//! Topics: filter what the source has, plan what the target lacks, create it.

mod filter;
mod look;
mod plan;

pub use filter::{FilterError, TopicFilter};
pub(crate) use look::look;
pub(crate) use plan::{SeenTopic, plan};
pub use plan::{TopicPlan, TopicProblem};
