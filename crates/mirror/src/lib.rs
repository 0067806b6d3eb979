//! What surrounds the data: which topics are copied, and making them on the target.
//!
//! Each part looks at both clusters, plans (pure, printable), and applies the plan.

mod mirror;
mod topics;

pub use mirror::{Mirror, MirrorConfig, MirrorError, StartOf};
pub use topics::{FilterError, TopicFilter, TopicPlan, TopicProblem};
