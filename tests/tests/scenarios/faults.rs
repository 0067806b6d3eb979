//! Promise: whatever fails and comes back, nothing is lost, doubled or reordered, and nobody has to intervene.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use verbatim_pipeline::{FlowConfig, FlowHandle, StopReason};
use verbatim_testbroker::{Control, Corruption, ErrorCode, TestCluster};
use verbatim_tests::scenario::{Stage, eventually, fill, log, patient_config, soon};

/// Appends to both partitions of topic `t`, a batch every 7 ms, while `story` goes on and a little longer.
async fn while_appending(stage: &Stage, story: impl Future<Output = ()>) {
    let appending = async {
        loop {
            fill(&stage.source, "t", 0, 1);
            fill(&stage.source, "t", 1, 2);
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    };
    let story = async {
        story.await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    tokio::select! {
        () = story => {}
        () = appending => {}
    }
}

/// Everything is there, and nothing twice.
async fn assert_healed(stage: &Stage, flow: &FlowHandle) {
    stage.copied(flow, "t").await;
    stage.assert_equal("t");
}

#[tokio::test(start_paused = true)]
async fn leaders_move_on_both_sides() {
    let stage = Stage::of(3, 3);
    stage.topic("t", 2);
    let flow = stage.start(&["t"]).await;
    let story = async {
        for round in 0..30 {
            let cluster = if round % 2 == 0 { &stage.source } else { &stage.target };
            cluster.move_leader("t", round % 4 / 2, 1 + round % 3).unwrap();
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    while_appending(&stage, story).await;
    assert_healed(&stage, &flow).await;
}

#[tokio::test(start_paused = true)]
async fn brokers_crash_and_come_back_on_both_sides() {
    // With one broker nobody takes over: everything waits for it.
    for brokers in [1, 3] {
        let stage = Stage::of(brokers, brokers);
        stage.topic("t", 2);
        let flow = stage.start(&["t"]).await;
        let story = async {
            for round in 0..12i32 {
                let cluster = if round % 2 == 0 { &stage.source } else { &stage.target };
                let node = 1 + round % brokers as i32;
                cluster.crash(node).await;
                tokio::time::sleep(Duration::from_millis(50 * u64::from(round.unsigned_abs()))).await;
                cluster.restart(node).unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        while_appending(&stage, story).await;
        assert_healed(&stage, &flow).await;
    }
}

/// The target's only broker comes back without what it acknowledged. Going on would leave a hole: the partition stops.
#[tokio::test(start_paused = true)]
async fn a_target_that_lost_acknowledged_records_stops_its_partition() {
    for lost in [1, 5, 1000] {
        let stage = Stage::new();
        stage.topic("t", 2);
        fill(&stage.source, "t", 0, 20);
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.target.crash(1).await;
        fill(&stage.source, "t", 0, 10);
        fill(&stage.source, "t", 1, 10);
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.target.restart_losing(1, lost).unwrap();
        let left = log(&stage.target, "t", 0);
        let reason = first_stop(&flow).await;
        let is_named = match &*reason {
            StopReason::TargetShorter { expected, found } => found.is_some_and(|end| end < *expected),
            _ => false,
        };
        assert!(is_named, "{lost} batches lost: {reason}");
        assert_eq!(log(&stage.target, "t", 0), left, "nothing is written behind a hole");
        // The other partition had lost nothing.
        eventually("the other is copied", || log(&stage.target, "t", 1).len() == 10).await;
    }
}

/// The same, so fast that nothing was under way meanwhile and no connection was missed.
#[tokio::test(start_paused = true)]
async fn a_target_that_lost_everything_unnoticed_is_noticed_by_the_first_offset() {
    let stage = Stage::new();
    stage.topic("t", 1);
    fill(&stage.source, "t", 0, 20);
    let flow = stage.start(&["t"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.target.crash(1).await;
    stage.target.restart_losing(1, 1000).unwrap();
    fill(&stage.source, "t", 0, 10);
    let reason = first_stop(&flow).await;
    assert!(matches!(&*reason, StopReason::UnexpectedOffset { expected: 60, found: 0, .. }), "{reason}");
    let elsewhere = log(&stage.target, "t", 0).len();
    assert!(elsewhere <= 5, "{elsewhere} batches: more than what was under way when the first was answered");
}

async fn first_stop(flow: &FlowHandle) -> Arc<StopReason> {
    let waiting = async {
        loop {
            let status = flow.status().await.unwrap();
            if let Some((_, reason)) = status.stopped().next() {
                return reason.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("a partition stops", waiting).await
}

/// Written, but the answer got lost: each of these batches is sent again only if the log does not have it.
#[tokio::test(start_paused = true)]
async fn lost_answers_do_not_double() {
    for lost in
        [Control::Disconnect, Control::Silence, Control::Error(ErrorCode(7)), Control::Error(ErrorCode(20))]
    {
        let stage = Stage::new();
        stage.topic("t", 2);
        let flow = stage.start(&["t"]).await;
        let mut count = 0;
        let lost = Control::ApplyThen(Box::new(lost));
        stage.target.on(ApiKey::Produce, move |_| {
            count += 1;
            if count % 3 == 0 { lost.clone() } else { Control::Pass }
        });
        while_appending(&stage, tokio::time::sleep(Duration::from_millis(300))).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        stage.target.clear_rules();
        assert_healed(&stage, &flow).await;
    }
}

/// What can happen to a request or its answer on the way.
fn accidents() -> Vec<Control> {
    let lost = |then| Control::ApplyThen(Box::new(then));
    vec![
        Control::Disconnect,
        Control::Silence,
        Control::Delay(Duration::from_secs(3)),
        Control::Delay(Duration::from_secs(90)),
        lost(Control::Disconnect),
        lost(Control::Silence),
        lost(Control::Delay(Duration::from_secs(90))),
        Control::Corrupt(Corruption::CorrelationId),
        Control::Corrupt(Corruption::CutAfter(2)),
        Control::Corrupt(Corruption::CutAfter(17)),
    ]
}

/// Errors that pass, by request.
fn passing_errors(api: ApiKey) -> &'static [i16] {
    match api {
        // What a broker says while it starts, loses its replicas, or leadership is being handed over.
        ApiKey::Produce => &[3, 5, 6, 7, 8, 13, 14, 19, 20, 45, 46, 56, 74, 100],
        ApiKey::Fetch => &[3, 5, 6, 7, 9, 56, 70, 71, 74, 75, 78, 100, 103, 106],
        ApiKey::Metadata => &[3, 5],
        ApiKey::ListOffsets => &[3, 5, 6, 7, 56, 74, 75, 78],
        ApiKey::DescribeProducers => &[3, 6, 7, 56],
        ApiKey::InitProducerId => &[7, 14, 15, 16],
        ApiKey::CreateTopics => &[7, 41],
        _ => &[],
    }
}

fn all_faults(api: ApiKey) -> Vec<Control> {
    let errors = passing_errors(api).iter().map(|code| Control::Error(ErrorCode(*code)));
    accidents().into_iter().chain(errors).collect()
}

const SOURCE_APIS: [ApiKey; 4] = [ApiKey::Fetch, ApiKey::Metadata, ApiKey::ApiVersions, ApiKey::ListOffsets];
const TARGET_APIS: [ApiKey; 5] =
    [ApiKey::Produce, ApiKey::Metadata, ApiKey::DescribeProducers, ApiKey::ApiVersions, ApiKey::ListOffsets];

/// Every fault, three times in a row, on every request of a running flow, while leaders move.
#[tokio::test(start_paused = true)]
async fn every_fault_on_every_request_of_a_running_flow_heals() {
    // Offsets are asked for only at the start.
    for (on_source, apis) in [(true, &SOURCE_APIS[..3]), (false, &TARGET_APIS[..4])] {
        for api in apis {
            for fault in all_faults(*api) {
                let told =
                    format!("{fault:?} on {api:?} of the {}", if on_source { "source" } else { "target" });
                let stage = Stage::of(2, 2);
                stage.topic("t", 2);
                let flow = stage.flow(&["t"]).await.start().await.unwrap();
                soon("caught up", flow.caught_up()).await.unwrap();
                let cluster: &TestCluster = if on_source { &stage.source } else { &stage.target };
                let met = times(cluster, *api, 3, fault);
                if *api == ApiKey::ApiVersions {
                    // Only a new connection asks for versions.
                    for node in 1..=2 {
                        cluster.crash(node).await;
                        cluster.restart(node).unwrap();
                    }
                }
                fill(&stage.source, "t", 0, 3);
                tokio::time::sleep(Duration::from_millis(20)).await;
                for partition in 0..2 {
                    let leader = cluster.leader("t", partition).unwrap().0.unwrap();
                    cluster.move_leader("t", partition, 3 - leader).unwrap();
                }
                if *api == ApiKey::ApiVersions {
                    // Met only by new connections.
                    for node in [1, 2] {
                        cluster.crash(node).await;
                        cluster.restart(node).unwrap();
                    }
                }
                println!("{told}");
                fill(&stage.source, "t", 0, 3);
                fill(&stage.source, "t", 1, 3);
                assert_healed(&stage, &flow).await;
                assert!(met.load(Ordering::Relaxed) > 0, "nobody met {told}");
            }
        }
    }
}

/// Treats the first `times` requests of `api` so; returns how many there were.
fn times(cluster: &TestCluster, api: ApiKey, times: usize, fault: Control) -> Arc<AtomicUsize> {
    let met = Arc::new(AtomicUsize::new(0));
    let counted = met.clone();
    let decide = move |_: &_| {
        if counted.fetch_add(1, Ordering::Relaxed) < times { fault.clone() } else { Control::Pass }
    };
    cluster.on(api, decide);
    met
}

/// Faults while a flow starts: it starts all the same, or says why not and has left nothing that disturbs the next try.
#[tokio::test(start_paused = true)]
async fn a_start_under_faults_succeeds_or_can_be_repeated() {
    let start_apis = [ApiKey::InitProducerId, ApiKey::CreateTopics, ApiKey::DescribeConfigs, ApiKey::Fetch];
    let on_target = TARGET_APIS.iter().chain(&start_apis).map(|api| (false, *api));
    let all = SOURCE_APIS.iter().map(|api| (true, *api)).chain(on_target);
    for (on_source, api) in all {
        for fault in all_faults(api) {
            let told = format!("{fault:?} on {api:?}, source: {on_source}");
            let stage = Stage::new();
            stage.topic("t", 2);
            fill(&stage.source, "t", 0, 5);
            let cluster = if on_source { &stage.source } else { &stage.target };
            let flow = stage.flow(&["t"]).await;
            cluster.times(api, 2, fault);
            let mut outcome = soon("start", flow.start()).await;
            let mut tries = 1;
            while outcome.is_err() {
                let error = outcome.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(tries < 4, "{told}: {error}");
                tries += 1;
                outcome = match tokio::time::timeout(Duration::from_secs(100), stage.flow(&["t"])).await {
                    Ok(flow) => soon("start", flow.start()).await,
                    Err(_) => panic!("{told}: no connection"),
                };
            }
            let flow = outcome.unwrap();
            soon(&told, flow.caught_up()).await.unwrap_or_else(|error| panic!("{told}: {error}"));
            stage.assert_equal("t");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fetch_sessions_come_and_go() {
    let stage = Stage::of(2, 1);
    stage.topic("t", 2);
    let flow = stage.start(&["t"]).await;
    let story = async {
        for round in 0..20 {
            stage.source.evict_fetch_sessions(1 + round % 2);
            tokio::time::sleep(Duration::from_millis(31)).await;
        }
    };
    while_appending(&stage, story).await;
    assert_healed(&stage, &flow).await;
    drop(flow);
    // A broker without a free slot serves every request in full.
    let builder = TestCluster::builder;
    let stage = Stage::with(builder().fetch_session_slots(0), builder());
    stage.topic("t", 2);
    let flow = stage.start(&["t"]).await;
    while_appending(&stage, tokio::time::sleep(Duration::from_millis(100))).await;
    assert_healed(&stage, &flow).await;
    soon("caught up", flow.caught_up()).await.unwrap();
}

/// A byte flips between the source and us: the target notices, and the batch is fetched again.
#[tokio::test(start_paused = true)]
async fn damage_on_the_way_heals_by_fetching_again() {
    let stage = Stage::new();
    stage.topic("t", 2);
    let flow = stage.start(&["t"]).await;
    // Rarely enough that the second try meets no second accident: two in a row count as damage on the source's disk.
    let mut count = 0;
    stage.source.on(ApiKey::Fetch, move |_| {
        count += 1;
        if count % 37 == 0 { Control::Corrupt(Corruption::Payload) } else { Control::Pass }
    });
    while_appending(&stage, tokio::time::sleep(Duration::from_secs(1))).await;
    assert_healed(&stage, &flow).await;
    let asked = stage.target.requests();
    assert!(
        asked.iter().any(|request| request.api == ApiKey::DescribeProducers),
        "no damage reached the target"
    );
}

/// The first answers of one partition never come, the other's do: it is not held up for long.
#[tokio::test(start_paused = true)]
async fn a_refused_partition_does_not_hold_up_the_others() {
    let stage = Stage::new();
    stage.topic("t", 2);
    let refuse =
        Control::PartitionError { topic: "t".into(), partition: 0, code: ErrorCode::NOT_ENOUGH_REPLICAS };
    let config = FlowConfig { lanes_per_broker: 1, ..patient_config() };
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    stage.target.on(ApiKey::Produce, move |_| refuse.clone());
    fill(&stage.source, "t", 0, 10);
    for _ in 0..20 {
        fill(&stage.source, "t", 1, 1);
        let end = log(&stage.source, "t", 1).len();
        let begun = tokio::time::Instant::now();
        eventually("partition 1 follows", || log(&stage.target, "t", 1).len() == end).await;
        assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    }
    assert!(log(&stage.target, "t", 0).is_empty());
    stage.target.clear_rules();
    assert_healed(&stage, &flow).await;
}

/// The offsets of a partition cannot be asked for while the flow starts: it is left out, and then it is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_partition_whose_leader_is_silent_at_the_start_is_copied_later() {
    let stage = Stage::new();
    stage.topic("t", 2);
    fill(&stage.source, "t", 0, 5);
    stage.source.on(ApiKey::ListOffsets, |_| Control::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    let outcome = soon("start", stage.flow(&["t"]).await.start()).await;
    stage.source.clear_rules();
    // An error is an answer, too.
    if let Ok(flow) = outcome {
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.assert_equal("t");
    }
}
