//! Promise: a flow with nothing to do does next to nothing, and what comes then is on the target within milliseconds.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use tokio::time::Instant;
use verbatim_pipeline::{FlowConfig, FlowHandle};
use verbatim_testbroker::{Control, RequestView, TestCluster, opaque_batch};
use verbatim_tests::scenario::{Stage, fill, log, now_ms, numbered, soon, translated_config};

const PARTITIONS: i32 = 1000;

async fn idle_flow() -> (Stage, FlowHandle) {
    let stage = Stage::of(3, 3);
    stage.topic("wide", PARTITIONS);
    for partition in 0..PARTITIONS {
        stage.source.append("wide", partition, &numbered("first", 1).build()).unwrap();
    }
    let flow = stage.start(&["wide"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    (stage, flow)
}

/// Requests per broker and second, by kind.
async fn rates(cluster: &TestCluster) -> BTreeMap<(i32, i16), f64> {
    const SECONDS: u64 = 60;
    cluster.clear_requests();
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let mut rates = BTreeMap::new();
    for request in cluster.requests() {
        *rates.entry((request.node, request.api as i16)).or_default() += 1.0 / SECONDS as f64;
    }
    rates
}

#[tokio::test(start_paused = true)]
async fn a_thousand_idle_partitions_cost_two_fetches_a_second_and_broker() {
    let (stage, _flow) = idle_flow().await;
    let source = rates(&stage.source).await;
    assert_eq!(source.len(), 3, "nothing but fetches: {source:?}");
    for ((node, api), rate) in source {
        assert!(api == ApiKey::Fetch as i16 && (1.0..=4.0).contains(&rate), "{rate} per second on {node}");
    }
    let target = rates(&stage.target).await;
    assert!(target.is_empty(), "nothing to write, nothing to ask: {target:?}");
}

/// How long until a record written now is on the target.
async fn latency(stage: &Stage, partition: i32) -> Duration {
    let before = log(&stage.target, "wide", partition).len();
    stage.source.append("wide", partition, &numbered("late", 1).build()).unwrap();
    let begun = Instant::now();
    while stage.target.log("wide", partition).unwrap().len() == before {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_record_among_a_thousand_idle_partitions_comes_at_once() {
    let (stage, _flow) = idle_flow().await;
    for partition in [0, 1, 2, 500, 999] {
        let latency = latency(&stage, partition).await;
        assert!(latency < Duration::from_millis(20), "partition {partition}: {latency:?}");
        tokio::time::sleep(Duration::from_millis(333)).await;
    }
}

fn answers_slowly(node: i32) -> impl FnMut(&RequestView) -> Control + Send + 'static {
    move |request| match request.node {
        found if found == node => Control::Delay(Duration::from_secs(5)),
        _ => Control::Pass,
    }
}

/// One target broker takes five seconds per request, and its partition's queue is full: the partition is no longer fetched.
/// The others must not notice.
#[tokio::test(start_paused = true)]
async fn a_slow_target_broker_does_not_delay_partitions_elsewhere() {
    let (stage, flow) = idle_flow().await;
    let slow = 0;
    let node = stage.target.leader("wide", slow).unwrap().0.unwrap();
    stage.target.on(ApiKey::Produce, answers_slowly(node));
    for _ in 0..400 {
        let large = opaque_batch(vec![1; 100_000].into(), 1, 1).timestamp_ms(now_ms()).build();
        stage.source.append("wide", slow, &large).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(7)).await;
    let status = flow.status().await.unwrap();
    assert!(status.partitions[0].lag_records.unwrap() > 100, "its queue is full");
    let mut elsewhere =
        (1..PARTITIONS).filter(|at| stage.target.leader("wide", *at).unwrap().0 != Some(node));
    for partition in elsewhere.by_ref().step_by(50).take(10) {
        let latency = latency(&stage, partition).await;
        assert!(latency < Duration::from_millis(20), "partition {partition}: {latency:?}");
        tokio::time::sleep(Duration::from_millis(777)).await;
    }
    stage.target.clear_rules();
    stage.copied(&flow, "wide").await;
    stage.assert_equal("wide");
}

/// As many partitions of the slow broker as it takes to fill the whole memory budget.
#[tokio::test(start_paused = true)]
async fn a_slow_target_broker_does_not_use_up_the_memory_of_all() {
    let (stage, flow) = idle_flow().await;
    let node = stage.target.leader("wide", 0).unwrap().0.unwrap();
    stage.target.on(ApiKey::Produce, answers_slowly(node));
    let on_it = (0..PARTITIONS).filter(|at| stage.target.leader("wide", *at).unwrap().0 == Some(node));
    for partition in on_it.take(20) {
        for _ in 0..100 {
            let large = opaque_batch(vec![1; 100_000].into(), 1, 1).timestamp_ms(now_ms()).build();
            stage.source.append("wide", partition, &large).unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(7)).await;
    let mut worst = Duration::ZERO;
    let elsewhere = (1..PARTITIONS).filter(|at| stage.target.leader("wide", *at).unwrap().0 != Some(node));
    for partition in elsewhere.step_by(50).take(10) {
        worst = worst.max(latency(&stage, partition).await);
    }
    assert!(worst < Duration::from_millis(20), "{worst:?}");
    drop(flow);
}

/// Two source brokers and a budget for one answer: they take turns.
#[tokio::test(start_paused = true)]
async fn a_budget_for_one_answer_is_shared_by_all_source_brokers() {
    let stage = Stage::of(3, 1);
    stage.topic("t", 3);
    let config = FlowConfig { budget_bytes: 1000, ..translated_config() };
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    for _ in 0..5 {
        for partition in 0..3 {
            fill(&stage.source, "t", partition, 3);
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    stage.copied(&flow, "t").await;
    stage.assert_equal("t");
}
