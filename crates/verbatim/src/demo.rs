//! `verbatim demo`: the same copy between two clusters in memory, for those who have none.

use crate::arguments::DemoArguments;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::signals::Endings;
use crate::{output, units};
use std::time::Instant;
use verbatim_mirror::{Mirror, MirrorConfig};
use verbatim_pipeline::{Cluster, ClusterConfig};
use verbatim_testbroker::{TestCluster, batch};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 4;
const RECORD_BYTES: usize = 1 << 10;
const RECORDS_PER_BATCH: usize = 64;

pub(crate) async fn demo(arguments: DemoArguments) -> Result<(), Failure> {
    let size_bytes = (arguments.size as usize) << 20;
    let cluster =
        async |id: &str, brokers| TestCluster::builder().brokers(brokers).cluster_id(id).start_tcp().await;
    let source = cluster("demo-source", 1).await.map_err(Failure::Demo)?;
    let target = cluster("demo-target", 3).await.map_err(Failure::Demo)?;
    output::answer(&format!("source cluster  {} (1 broker, in memory)\n", source.bootstrap()))?;
    output::answer(&format!("target cluster  {} (3 brokers, in memory)\n", target.bootstrap()))?;
    fill(&source, size_bytes)?;
    output::answer(&format!(
        "topic {TOPIC}     {PARTITIONS} partitions, {} in records of 1 KiB, 64 a batch\n",
        units::bytes(size_bytes as u64)
    ))?;

    let connect = async |cluster: &TestCluster| -> Result<Cluster, Failure> {
        let address = cluster.bootstrap();
        let config =
            ClusterConfig::new(&address).map_err(|source| Failure::Address { option: "demo", source })?;
        Cluster::connect(config).await.map_err(|source| Failure::Connect { option: "demo", address, source })
    };
    let config = MirrorConfig::new(TOPIC)?;
    let mut progress = Progress::start(Instant::now());
    let mirror = Mirror::start(connect(&source).await?, connect(&target).await?, config).await?;
    let mut endings = Endings::listen();
    let mut redraw = tokio::time::interval(progress.interval());
    loop {
        tokio::select! {
            _ = redraw.tick() => progress.show(&mirror.flow().status().await?),
            outcome = mirror.flow().caught_up() => break outcome?,
            () = endings.next() => return Err(Failure::Interrupted),
        }
    }
    let status = mirror.flow().status().await?;
    mirror.into_flow().shutdown().await?;
    output::answer(&progress.finish(&status))?;
    let (batches, payload_bytes) = compare(&source, &target)?;
    output::answer(&format!(
        "verified: {} batches, {} of payload, identical\n",
        units::count(batches),
        units::bytes(payload_bytes)
    ))
}

/// Fills the source with records that do not compress.
fn fill(source: &TestCluster, size_bytes: usize) -> Result<(), Failure> {
    let refused = |code| Failure::Demo(std::io::Error::other(format!("{code:?}")));
    source.create_topic(TOPIC, PARTITIONS, &[]).map_err(refused)?;
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut value = || {
        let mut value = Vec::with_capacity(RECORD_BYTES);
        while value.len() < RECORD_BYTES {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            value.extend_from_slice(&random.to_le_bytes());
        }
        value
    };
    for index in 0..size_bytes.div_ceil(RECORD_BYTES * RECORDS_PER_BATCH) {
        let partition = i32::try_from(index).unwrap_or(0) % PARTITIONS;
        let records = (0..RECORDS_PER_BATCH).map(|record| (format!("order-{index}-{record}"), value()));
        source.append(TOPIC, partition, &batch(records).build()).map_err(refused)?;
    }
    Ok(())
}

/// Compares both logs behind the brokers' backs, payload by payload.
fn compare(source: &TestCluster, target: &TestCluster) -> Result<(u64, u64), Failure> {
    /// What follows the header of a batch.
    const HEADER_BYTES: usize = 61;
    let mut batches = 0;
    let mut payload_bytes = 0;
    for partition in 0..PARTITIONS {
        let log = |cluster: &TestCluster| {
            let missing = |code| Failure::Differs(format!("partition {partition} ({code:?})"));
            cluster.log(TOPIC, partition).map_err(missing)
        };
        let (expected, found) = (log(source)?, log(target)?);
        if expected.len() != found.len() {
            return Err(Failure::Differs(format!("the number of batches of partition {partition}")));
        }
        for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
            if expected.get(HEADER_BYTES..) != found.get(HEADER_BYTES..) {
                return Err(Failure::Differs(format!("batch {index} of partition {partition}")));
            }
            batches += 1;
            payload_bytes += (expected.len() - HEADER_BYTES) as u64;
        }
    }
    Ok((batches, payload_bytes))
}
