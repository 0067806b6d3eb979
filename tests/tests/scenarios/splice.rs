//! Promise: between two clusters reached by TCP the payloads of large batches are left in the kernel, and nothing else is different:
//! every batch arrives as it is, damage is found where it was done, and what breaks on the way is mended.
//!
//! The clusters here listen on real sockets, so time is real: waits are for conditions.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use verbatim_pipeline::{
    Cluster, ClusterConfig, Counters, Flow, FlowConfig, FlowHandle, Offsets, Status, StopReason,
};
use verbatim_testbroker::{Control, Corruption, TestCluster, opaque_batch};
use verbatim_tests::scenario::{Dice, assert_equal, log, now_ms, partitions, patient_config, soon, stops};

const TOPIC: &str = "large";

/// Two clusters on real sockets, with the same topic.
struct Wired {
    source: TestCluster,
    target: TestCluster,
}

impl Wired {
    async fn new(partitions: i32) -> Self {
        let start = async |id: &str| {
            let cluster = TestCluster::builder().cluster_id(id).start_ms(now_ms()).start_tcp().await.unwrap();
            cluster.create_topic(TOPIC, partitions, &[]).unwrap();
            cluster
        };
        Self { source: start("source").await, target: start("target").await }
    }

    async fn flow(&self, config: FlowConfig) -> FlowHandle {
        let connect = async |cluster: &TestCluster| {
            Cluster::connect(ClusterConfig::new(&cluster.bootstrap()).unwrap()).await.unwrap()
        };
        let (source, target) = (connect(&self.source).await, connect(&self.target).await);
        Flow::new(source, target).topic(TOPIC).config(config).start().await.unwrap()
    }

    /// Copies all there is, and what became of it.
    async fn copied(&self, config: FlowConfig) -> Counters {
        self.copied_with(config).await.total()
    }

    async fn copied_with(&self, config: FlowConfig) -> Status {
        let flow = self.flow(config).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        let status = flow.status().await.unwrap();
        flow.shutdown().await.unwrap();
        status
    }

    fn append(&self, partition: i32, batch: &Bytes) {
        self.source.append(TOPIC, partition, batch).unwrap();
    }

    fn assert_equal(&self) {
        assert_equal(&self.source, &self.target, TOPIC);
    }

    /// `batches` of noise, none of them small, to the partitions in turn.
    fn fill(&self, dice: &mut Dice, batches: i32) {
        let partitions = partitions(&self.source, TOPIC);
        for batch in 0..batches {
            self.append(batch % partitions, &noise(dice, 65_000));
        }
    }
}

/// A batch of `bytes` bytes of noise.
fn noise(dice: &mut Dice, bytes: usize) -> Bytes {
    noise_at(dice, bytes, 0)
}

/// The same with a base offset of its own.
fn noise_at(dice: &mut Dice, bytes: usize, base_offset: i64) -> Bytes {
    let payload: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| dice.roll(u64::MAX).to_le_bytes()).collect();
    let records = 1 + i32::try_from(dice.roll(50)).unwrap();
    // Whoever opened it would fail.
    let codec = 1 + i16::try_from(dice.roll(4)).unwrap();
    let batch = opaque_batch(Bytes::from(payload).slice(..bytes), records, codec).timestamp_ms(now_ms());
    batch.header(|header| header.base_offset = base_offset).build()
}

