//! Promise: rate limits hold, for a flow, for flows together and for a topic; may be changed while flows run; and leave what is nearly
//! caught up its latency.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;
use verbatim_pipeline::{FlowConfig, FlowHandle, RateLimit, TopicPair};
use verbatim_testbroker::opaque_batch;
use verbatim_tests::scenario::{Stage, log, now_ms, numbered, translated_config};

const BATCH_BYTES: usize = 50_000;
const RATE: u64 = 2_000_000;

fn limit(bytes_per_second: u64) -> RateLimit {
    RateLimit::new(NonZeroU64::new(bytes_per_second))
}

/// `megabytes` in every partition of `topic`.
fn backlog(stage: &Stage, topic: &str, partitions: i32, megabytes: usize) {
    stage.topic(topic, partitions);
    for partition in 0..partitions {
        fill(stage, topic, partition, megabytes, BATCH_BYTES);
    }
}

fn fill(stage: &Stage, topic: &str, partition: i32, megabytes: usize, batch_bytes: usize) {
    for _ in 0..megabytes * 1_000_000 / batch_bytes {
        let batch = opaque_batch(vec![1; batch_bytes].into(), 1, 1).timestamp_ms(now_ms()).build();
        stage.source.append(topic, partition, &batch).unwrap();
    }
}

async fn bytes(flow: &FlowHandle) -> u64 {
    flow.status().await.unwrap().total().bytes
}

/// Bytes per second of `flows`, each, over `seconds`.
async fn rates(flows: &[&FlowHandle], seconds: u64) -> Vec<f64> {
    let mut before = Vec::new();
    for flow in flows {
        before.push(bytes(flow).await);
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let mut rates = Vec::new();
    for (flow, before) in flows.iter().zip(before) {
        rates.push((bytes(flow).await - before) as f64 / seconds as f64);
    }
    rates
}

fn assert_near(found: f64, expected: u64) {
    let ratio = found / expected as f64;
    assert!((0.95..1.05).contains(&ratio), "{found} bytes per second instead of {expected}");
}

#[tokio::test(start_paused = true)]
async fn a_flow_keeps_to_its_rate_and_to_a_new_one_at_once() {
    let stage = Stage::new();
    backlog(&stage, "t", 4, 30);
    let held = limit(RATE);
    let config = FlowConfig { limits: vec![held.clone()], ..translated_config() };
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_near(rates(&[&flow], 10).await[0], RATE);
    held.set(NonZeroU64::new(RATE / 4));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_near(rates(&[&flow], 10).await[0], RATE / 4);
    // Partitions have the same of it.
    let positions: Vec<i64> =
        flow.status().await.unwrap().partitions.iter().map(|p| p.position.source_offset).collect();
    let (least, most) = (positions.iter().min().unwrap(), positions.iter().max().unwrap());
    assert!(most - least <= most / 10 + 2, "{positions:?}");
    held.set(None);
    stage.copied(&flow, "t").await;
    stage.assert_equal("t");
}

#[tokio::test(start_paused = true)]
async fn flows_that_share_a_rate_have_the_same_of_it() {
    let (one, other) = (Stage::new(), Stage::new());
    let shared = limit(RATE);
    let mut flows = Vec::new();
    for stage in [&one, &other] {
        backlog(stage, "t", 2, 30);
        let config = FlowConfig { limits: vec![shared.clone()], ..translated_config() };
        flows.push(stage.flow(&["t"]).await.config(config).start().await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = rates(&[&flows[0], &flows[1]], 20).await;
    assert_near(found[0] + found[1], RATE);
    assert_near(found[0], RATE / 2);
}

#[tokio::test(start_paused = true)]
async fn small_batches_have_as_many_bytes_of_a_rate_as_large_ones() {
    let (small, large) = (Stage::new(), Stage::new());
    let shared = limit(RATE / 4);
    let mut flows = Vec::new();
    for (stage, batch_bytes) in [(&small, 1_000), (&large, 60_000)] {
        stage.topic("t", 1);
        fill(stage, "t", 0, 10, batch_bytes);
        let config = FlowConfig { limits: vec![shared.clone()], ..translated_config() };
        flows.push(stage.flow(&["t"]).await.config(config).start().await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = rates(&[&flows[0], &flows[1]], 20).await;
    assert_near(found[0], RATE / 8);
    assert_near(found[1], RATE / 8);
}

#[tokio::test(start_paused = true)]
async fn partitions_of_small_batches_have_as_many_bytes_as_others() {
    let stage = Stage::new();
    stage.topic("t", 3);
    for (partition, batch_bytes) in [(0, 2_000), (1, 60_000), (2, 25_000)] {
        fill(&stage, "t", partition, 8, batch_bytes);
    }
    let config = FlowConfig { limits: vec![limit(RATE / 2)], ..translated_config() };
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = flow.status().await.unwrap();
    let bytes: Vec<u64> = status.partitions.iter().map(|p| p.counters.bytes).collect();
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(most - least <= most / 10, "{bytes:?}");
    assert_near(bytes.iter().sum::<u64>() as f64 / 10.0, RATE / 2);
}

#[tokio::test(start_paused = true)]
async fn a_topic_keeps_to_its_rate_and_the_others_do_not_notice() {
    let stage = Stage::new();
    backlog(&stage, "slow", 2, 20);
    backlog(&stage, "free", 2, 20);
    let slow = TopicPair { limit: Some(limit(RATE)), ..TopicPair::same("slow") };
    let flow = stage.flow(&["free"]).await.pair(slow).config(translated_config()).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let behind = |topic: &str| (0..2).map(|p| log(&stage.target, topic, p).len()).min().unwrap() < 400;
    assert!(!behind("free") && behind("slow"));
    assert_near(rates(&[&flow], 10).await[0], RATE);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_at_its_limit_leaves_live_records_their_latency() {
    let stage = Stage::new();
    backlog(&stage, "backfill", 6, 10);
    stage.topic("live", 1);
    let config = FlowConfig { limits: vec![limit(RATE)], ..translated_config() };
    let flow = stage.flow(&["backfill", "live"]).await.config(config).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_live(&stage).await;
    drop(flow);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_leaves_live_records_of_another_flow_their_latency() {
    let (backfill, live) = (Stage::new(), Stage::new());
    backlog(&backfill, "backfill", 6, 10);
    live.topic("live", 1);
    let shared = limit(RATE);
    let mut flows = Vec::new();
    for (stage, topic) in [(&backfill, "backfill"), (&live, "live")] {
        let config = FlowConfig { limits: vec![shared.clone()], ..translated_config() };
        flows.push(stage.flow(&[topic]).await.config(config).start().await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_live(&live).await;
    assert_near(rates(&[&flows[0]], 5).await[0], RATE);
}

/// Records of topic "live" arrive within a quarter of a second.
async fn assert_live(stage: &Stage) {
    for at in 0..20usize {
        stage.source.append("live", 0, &numbered(&format!("{at}"), 1).build()).unwrap();
        let begun = Instant::now();
        while log(&stage.target, "live", 0).len() <= at {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(77)).await;
    }
}
