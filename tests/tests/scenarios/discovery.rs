//! Promise: a mirror finds the topics that match, creates what the target lacks, says what it cannot do before it does anything,
//! and takes up what comes later.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::messages::{ApiKey, CreateTopicsRequest};
use verbatim_mirror::{Mirror, MirrorConfig, MirrorError};
use verbatim_pipeline::{Flow, FlowError};
use verbatim_testbroker::{Control, ErrorCode, TestCluster};
use verbatim_tests::scenario::{Stage, eventually, fill, log, soon};

async fn mirror(stage: &Stage, patterns: &str) -> Result<Mirror, MirrorError> {
    let (source, target) = stage.connect().await;
    Mirror::start(source, target, MirrorConfig::new(patterns).unwrap()).await
}

/// Names on the target, our own state left out.
fn names(cluster: &TestCluster) -> BTreeSet<String> {
    cluster.topics().into_iter().filter(|name| !name.starts_with("__verbatim.")).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What a topic was created with: the request, as the target heard it.
fn watch_creations(cluster: &TestCluster) -> std::sync::Arc<std::sync::Mutex<Vec<CreateTopicsRequest>>> {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noting = seen.clone();
    cluster.on(ApiKey::CreateTopics, move |request| {
        noting.lock().unwrap().extend(request.decode::<CreateTopicsRequest>());
        Control::Pass
    });
    seen
}

#[tokio::test(start_paused = true)]
async fn missing_topics_are_created_with_partitions_and_configs() {
    let stage = Stage::of(3, 2);
    let configs =
        [("cleanup.policy", "compact"), ("max.message.bytes", "3000000"), ("min.insync.replicas", "2")];
    stage.source.create_topic("orders", 7, &configs).unwrap();
    stage.source.create_topic("orders.eu", 2, &[]).unwrap();
    stage.source.create_topic("payments", 1, &[]).unwrap();
    stage.source.create_topic("__consumer_offsets", 5, &[]).unwrap();
    stage.target.create_topic("orders.eu", 4, &[]).unwrap();
    for partition in 0..7 {
        fill(&stage.source, "orders", partition, 3);
    }
    let seen = watch_creations(&stage.target);
    let mirror = mirror(&stage, "orders.*,__.*").await.unwrap();
    soon("caught up", mirror.flow().caught_up()).await.unwrap();
    assert_eq!(mirror.topics(), 2);
    assert_eq!(names(&stage.target), set(&["orders", "orders.eu"]));
    assert_eq!((stage.target.partitions("orders"), stage.target.partitions("orders.eu")), (Some(7), Some(4)));
    stage.assert_equal("orders");

    let requests = seen.lock().unwrap();
    let created =
        requests.iter().flat_map(|request| &request.topics).find(|topic| &*topic.name.0 == "orders");
    let created = created.unwrap();
    let configs: Vec<(String, String)> = created
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_ref().unwrap().to_string()))
        .collect();
    let expected = [("cleanup.policy", "compact"), ("max.message.bytes", "3000000")];
    assert_eq!(configs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(created.replication_factor, 2, "three on the source, but the target has two brokers");
}

