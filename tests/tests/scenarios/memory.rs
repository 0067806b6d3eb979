//! Promise: fetched data takes no more memory than it may, however slow the target, however many partitions are behind, and however
//! large or small their batches are.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use tokio::time::Instant;
use verbatim_pipeline::{Batching, FlowConfig, FlowHandle};
use verbatim_testbroker::{Control, RequestView, TestCluster, batch, opaque_batch};
use verbatim_tests::TestResult;
use verbatim_tests::scenario::{Dice, PATIENCE, Stage, assert_equal, now_ms, translated_config};
use verbatim_tests::scene;
use verbatim_tests::verbatim;
use verbatim_wire::records::codec::{Codec, compress};

const PARTITIONS: i32 = 200;
const BUDGETS: [usize; 2] = [4 << 20, 16 << 20];
/// Brokers of the source, and of the target.
const BROKERS: [(usize, usize); 2] = [(1, 1), (3, 2)];
const SMALL_KIB: &[usize] = &[1, 3, 20, 50];
/// The largest are near what a topic takes by default.
const ALL_KIB: &[usize] = &[1, 3, 20, 50, 100, 300, 900];
/// What an answer may have besides batches: names and numbers of partitions.
const FIELDS_BYTES: usize = 64 << 10;

/// Topic `t` of the source with so many batches in each partition, of these sizes, in no order.
fn fill(source: &TestCluster, batches: usize, sizes_kib: &[usize]) {
    let mut dice = Dice::new(7);
    let of = |kib: &usize| opaque_batch(vec![1; kib << 10].into(), 1, 1).timestamp_ms(now_ms()).build();
    let choice: Vec<Bytes> = sizes_kib.iter().map(of).collect();
    for partition in 0..PARTITIONS {
        for _ in 0..batches {
            source.append("t", partition, dice.pick(&choice)).unwrap();
        }
    }
}

/// How the target behaves.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// Each request takes it a while.
    Slow,
    /// It answers nothing for so long that connections are given up, then goes on.
    Stalled,
}

impl Target {
    fn rule(self) -> impl FnMut(&RequestView) -> Control + Send + 'static {
        let begun = Instant::now();
        move |_| match self {
            Self::Slow => Control::Delay(Duration::from_millis(100)),
            Self::Stalled if begun.elapsed() < Duration::from_secs(20) => Control::Silence,
            Self::Stalled => Control::Pass,
        }
    }
}

/// The most that `flow` held until it had copied everything. Looked at every millisecond of simulated time, when nothing moves: between
/// the coming of an answer and its being taken it counts twice.
async fn most_held(flow: &FlowHandle) -> usize {
    let deadline = Instant::now() + PATIENCE * 10;
    let mut most = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let status = flow.status().await.unwrap();
        assert!(status.stopped().next().is_none(), "{:?}", status.stopped().collect::<Vec<_>>());
        most = most.max(status.held_bytes);
        if status.lag_records() == Some(0) {
            return most;
        }
        assert!(Instant::now() < deadline, "{:?} behind", status.lag_records());
    }
}

/// Copies topic `t` to a target that behaves like this; the most that was held.
async fn held(stage: &Stage, budget_bytes: usize, batching: Batching, target: Target) -> usize {
    let config = FlowConfig { budget_bytes, far_budget_bytes: budget_bytes, batching, ..translated_config() };
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    stage.target.on(ApiKey::Produce, target.rule());
    most_held(&flow).await
}

#[tokio::test(start_paused = true)]
async fn a_target_that_does_not_keep_up_does_not_cost_more_than_the_bound() {
    for (budget_bytes, (sources, targets)) in BUDGETS.iter().flat_map(|b| BROKERS.map(|of| (*b, of))) {
        for target in [Target::Slow, Target::Stalled] {
            let stage = Stage::of(sources, targets);
            stage.topic("t", PARTITIONS);
            fill(&stage.source, 8, SMALL_KIB);
            let held = held(&stage, budget_bytes, Batching::Verbatim, target).await;
            println!("{sources} to {targets} brokers, {target:?}: {held} of {budget_bytes}");
            assert!(held <= budget_bytes + FIELDS_BYTES, "{target:?}: {held} of {budget_bytes}");
            assert!(held > budget_bytes / 2, "{target:?}: {held} of {budget_bytes} is no test");
            stage.assert_equal("t");
        }
    }
}

