//! A whole flow between two clusters in memory, for counting the instructions of the pipeline's stages: `cargo xtask instructions`.
//!
//! One thread, pipes for a network, and a clock that stands still while there is work: the same batches take the same ways in every run.
//! What brokers and connections do is not counted, only what the functions named in [`FLOW_STAGES`] do, with all they call.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use verbatim_pipeline::{Cluster, ClusterConfig, Flow, FlowConfig};
use verbatim_testbroker::{MemoryNetwork, TestCluster, opaque_batch};
use verbatim_wire::transport::MemoryConnector;

/// Stages, and which function each is, as valgrind shows it: per batch, where requests have one batch of each of four partitions.
pub const FLOW_STAGES: &[(&str, &str)] = &[
    ("flow-inspect-and-patch", "*FlowTask>::inspect_slice"),
    ("flow-patch", "*FlowTask>::patch"),
    ("flow-assemble", "*FlowTask>::assemble"),
    ("flow-settle", "*FlowTask>::produced"),
];

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;
const BATCH_BYTES: usize = 4 << 10;
/// For one second of a clock that stands still there is no end to what can be done.
const PATIENCE: Duration = Duration::from_secs(600);

/// Copies `batches` batches.
///
/// # Errors
/// When the flow fails.
pub fn copy(batches: u32) -> Result<(), Box<dyn Error>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build()?.block_on(async {
        let network = MemoryNetwork::new();
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let start =
            |id| TestCluster::builder().network(&network).start_ms(now_ms).cluster_id(id).start_memory();
        let (source, target) = (start("source"), start("target"));
        for cluster in [&source, &target] {
            cluster.create_topic(TOPIC, PARTITIONS, &[]).map_err(|code| code.to_string())?;
        }
        let batch = opaque_batch(vec![1; BATCH_BYTES].into(), 4, 1).timestamp_ms(now_ms).build();
        for number in 0..batches {
            let partition = i32::try_from(number)? % PARTITIONS;
            source.append(TOPIC, partition, &batch).map_err(|code| code.to_string())?;
        }
        let connect = async |cluster: &TestCluster| {
            let network = network.clone();
            let connector = MemoryConnector::new(move |host: &str, port| network.dial(host, port));
            let config = ClusterConfig::new(&cluster.bootstrap())?;
            Ok::<_, Box<dyn Error>>(Cluster::connect_through(config, Arc::new(connector)).await?)
        };
        let flow = Flow::new(connect(&source).await?, connect(&target).await?).config(FlowConfig::default());
        let flow = flow.topic(TOPIC).start().await?;
        tokio::time::timeout(PATIENCE, flow.caught_up()).await??;
        flow.shutdown().await?;
        let copied: i64 = (0..PARTITIONS).filter_map(|partition| target.log_end(TOPIC, partition).ok()).sum();
        let expected = 4 * i64::from(batches);
        if copied != expected {
            return Err(format!("{copied} records of {expected} are copied").into());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_is_copied() {
        super::copy(40).unwrap();
    }
}