#[tokio::test(start_paused = true)]
async fn topics_and_partitions_that_come_later_are_taken_up_within_seconds() {
    let stage = Stage::new();
    stage.source.create_topic("orders-1", 1, &[]).unwrap();
    fill(&stage.source, "orders-1", 0, 5);
    let mut mirror = mirror(&stage, "orders.*").await.unwrap();
    let later = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        stage.source.create_topic("orders-2", 3, &[]).unwrap();
        stage.source.create_topic("other", 3, &[]).unwrap();
        for partition in 0..3 {
            fill(&stage.source, "orders-2", partition, 4);
        }
        let begun = tokio::time::Instant::now();
        eventually("the new topic is copied", || {
            (0..3).all(|partition| stage.target.log("orders-2", partition).is_ok_and(|log| log.len() == 4))
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        // What was there goes on meanwhile.
        fill(&stage.source, "orders-1", 0, 5);
        eventually("the old topic goes on", || log(&stage.target, "orders-1", 0).len() == 10).await;
    };
    tokio::select! {
        ended = mirror.watch() => panic!("{ended}"),
        () = later => {}
    }
    stage.assert_equal("orders-1");
    stage.assert_equal("orders-2");
    assert_eq!(names(&stage.target), set(&["orders-1", "orders-2"]));
    assert_eq!(mirror.topics(), 2);
    let flow = mirror.into_flow();
    soon("caught up", flow.caught_up()).await.unwrap();
    flow.shutdown().await.unwrap();
}

/// One topic that cannot be made does not keep the others from being taken up.
#[tokio::test(start_paused = true)]
async fn a_later_topic_that_cannot_grow_is_left_out() {
    let stage = Stage::new();
    stage.topic("orders-1", 1);
    let mut mirror = mirror(&stage, "orders.*").await.unwrap();
    stage.source.create_topic("orders-2", 3, &[]).unwrap();
    stage.target.create_topic("orders-2", 2, &[]).unwrap();
    stage.source.create_topic("orders-3", 1, &[]).unwrap();
    fill(&stage.source, "orders-3", 0, 4);
    stage.target.once(ApiKey::CreatePartitions, Control::Error(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let found = mirror.discover().await.unwrap();
    assert_eq!(found.iter().map(|pair| &*pair.source).collect::<Vec<_>>(), ["orders-3"]);
    stage.copied(mirror.flow(), "orders-3").await;
    // It may now.
    let found = mirror.discover().await.unwrap();
    assert_eq!(found.iter().map(|pair| &*pair.source).collect::<Vec<_>>(), ["orders-2"]);
    assert_eq!(stage.target.partitions("orders-2"), Some(3));
    assert!(mirror.discover().await.unwrap().is_empty());
}

/// A topic that grows on the source grows on the target.
#[tokio::test(start_paused = true)]
async fn growth_is_followed() {
    let stage = Stage::new();
    stage.source.create_topic("a", 3, &[]).unwrap();
    stage.target.create_topic("a", 1, &[]).unwrap();
    fill(&stage.source, "a", 2, 4);
    let mut mirror = mirror(&stage, "a").await.unwrap();
    soon("caught up", mirror.flow().caught_up()).await.unwrap();
    assert_eq!(stage.target.partitions("a"), Some(3));
    stage.join(&stage.source).await.create_partitions("a", 5, false).await.unwrap();
    fill(&stage.source, "a", 4, 4);
    assert_eq!(mirror.discover().await.unwrap().len(), 1);
    assert_eq!(stage.target.partitions("a"), Some(5));
    eventually("the new partition is copied", || stage.target.log("a", 4).is_ok_and(|log| log.len() == 4))
        .await;
    stage.assert_equal("a");
}

#[tokio::test(start_paused = true)]
async fn where_the_target_does_not_let_topics_grow_nothing_is_begun() {
    let stage = Stage::new();
    for (name, on_source, on_target) in [("a", 3, None), ("b", 4, Some(3)), ("c", 2, Some(1))] {
        stage.source.create_topic(name, on_source, &[]).unwrap();
        if let Some(partitions) = on_target {
            stage.target.create_topic(name, partitions, &[]).unwrap();
        }
    }
    stage.target.on(ApiKey::CreatePartitions, |_| Control::Error(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let error = mirror(&stage, ".*").await.map(|_| ()).unwrap_err();
    let sentence = error.to_string();
    assert!(matches!(&error, MirrorError::Create(problems) if problems.len() == 2), "{sentence}");
    for part in [
        "create partitions of topic b: TOPIC_AUTHORIZATION_FAILED (29); grant ALTER on the topic",
        "create partitions of topic c:",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
    let asked = stage.target.requests();
    assert!(asked.iter().all(|request| request.api != ApiKey::InitProducerId));
    assert_eq!(stage.target.topics(), ["b", "c"], "not even the state topic");

    let flow = stage.flow(&["b"]).await.start().await;
    let sentence = flow.map(|_| ()).unwrap_err().to_string();
    assert!(
        sentence.contains("topic b has fewer partitions on the target (3)") && sentence.contains("(4)"),
        "{sentence}"
    );
    let flow = stage.flow(&["b", "nowhere"]).await.start().await;
    let sentence = flow.map(|_| ()).unwrap_err().to_string();
    assert!(sentence.contains("topic b") || sentence.contains("nowhere"), "{sentence}");
    assert_eq!(stage.target.topics(), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn topics_the_target_refuses_to_create_are_named() {
    let stage = Stage::new();
    for name in ["a", "b"] {
        stage.source.create_topic(name, 1, &[]).unwrap();
    }
    stage.target.once(ApiKey::CreateTopics, Control::Error(ErrorCode::POLICY_VIOLATION));
    let error = mirror(&stage, ".*").await.map(|_| ()).unwrap_err().to_string();
    for part in ["target cluster", "create topic a", "create topic b", "POLICY_VIOLATION (44)"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(stage.target.topics().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_not_copied_onto_itself() {
    let stage = Stage::new();
    stage.source.create_topic("t", 1, &[]).unwrap();
    let twice = (stage.join(&stage.source).await, stage.join(&stage.source).await);
    let config = MirrorConfig::new("t").unwrap();
    let error = Mirror::start(twice.0.clone(), twice.1.clone(), config).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, MirrorError::Flow(FlowError::SameCluster { .. })), "{error}");
    let error = Flow::new(twice.0, twice.1).topic("t").start().await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("source and target are the same cluster (id source)"), "{error}");
    assert_eq!(stage.source.topics(), ["t"]);
}

/// What `--until-caught-up` waits for: where each partition ended when it was first looked at.
#[tokio::test(start_paused = true)]
async fn caught_up_means_where_the_source_ended_when_the_flow_first_looked() {
    let stage = Stage::of(2, 2);
    stage.source.create_topic("empty", 50, &[]).unwrap();
    stage.source.create_topic("wide", 300, &[]).unwrap();
    stage.source.create_topic("emptied", 1, &[]).unwrap();
    fill(&stage.source, "emptied", 0, 5);
    stage.source.delete_records("emptied", 0, -1).unwrap();
    for partition in (0..300).step_by(7) {
        fill(&stage.source, "wide", partition, 2);
    }
    let mirror = mirror(&stage, ".*").await.unwrap();
    let writing = async {
        loop {
            // A source that never rests must not keep the flow from having caught up.
            fill(&stage.source, "wide", 0, 10);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        outcome = soon("caught up", mirror.flow().caught_up()) => outcome.unwrap(),
        () = writing => {}
    }
    for partition in (0..300).step_by(7) {
        assert!(log(&stage.target, "wide", partition).len() >= 2, "partition {partition}");
    }
    // Asked again it answers at once, and without any topic there is nothing to wait for.
    soon("caught up", mirror.flow().caught_up()).await.unwrap();
    let (source, target) = stage.connect().await;
    let none = Mirror::start(source, target, MirrorConfig::new("nothing").unwrap()).await.unwrap();
    soon("caught up with nothing", none.flow().caught_up()).await.unwrap();
}