/// Brokers answer with a whole batch, however little they were asked for: one of these for each of them may come on top.
#[tokio::test(start_paused = true)]
async fn batches_larger_than_asked_for_cost_one_more_for_each_source_broker() {
    for (budget_bytes, (sources, targets)) in BUDGETS.iter().flat_map(|b| BROKERS.map(|of| (*b, of))) {
        let stage = Stage::of(sources, targets);
        stage.topic("t", PARTITIONS);
        fill(&stage.source, 3, ALL_KIB);
        let held = held(&stage, budget_bytes, Batching::Verbatim, Target::Slow).await;
        println!("{sources} to {targets} brokers: {held} of {budget_bytes}");
        let more = sources * (900 << 10);
        assert!(held <= budget_bytes + more + FIELDS_BYTES, "{held} of {budget_bytes}");
        stage.assert_equal("t");
    }
}

/// A batch of lz4 that unpacks to many times its size.
fn hollow(records: i32) -> Bytes {
    let plain = batch((0..records).map(|at| (at.to_string(), [0; 1000]))).build();
    let payload = compress(Codec::Lz4, &plain[61..]).unwrap();
    opaque_batch(payload.into(), records, Codec::Lz4.id()).timestamp_ms(now_ms()).build()
}

/// A quarter more may be held while batches become one.
#[tokio::test(start_paused = true)]
async fn merging_costs_a_quarter_more() {
    for budget_bytes in BUDGETS {
        let stage = Stage::of(3, 2);
        stage.topic("t", PARTITIONS);
        let batch = hollow(100);
        for partition in 0..PARTITIONS {
            for _ in 0..60 {
                stage.source.append("t", partition, &batch).unwrap();
            }
        }
        let held = held(&stage, budget_bytes, Batching::Adaptive, Target::Slow).await;
        println!("batches of {} bytes: {held} of {budget_bytes}", batch.len());
        assert!(held <= budget_bytes + budget_bytes / 4 + FIELDS_BYTES, "{held} of {budget_bytes}");
        for partition in 0..PARTITIONS {
            let end = |cluster: &TestCluster| cluster.log_end("t", partition).unwrap();
            assert_eq!(end(&stage.source), end(&stage.target));
        }
    }
}

/// The process as a whole: memory of frames that are done with is kept for those to come, and smaller ones leave a part of it unused, so
/// that the bound counts twice; and an allowance for code, stacks and queues.
#[cfg(target_os = "linux")]
#[test]
fn the_process_does_not_grow_with_what_waits() -> TestResult {
    const MEMORY_MIB: u64 = 16;
    const CEILING_KIB: u64 = (2 * MEMORY_MIB + 64) << 10;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (source, target) = runtime.block_on(async {
        let start = async |id: &str, brokers| {
            TestResult::Ok(TestCluster::builder().brokers(brokers).cluster_id(id).start_tcp().await?)
        };
        TestResult::Ok((start("source", 3).await?, start("target", 2).await?))
    })?;
    source.create_topic("t", PARTITIONS, &[]).map_err(|code| code.to_string())?;
    // None that would be left in the kernel.
    fill(&source, 32, &[1, 3, 20, 30]);
    target.on(ApiKey::Produce, |_| Control::Delay(Duration::from_millis(50)));
    let more = ["--memory", &MEMORY_MIB.to_string(), "--until-caught-up"];
    let mut running = scene::start(&source.bootstrap(), &target.bootstrap(), "memory", "t", &more)?;
    let mut most_kib = 0;
    while running.is_running() && running.started().elapsed() < verbatim::PATIENCE {
        most_kib = running.resident_kib().map_or(most_kib, |(_, most)| most);
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = running.ended(verbatim::PATIENCE)?.expect(0)?;
    println!("{most_kib} KiB at most, of {CEILING_KIB}; {}", ended.stdout.trim());
    assert!(most_kib > MEMORY_MIB << 10, "{most_kib} KiB are no test");
    assert!(most_kib < CEILING_KIB, "{most_kib} KiB resident, more than {CEILING_KIB}");
    assert_equal(&source, &target, "t");
    Ok(())
}
