//! Why a mirror cannot start or go on.

use crate::starts::StartError;
use crate::takeover::TakeoverError;
use crate::topics::{FilterError, TopicProblem};
use verbatim_pipeline::FlowError;
use verbatim_wire::cluster::ClusterError;

/// A mirror could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The source cluster failed us.
    #[error("source cluster: {0}")]
    Source(#[source] ClusterError),
    /// The target cluster failed us.
    #[error("target cluster: {0}")]
    Target(#[source] ClusterError),
    /// The cluster that the records were produced on failed us.
    #[error("cluster of origin: {0}")]
    Origin(#[source] ClusterError),
    /// Topics that cannot be copied; nothing was started or created.
    #[error("{}", listed(.0))]
    Topics(Vec<TopicProblem>),
    /// No topic matches, and waiting for one was not asked for; nothing was started or created.
    #[error(
        "--topics {pattern}: no topic of the source cluster matches, or verbatim's principal may not DESCRIBE it; nothing to copy"
    )]
    NothingMatches {
        /// The patterns, as written.
        pattern: String,
    },
    /// Topics that could not be created, or not grown.
    #[error("target cluster: {}", listed(.0))]
    Create(Vec<ClusterError>),
    /// A flow names a cluster that the setup does not.
    #[error("{name} is not one of the clusters")]
    UnknownCluster {
        /// The name.
        name: String,
    },
    /// A pattern that cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A start that cannot be read.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nothing could be taken over.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// The flow failed.
    #[error(transparent)]
    Flow(#[from] FlowError),
}

/// One a line.
fn listed(problems: &[impl ToString]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