fn config(offsets: Offsets) -> FlowConfig {
    FlowConfig { offsets, ..patient_config() }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_pass_unread() {
    let wired = Wired::new(3).await;
    let mut dice = Dice::new(1);
    wired.fill(&mut dice, 120);
    let status = wired.copied_with(config(Offsets::Auto)).await;
    wired.assert_equal();
    let total = status.total();
    assert_eq!(total.forwarded_batches, 120);
    // Those that an answer's end cuts come whole with the next; none is small.
    assert_eq!(total.spliced_batches, 120);
    // What an answer's end cuts is read, and left.
    assert!(status.copied_bytes < total.bytes / 4, "{} of {}", status.copied_bytes, total.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_all_sizes_arrive_as_they_are() {
    for seed in 0..4 {
        let wired = Wired::new(4).await;
        let mut dice = Dice::new(seed);
        for batch in 0..200 {
            let most = *dice.pick(&[100, 5_000, 40_000, 70_000, 160_000, 170_000, 900_000]);
            let bytes = 1 + usize::try_from(dice.roll(most)).unwrap();
            wired.append(batch % 4, &noise(&mut dice, bytes));
        }
        let offsets = *dice.pick(&[Offsets::Auto, Offsets::Translate]);
        // Answers end anywhere in a batch.
        let partition_max_bytes = *dice.pick(&[64 << 10, 100_001, 1 << 20]);
        let total = wired.copied(FlowConfig { partition_max_bytes, ..config(offsets) }).await;
        wired.assert_equal();
        assert_eq!(total.forwarded_batches, 200);
        assert!(total.spliced_batches > 0 && total.spliced_batches < 200, "{total:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_everything_is_read() {
    let wired = Wired::new(1).await;
    let mut dice = Dice::new(2);
    wired.fill(&mut dice, 20);
    let status = wired.copied_with(FlowConfig { splice: false, ..config(Offsets::Auto) }).await;
    wired.assert_equal();
    let total = status.total();
    assert_eq!((total.forwarded_batches, total.spliced_batches), (20, 0));
    // Into memory and out of it.
    assert!(status.copied_bytes >= 2 * total.bytes, "{} of {}", status.copied_bytes, total.bytes);
}

/// The source's disk has a flipped bit: nobody has looked at the payload, the target finds it, and it is read again to tell where.
#[tokio::test(flavor = "multi_thread")]
async fn damage_at_the_source_is_found_there() {
    let wired = Wired::new(1).await;
    let mut dice = Dice::new(3);
    wired.fill(&mut dice, 10);
    let bad_offset = wired.source.log_end(TOPIC, 0).unwrap();
    let mut bad = noise_at(&mut dice, 65_000, bad_offset).to_vec();
    bad[40_000] ^= 1;
    wired.source.append_raw(TOPIC, 0, &bad.into()).unwrap();
    let flow = wired.flow(config(Offsets::Auto)).await;
    let stopped = stops(&flow).await;
    assert!(
        matches!(*stopped[&0].reason, StopReason::CorruptAtSource { offset, .. } if offset == bad_offset),
        "{stopped:?}"
    );
    assert_eq!(log(&wired.target, TOPIC, 0).len(), 10);
}

/// A byte flips between the source and us.
#[tokio::test(flavor = "multi_thread")]
async fn damage_on_the_way_heals_by_fetching_again() {
    let wired = Wired::new(2).await;
    let mut dice = Dice::new(4);
    wired.fill(&mut dice, 60);
    let mut count = 0;
    wired.source.on(ApiKey::Fetch, move |_| {
        count += 1;
        if count == 2 { Control::Corrupt(Corruption::Payload) } else { Control::Pass }
    });
    let total = wired.copied(config(Offsets::Auto)).await;
    wired.assert_equal();
    assert!(total.spliced_batches > 0 && total.spliced_batches < 60, "{total:?}");
}

/// Connections to both sides end in the middle of answers and requests: what was in pipes is gone, and fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_on_the_way_is_fetched_again() {
    let wired = Wired::new(3).await;
    let mut dice = Dice::new(5);
    wired.fill(&mut dice, 300);
    for (cluster, api) in [(&wired.source, ApiKey::Fetch), (&wired.target, ApiKey::Produce)] {
        let mut count = 0;
        cluster.on(api, move |_| {
            count += 1;
            match count % 17 {
                5 => Control::Corrupt(Corruption::CutAfter(100_000)),
                11 => Control::Disconnect,
                _ => Control::Pass,
            }
        });
    }
    let total = wired.copied(config(Offsets::Auto)).await;
    wired.assert_equal();
    // But for those that the target turned out to have: a pipe with something left in it would have made others of the rest.
    assert!(total.spliced_batches > 150, "{total:?}");
}

/// A flow that begins again looks at the batches that the target has already: those are read.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_has_already_is_compared() {
    let wired = Wired::new(1).await;
    let mut dice = Dice::new(6);
    wired.fill(&mut dice, 40);
    let flow = wired.flow(config(Offsets::Translate)).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    drop(flow);
    wired.fill(&mut dice, 40);
    wired.copied(config(Offsets::Translate)).await;
    wired.assert_equal();
    assert_eq!(log(&wired.target, TOPIC, 0).len(), 80);
}
