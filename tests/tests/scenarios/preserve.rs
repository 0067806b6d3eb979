//! Promise: with preserved offsets every record has on the target the offset it has on the source, whatever lies between the
//! records, and whatever crashes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use verbatim_pipeline::{FlowConfig, FlowHandle, Offsets, OffsetsHeld, StopReason};
use verbatim_testbroker::{Control, ErrorCode, TestCluster, batch};
use verbatim_tests::sameness::assert_same;
use verbatim_tests::scenario::{Dice, Stage, eventually, fill, now_ms, numbered, soon};

fn preserve() -> FlowConfig {
    FlowConfig {
        offsets: Offsets::Preserve,
        position_interval: Duration::from_millis(500),
        ..FlowConfig::default()
    }
}

async fn caught_up(stage: &Stage, flow: &FlowHandle, topic: &str) {
    let arrived = async {
        loop {
            let status = flow.status().await.unwrap();
            if let Some((name, reason)) = status.stopped().next() {
                panic!("{name} stopped: {reason}");
            }
            let is_there = |partition: i32| {
                let end = |cluster: &TestCluster| cluster.last_stable_offset(topic, partition).unwrap();
                end(&stage.target) >= end(&stage.source)
            };
            if (0..stage.source.partitions(topic).unwrap() as i32).all(is_there) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon("the target is as long as the source", arrived).await;
}

async fn started(stage: &Stage) -> FlowHandle {
    stage.flow(&["t"]).await.config(preserve()).start().await.unwrap()
}

/// Some transactions of one producer, committed and aborted, with plain records between them.
fn transactions(cluster: &TestCluster, partition: i32, count: usize, dice: &mut Dice) {
    let id = cluster.new_producer_id();
    let mut sequence = 0;
    for number in 0..count {
        for _ in 0..=dice.roll(2) {
            let records = 1 + dice.roll(4) as i32;
            let built = numbered(&format!("{id} {number}"), records as usize);
            cluster.append("t", partition, &built.producer(id, 0, sequence).transactional().build()).unwrap();
            sequence += records;
        }
        if dice.roll(3) == 0 {
            cluster.abort("t", partition, (id, 0)).unwrap();
        } else {
            cluster.commit("t", partition, (id, 0)).unwrap();
        }
        if dice.roll(2) == 0 {
            fill(cluster, "t", partition, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_keep_their_offsets() {
    let stage = Stage::new();
    stage.topic("t", 2);
    let mut dice = Dice::new(1);
    transactions(&stage.source, 0, 20, &mut dice);
    fill(&stage.source, "t", 1, 5);
    let flow = started(&stage).await;
    caught_up(&stage, &flow, "t").await;
    assert_same(&stage, "t");
    for _ in 0..10 {
        transactions(&stage.source, 0, 3, &mut dice);
        transactions(&stage.source, 1, 3, &mut dice);
        caught_up(&stage, &flow, "t").await;
        assert_same(&stage, "t");
    }
    let status = flow.status().await.unwrap();
    assert!(status.partitions.iter().all(|partition| partition.offsets == OffsetsHeld::Preserved));
    assert!(status.total().filled_offsets > 0);
    soon("caught up", flow.caught_up()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn compacted_logs_keep_their_offsets() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let stage = Stage::new();
        for cluster in [&stage.source, &stage.target] {
            cluster.create_topic("t", 1, &[("cleanup.policy", "compact")]).unwrap();
        }
        let append = |dice: &mut Dice, count: usize| {
            for _ in 0..count {
                let records = (0..1 + dice.roll(6))
                    .map(|_| (format!("key {}", dice.roll(20)), format!("{}", dice.roll(1000))));
                let built = batch(records.collect::<Vec<_>>()).timestamp_ms(now_ms());
                stage.source.append("t", 0, &built.build()).unwrap();
            }
        };
        append(&mut dice, 40);
        stage.source.compact("t", 0, None).unwrap();
        append(&mut dice, 5);
        let flow = started(&stage).await;
        caught_up(&stage, &flow, "t").await;
        assert_same(&stage, "t");
        append(&mut dice, 20);
        caught_up(&stage, &flow, "t").await;
        drop(flow);
        let flow = started(&stage).await;
        append(&mut dice, 5);
        caught_up(&stage, &flow, "t").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_begins_late_begins_late_on_the_target() {
    for configs in [&[][..], &[("cleanup.policy", "compact")][..]] {
        let stage = Stage::new();
        for cluster in [&stage.source, &stage.target] {
            cluster.create_topic("t", 1, configs).unwrap();
        }
        stage.source.begin_at("t", 0, 1_000_123).unwrap();
        for number in 0..5 {
            let built = batch([(format!("{number}"), "value")]).timestamp_ms(now_ms());
            stage.source.append("t", 0, &built.build()).unwrap();
        }
        let flow = started(&stage).await;
        caught_up(&stage, &flow, "t").await;
        assert_same(&stage, "t");
        let target = stage.join(&stage.target).await;
        let found = target.topic_configs(&["t".into()]).await.unwrap().remove(0).unwrap();
        let policy = found["cleanup.policy"].value.clone().unwrap();
        assert_eq!(policy, configs.first().map_or("delete", |(_, policy)| policy), "put back");
    }
}

/// The flow ends in the middle of everything, again and again.
#[tokio::test(start_paused = true)]
async fn killed_while_filling() {
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let stage = Stage::new();
        stage.topic("t", 1);
        if dice.roll(2) == 0 {
            stage.source.begin_at("t", 0, 1_500_000).unwrap();
        }
        for _ in 0..8 {
            transactions(&stage.source, 0, 5, &mut dice);
            let instance = stage.instance(preserve(), &["t"]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(*dice.pick(&[0, 1, 3, 10, 50, 2000]))).await;
            instance.kill();
        }
        let flow = started(&stage).await;
        caught_up(&stage, &flow, "t").await;
        assert_same(&stage, "t");
    }
}

#[tokio::test(start_paused = true)]
async fn where_markers_are_refused_offsets_are_translated_and_it_says_why() {
    let stage = Stage::new();
    stage.topic("t", 1);
    let refused = Control::Error(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    stage.target.times(ApiKey::WriteTxnMarkers, 1000, refused);
    fill(&stage.source, "t", 0, 3);
    let before = stage.source.log_end("t", 0).unwrap();
    transactions(&stage.source, 0, 5, &mut Dice::new(3));
    let config = FlowConfig { offsets: Offsets::Auto, ..preserve() };
    let flow = stage.flow(&["t"]).await.config(config.clone()).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.assert_equal("t");
    let status = flow.status().await.unwrap();
    assert_eq!(status.partitions[0].offsets, OffsetsHeld::Translated);
    let why = status.partitions[0].translated_because.clone().unwrap();
    assert!(why.contains("refuses markers"), "{why}");
    let name = status.partitions[0].name.clone();
    let map = flow.offset_map(name.clone()).await.unwrap().unwrap();
    assert_eq!(map.target_of(before - 1), Some(before - 1), "offsets were the same up to the first gap");
    flow.shutdown().await.unwrap();
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    let again = flow.offset_map(name).await.unwrap().unwrap();
    assert!(again.runs().eq(map.runs()), "and after a restart");

    // Where they must be preserved, the partition stops.
    let stage = Stage::new();
    stage.topic("t", 1);
    let refused = Control::Error(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    stage.target.times(ApiKey::WriteTxnMarkers, 1000, refused);
    transactions(&stage.source, 0, 5, &mut Dice::new(3));
    let flow = started(&stage).await;
    soon("it stops", async { flow.caught_up().await.unwrap_err() }).await;
    let status = flow.status().await.unwrap();
    let (_, reason) = status.stopped().next().unwrap();
    assert!(matches!(**reason, StopReason::Denied { .. }), "{reason}");
}

/// With nothing stored, a target that holds a copy is taken up where it ends; one that holds something else is not.
#[tokio::test(start_paused = true)]
async fn a_copy_is_taken_up_where_it_ends() {
    let stage = Stage::new();
    stage.topic("t", 1);
    fill(&stage.source, "t", 0, 10);
    let flow = started(&stage).await;
    caught_up(&stage, &flow, "t").await;
    flow.shutdown().await.unwrap();
    stage.target.delete_topic("__verbatim.default").unwrap();
    fill(&stage.source, "t", 0, 10);
    let flow = started(&stage).await;
    caught_up(&stage, &flow, "t").await;
    assert_same(&stage, "t");
    flow.shutdown().await.unwrap();

    stage.target.delete_topic("__verbatim.default").unwrap();
    let end = stage.target.log_end("t", 0).unwrap();
    stage.target.truncate("t", 0, end - 5).unwrap();
    stage.target.append("t", 0, &numbered("somebody else's", 5).build()).unwrap();
    fill(&stage.source, "t", 0, 10);
    let flow = started(&stage).await;
    soon("it stops", async { flow.caught_up().await.unwrap_err() }).await;
    let status = flow.status().await.unwrap();
    let (_, reason) = status.stopped().next().unwrap();
    assert!(matches!(**reason, StopReason::NotACopy { .. }), "{reason}");
}

/// A topic that others have filled stays as it is, and no policy deletes it: nothing of it is the flow's.
#[tokio::test(start_paused = true)]
async fn what_others_wrote_is_not_taken_for_a_copy() {
    for (on_source, on_target) in [(20, 10), (10, 20), (0, 5)] {
        let stage = Stage::new();
        stage.topic("t", 1);
        fill(&stage.source, "t", 0, on_source);
        stage.target.append("t", 0, &numbered("somebody else's", on_target).build()).unwrap();
        let flow = started(&stage).await;
        soon("it stops", async { flow.caught_up().await.unwrap_err() }).await;
        let status = flow.status().await.unwrap();
        let (_, reason) = status.stopped().next().unwrap();
        let last = on_target as i64 - 1;
        assert!(matches!(**reason, StopReason::NotACopy { target, .. } if target == last), "{reason}");
        assert!(!reason.calls_for_reseed());
        assert_eq!(stage.target.log_end("t", 0).unwrap(), last + 1);
    }
}

/// Nor where the source is another topic by the time it is to be compared.
#[tokio::test(start_paused = true)]
async fn nor_is_it_where_the_source_is_created_again() {
    let stage = Stage::new();
    stage.topic("t", 1);
    fill(&stage.source, "t", 0, 10);
    stage.target.append("t", 0, &numbered("somebody else's", 10).build()).unwrap();
    stage.source.on(ApiKey::Fetch, |_| Control::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    let flow = started(&stage).await;
    let asked = || stage.source.requests().iter().any(|request| request.api == ApiKey::Fetch);
    eventually("the source is asked", asked).await;
    stage.source.delete_topic("t").unwrap();
    stage.source.create_topic("t", 1, &[]).unwrap();
    soon("it stops", async { flow.caught_up().await.unwrap_err() }).await;
    let status = flow.status().await.unwrap();
    let (_, reason) = status.stopped().next().unwrap();
    assert!(matches!(**reason, StopReason::NotACopy { target: 9, held: None }), "{reason}");
    assert!(!reason.calls_for_reseed());
    assert_eq!(stage.target.log_end("t", 0).unwrap(), 10);
}

/// Three instances at once: one fills, all copy, nothing is there twice.
#[tokio::test(start_paused = true)]
async fn three_instances_at_once() {
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let stage = Stage::new();
        stage.topic("t", 2);
        let mut instances = Vec::new();
        for round in 0..25 {
            transactions(&stage.source, 0, 2, &mut dice);
            transactions(&stage.source, 1, 2, &mut dice);
            if instances.len() < 3 {
                let starting = stage.instance(preserve(), &["t"]);
                instances.push(Box::pin(soon("it starts", starting)).await.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(*dice.pick(&[1, 20, 500, 3000]))).await;
            if round % 4 == 3 {
                instances.remove(dice.roll(instances.len() as u64) as usize).kill();
            }
        }
        caught_up(&stage, &instances[0].flow, "t").await;
        let mut looks = 0;
        eventually("nothing is left to do", || {
            looks += 1;
            looks > 50
        })
        .await;
        assert_same(&stage, "t");
        for instance in &instances {
            let status = instance.flow.status().await.unwrap();
            assert_eq!(status.stopped().count(), 0, "{:?}", status.stopped().next());
        }
    }
}
