//! What would be done, and where groups stand: looked at, never changed.

mod groups;
mod plan;

pub use groups::{GroupLine, GroupsReport, report_groups};
pub use plan::{FlowPlan, PlannedConfigs, plan_flow};

use crate::config::{FlowSettings, Setup};
use crate::fleet::connect;
use crate::mirror::MirrorError;
use verbatim_pipeline::Cluster;

/// Both clusters of a flow.
async fn clusters(setup: &Setup, flow: &FlowSettings) -> Result<(Cluster, Cluster), MirrorError> {
    // A setup that was read names no others.
    let settings = |name: &str| {
        setup.clusters.get(name).ok_or_else(|| MirrorError::UnknownCluster { name: name.to_owned() })
    };
    let source = connect(settings(&flow.source)?).await.map_err(MirrorError::Source)?;
    let target = connect(settings(&flow.target)?).await.map_err(MirrorError::Target)?;
    Ok((source, target))
}
