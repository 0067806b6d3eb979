//! Promise: the smaller requests to a cluster do what their documentation says, on brokers that answer as Kafka does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use verbatim_testbroker::{Control, ErrorCode, KAFKA_2_1, Record, TestCluster, batch};
use verbatim_tests::scenario::{Stage, log, numbered};
use verbatim_wire::cluster::{
    AbortMarkers, Appended, BrokerError, Cluster, CommittedOffset, EpochEnd, Lane, LastBatch, NewTopic,
    OffsetAt, ProducerState,
};
use verbatim_wire::fetch::TopicIdentity;

/// A cluster of so many brokers, and how the product sees it.
async fn stage(brokers: usize) -> (Stage, Cluster) {
    let stage = Stage::of(1, brokers);
    let cluster = stage.join(&stage.target).await;
    (stage, cluster)
}

fn markers(topic: &str, partition: i32, count: u32, coordinator_epoch: i32) -> AbortMarkers {
    let topic = topic.into();
    AbortMarkers { topic, partition, count, producer_id: 77, producer_epoch: 0, coordinator_epoch }
}

async fn written(cluster: &Cluster, leader: i32, markers: &[AbortMarkers]) -> Vec<BrokerError> {
    let written = cluster.write_abort_markers(leader, markers).await.unwrap();
    let places = written.iter().map(|it| (it.topic.clone(), it.partition));
    assert!(places.eq(markers.iter().map(|it| (it.topic.clone(), it.partition))));
    written.iter().map(|it| it.error).collect()
}

async fn identity(cluster: &Cluster, topic: &str) -> TopicIdentity {
    let topics: [Arc<str>; 1] = [topic.into()];
    cluster.metadata(Some(&topics)).await.unwrap().topic(topic).unwrap().identity.clone()
}

fn ends(broker: &TestCluster, topic: &str, partitions: i32) -> Vec<i64> {
    (0..partitions).map(|partition| broker.log_end(topic, partition).unwrap()).collect()
}

const NONE: BrokerError = BrokerError::NONE;

#[tokio::test(start_paused = true)]
async fn markers_take_one_offset_each() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    broker.create_topic("t", 3, &[]).unwrap();
    let asked = [markers("t", 0, 1, 0), markers("t", 2, 1000, 0), markers("t", 1, 0, 0)];
    assert_eq!(written(&cluster, 1, &asked).await, [NONE; 3]);
    assert_eq!(ends(broker, "t", 3), [1, 0, 1000]);
    assert_eq!(broker.last_stable_offset("t", 2).unwrap(), 1000);
    assert!(log(broker, "t", 2).iter().all(|batch| batch.is_abort_marker()));
    // Nothing to write is not asked for.
    broker.clear_requests();
    assert_eq!(written(&cluster, 1, &[markers("t", 0, 0, 0)]).await, [NONE]);
    assert_eq!(written(&cluster, 1, &[]).await, []);
    assert_eq!(broker.requests(), []);

    let before = [markers("nowhere", 0, 2, 0), markers("t", 0, 2, 5), markers("t", 7, 1, 0)];
    let unknown = BrokerError::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(written(&cluster, 1, &before).await, [unknown, NONE, unknown]);
    let fenced = [markers("t", 0, 3, 4), markers("t", 2, 3, 4)];
    assert_eq!(written(&cluster, 1, &fenced).await, [BrokerError::TRANSACTION_COORDINATOR_FENCED, NONE]);
    let older = AbortMarkers { producer_epoch: -1, ..markers("t", 0, 1, 5) };
    assert_eq!(written(&cluster, 1, &[older]).await, [BrokerError::INVALID_PRODUCER_EPOCH]);
    assert_eq!(ends(broker, "t", 3), [3, 0, 1003]);
}

#[tokio::test(start_paused = true)]
async fn markers_go_between_sequences_and_show_in_the_producer_state() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    broker.create_topic("t", 1, &[]).unwrap();
    let t = identity(&cluster, "t").await;
    written(&cluster, 1, &[markers("t", 0, 2, 3)]).await;
    let state = async || {
        let described = cluster.describe_producers(1, &[("t".into(), 0)]).await.unwrap().unwrap();
        described[0].producers.clone()
    };
    let markers_only = ProducerState {
        producer_id: 77,
        producer_epoch: 0,
        last_sequence: -1,
        last_timestamp: broker.now_ms(),
        coordinator_epoch: 3,
        current_txn_start_offset: -1,
    };
    assert_eq!(state().await, [markers_only]);
    for (sequence, base_offset) in [(0, 2), (2, 6)] {
        let data = numbered("data", 2).producer(77, 0, sequence).build();
        let appended = cluster.append(1, &t, 0, &data).await.unwrap();
        assert_eq!(appended, Appended { base_offset, log_append_time_ms: -1 });
        written(&cluster, 1, &[markers("t", 0, 2, 3)]).await;
    }
    let known = state().await;
    assert_eq!((known[0].last_sequence, known[0].coordinator_epoch), (3, 3));
    // It is forgotten by the time of its records: the last were markers, which carry the wall time.
    broker.expire_producers(broker.now_ms() - 1);
    assert_eq!(state().await.len(), 1);
    let old = numbered("old", 1).producer(77, 0, 4).timestamp_ms(1000).build();
    cluster.append(1, &t, 0, &old).await.unwrap();
    broker.expire_producers(999);
    assert_eq!(state().await.len(), 1);
    broker.expire_producers(1000);
    assert_eq!(state().await, []);
    // And with it the fence.
    assert_eq!(written(&cluster, 1, &[markers("t", 0, 1, 0)]).await, [NONE]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_offered_or_not_allowed_is_told_apart() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    broker.create_topic("t", 2, &[]).unwrap();
    assert!(cluster.supports(1, 27).await.unwrap());
    assert!(!cluster.supports(1, 999).await.unwrap());
    broker.once(ApiKey::WriteTxnMarkers, Control::Error(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    let asked = [markers("t", 0, 3, 0), markers("t", 1, 3, 0)];
    let refused = BrokerError::CLUSTER_AUTHORIZATION_FAILED;
    assert_eq!(written(&cluster, 1, &asked).await, [refused, refused]);
    assert_eq!(ends(broker, "t", 2), [0, 0]);

    broker.set_max_versions(KAFKA_2_1);
    let old = stage.join(broker).await;
    assert!(!old.supports(1, 27).await.unwrap());
    assert!(old.supports(1, 23).await.unwrap());
    let error = old.write_abort_markers(1, &asked).await.unwrap_err();
    assert_eq!((error.unsupported_api(), error.broker_error()), (Some(27), None));
    assert_eq!(old.describe_producers(1, &[("t".into(), 0)]).await.unwrap(), None);
    let began = tokio::time::Instant::now();
    broker.set_max_versions(&[(ApiKey::OffsetCommit, -1)]);
    let old = stage.join(broker).await;
    let error = old.commit_offsets("g", &[CommittedOffset::new("t", 0, 1)]).await.unwrap_err();
    assert_eq!(error.unsupported_api(), Some(8));
    assert!(began.elapsed() < Duration::from_secs(1), "what is not there is not asked for again");
}

#[tokio::test(start_paused = true)]
async fn the_log_end_is_the_end_of_the_current_epoch() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    broker.create_topic("t", 2, &[]).unwrap();
    broker.append("t", 0, &numbered("first", 5).build()).unwrap();
    let ends = async |epochs: [i32; 2]| {
        let asked = [("t".into(), 0, epochs[0]), ("t".into(), 1, epochs[1]), ("t".into(), 9, 0)];
        let found = cluster.log_ends(1, &asked).await.unwrap();
        assert!(found.iter().map(|it| it.partition).eq([0, 1, 9]));
        assert_eq!(found[2].error, BrokerError::UNKNOWN_TOPIC_OR_PARTITION);
        [(found[0].offset, found[0].error), (found[1].offset, found[1].error)]
    };
    assert_eq!(ends([0, 0]).await, [(5, NONE), (0, NONE)]);
    broker.bump_epoch("t", 0).unwrap();
    broker.bump_epoch("t", 0).unwrap();
    broker.append("t", 0, &numbered("second", 2).build()).unwrap();
    let fenced = (-1, BrokerError::FENCED_LEADER_EPOCH);
    let unknown = (-1, BrokerError::UNKNOWN_LEADER_EPOCH);
    assert_eq!(ends([1, 1]).await, [fenced, unknown]);
    assert_eq!(ends([2, 0]).await, [(7, NONE), (0, NONE)]);
    let asked: Vec<_> = [-1, 0, 1, 2, 3].map(|wanted| ("t".into(), 0, 2, wanted)).into();
    let found = cluster.end_offsets_for_epochs(1, &asked[1..2]).await.unwrap();
    let first = EpochEnd { topic: "t".into(), partition: 0, leader_epoch: 0, end_offset: 5, error: NONE };
    assert_eq!(found, [first]);
    let ends_of = async |wanted: i32| {
        let asked = [("t".into(), 0, -1, wanted)];
        let found = cluster.end_offsets_for_epochs(1, &asked).await.unwrap();
        (found[0].leader_epoch, found[0].end_offset, found[0].error)
    };
    assert_eq!(ends_of(2).await, (2, 7, NONE));
    assert_eq!(ends_of(3).await, (-1, -1, NONE));
    // An unclean election: the log is shorter in a new epoch.
    broker.truncate("t", 0, 5).unwrap();
    assert_eq!(ends([3, 0]).await, [(5, NONE), (0, NONE)]);
}

#[tokio::test(start_paused = true)]
async fn records_are_deleted_where_the_policy_allows() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    for (name, policy) in [("delete", "delete"), ("compact", "compact"), ("both", "compact,delete")] {
        broker.create_topic(name, 1, &[("cleanup.policy", policy)]).unwrap();
        broker.append(name, 0, &numbered("a", 5).build()).unwrap();
        broker.append(name, 0, &numbered("b", 5).build()).unwrap();
    }
    let outcome = async |before: i64| {
        let asked = ["delete", "compact", "both"].map(|topic| (topic.into(), 0, before));
        let found = cluster.delete_records(1, &asked).await.unwrap();
        ["delete", "compact", "both"].map(|topic| {
            let it = found.iter().find(|it| &*it.topic == topic).unwrap();
            (it.offset, it.error)
        })
    };
    let forbidden = (-1, BrokerError::POLICY_VIOLATION);
    assert_eq!(outcome(7).await, [(7, NONE), forbidden, (7, NONE)]);
    assert_eq!(outcome(3).await, [(7, NONE), forbidden, (7, NONE)]);
    let beyond = (-1, BrokerError::OFFSET_OUT_OF_RANGE);
    assert_eq!(outcome(11).await, [beyond, forbidden, beyond]);
    assert_eq!(outcome(-1).await, [(10, NONE), forbidden, (10, NONE)]);
    let starts = cluster.list_offsets(1, &[("delete".into(), 0)], OffsetAt::Earliest).await.unwrap();
    assert_eq!(starts[0].offset, 10);
    let by_time = OffsetAt::Timestamp(broker.now_ms());
    let none = cluster.list_offsets(1, &[("delete".into(), 0)], by_time).await.unwrap();
    assert_eq!((none[0].offset, none[0].error), (-1, NONE));
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_for_a_group_without_members() {
    let (stage, cluster) = stage(3).await;
    let broker = &stage.target;
    broker.create_topic("t", 2, &[]).unwrap();
    let noted = |partition, offset, metadata: &str| CommittedOffset {
        metadata: metadata.to_owned(),
        ..CommittedOffset::new("t", partition, offset)
    };
    let offsets = [noted(1, 40, "noted"), noted(0, 999, "noted"), noted(5, 1, "noted")];
    let sorted = |mut outcome: Vec<(Arc<str>, i32, BrokerError)>| {
        outcome.sort_by_key(|(_, partition, _)| *partition);
        outcome.into_iter().map(|(_, partition, error)| (partition, error)).collect::<Vec<_>>()
    };
    let unknown = BrokerError::UNKNOWN_TOPIC_OR_PARTITION;
    for code in [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS] {
        broker.once(ApiKey::OffsetCommit, Control::Error(code));
    }
    broker.once(ApiKey::FindCoordinator, Control::Error(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    broker.once(ApiKey::OffsetCommit, Control::Disconnect);
    let outcome = cluster.commit_offsets("readers", &offsets).await.unwrap();
    assert_eq!(sorted(outcome), [(0, NONE), (1, NONE), (5, unknown)]);
    let committed = broker.group_offsets("readers");
    let found: BTreeMap<i32, (i64, i32, &str)> =
        committed.iter().map(|((_, p), it)| (*p, (it.offset, it.leader_epoch, &*it.metadata))).collect();
    assert_eq!(found, BTreeMap::from([(0, (999, -1, "noted")), (1, (40, -1, "noted"))]));

    let outcome = cluster.commit_offsets("readers", &[noted(1, 40, &"m".repeat(4097))]).await.unwrap();
    assert_eq!(sorted(outcome), [(1, BrokerError(12))]);

    // The coordinator is gone; another takes its groups.
    let coordinator = broker.coordinator("readers").unwrap();
    broker.crash(coordinator).await;
    let outcome = cluster.commit_offsets("readers", &[noted(0, 1000, "")]).await.unwrap();
    assert_eq!(sorted(outcome), [(0, NONE)]);
    assert_eq!(broker.group_offsets("readers")[&("t".to_owned(), 0)].offset, 1000);

    broker.delete_topic("t").unwrap();
    assert!(broker.group_offsets("readers").is_empty(), "what is committed goes with its topic");

    broker.once(ApiKey::FindCoordinator, Control::Error(ErrorCode::GROUP_AUTHORIZATION_FAILED));
    let error = cluster.commit_offsets("readers", &[noted(0, 1, "")]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "find the coordinator of group readers: GROUP_AUTHORIZATION_FAILED (30); grant READ on the group to \
         verbatim's principal"
    );
}

#[tokio::test(start_paused = true)]
async fn topics_are_configured_grown_and_deleted() {
    let (stage, cluster) = stage(2).await;
    let broker = &stage.target;
    cluster.create_topic(NewTopic::new("t", 1)).await.unwrap();
    let value = async |name: &str| {
        let configs = cluster.topic_configs(&["t".into()]).await.unwrap().remove(0).unwrap();
        let config = configs[name].clone();
        (config.value.clone().unwrap(), config.is_topic_override())
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let set = [pair("retention.ms", "-1"), pair("cleanup.policy", "compact")];
    cluster.alter_topic_configs("t", &set, &[]).await.unwrap();
    assert_eq!(value("retention.ms").await, ("-1".to_owned(), true));
    let set = [pair("cleanup.policy", "compact,delete")];
    cluster.alter_topic_configs("t", &set, &["retention.ms".to_owned()]).await.unwrap();
    assert_eq!(value("retention.ms").await, ("604800000".to_owned(), false));
    assert_eq!(value("cleanup.policy").await, ("compact,delete".to_owned(), true));
    let wrong = cluster.alter_topic_configs("t", &[pair("cleanup.policy", "burn")], &[]).await.unwrap_err();
    assert_eq!(wrong.broker_error(), Some(BrokerError(40)));
    let nowhere = cluster.alter_topic_configs("nowhere", &[], &[]).await.unwrap_err();
    assert_eq!(nowhere.broker_error(), Some(BrokerError::UNKNOWN_TOPIC_OR_PARTITION));

    cluster.create_partitions("t", 3, false).await.unwrap();
    assert_eq!(broker.partitions("t"), Some(3));
    let fewer = cluster.create_partitions("t", 2, false).await.unwrap_err();
    assert_eq!(fewer.broker_error(), Some(BrokerError(37)));

    let old = identity(&cluster, "t").await;
    let outcome = cluster.delete_topics(&["nowhere".into(), "t".into()]).await.unwrap();
    assert_eq!(
        outcome[0].as_ref().unwrap_err().broker_error(),
        Some(BrokerError::UNKNOWN_TOPIC_OR_PARTITION)
    );
    assert!(outcome[1].is_ok());
    cluster.create_topic(NewTopic::new("t", 1)).await.unwrap();
    let new = identity(&cluster, "t").await;
    assert!(new.name == old.name && new.id != old.id);

    let configs = cluster.broker_configs(2).await.unwrap();
    assert_eq!(configs["message.max.bytes"].as_deref(), Some("1048588"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_transaction_leaves_a_marker_on_each_partition() {
    let (stage, cluster) = stage(2).await;
    let broker = &stage.target;
    broker.create_topic("t", 3, &[]).unwrap();
    let producer = cluster.init_transactional_producer_id("tx", 60_000).await.unwrap();
    assert_eq!(producer.1, 0);
    for (api, code) in [
        (ApiKey::AddPartitionsToTxn, ErrorCode::CONCURRENT_TRANSACTIONS),
        (ApiKey::AddPartitionsToTxn, ErrorCode::NOT_COORDINATOR),
        (ApiKey::EndTxn, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        (ApiKey::FindCoordinator, ErrorCode::COORDINATOR_NOT_AVAILABLE),
    ] {
        broker.once(api, Control::Error(code));
    }
    let partitions = [("t".into(), 0), ("t".into(), 2)];
    for round in 1..=2 {
        cluster.abort_empty_transaction("tx", producer, &partitions).await.unwrap();
        assert_eq!(ends(broker, "t", 3), [round, 0, round]);
    }
    assert!(log(broker, "t", 2).iter().all(|it| it.is_abort_marker() && it.producer_id == producer.0));
    let newest = |api| broker.requests().iter().filter(|it| it.api == api).map(|it| it.version).max();
    assert_eq!((newest(ApiKey::AddPartitionsToTxn), newest(ApiKey::EndTxn)), (Some(3), Some(4)));

    // Markers that are late hold up the next transaction, which waits for them.
    broker.hold_transaction_markers(true);
    cluster.abort_empty_transaction("tx", producer, &partitions).await.unwrap();
    assert_eq!(ends(broker, "t", 3), [2, 0, 2]);
    let later = tokio::spawn({
        let (cluster, partitions) = (cluster.clone(), partitions.clone());
        async move { cluster.abort_empty_transaction("tx", producer, &partitions).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!later.is_finished());
    broker.hold_transaction_markers(false);
    later.await.unwrap().unwrap();
    assert_eq!(ends(broker, "t", 3), [4, 0, 4]);

    // Whoever takes the id over fences the one before.
    let next = cluster.init_transactional_producer_id("tx", 60_000).await.unwrap();
    assert_eq!(next, (producer.0, 1));
    let fenced = cluster.abort_empty_transaction("tx", producer, &partitions).await.unwrap_err();
    assert_eq!(fenced.to_string(), "add to a transaction partition 0 of topic t: PRODUCER_FENCED (90)");
}

fn offset_of(found: &LastBatch) -> Result<Option<(i64, i64)>, BrokerError> {
    let batch = found.batch.as_ref().map_err(|code| *code)?;
    let batch = batch.as_ref();
    Ok(batch.map(|batch| (batch.header.base_offset, batch.header.next_offset())))
}

#[tokio::test(start_paused = true)]
async fn the_last_batches_of_many_partitions_come_in_few_answers() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    let large = |partition: i32| partition % 10 == 3;
    for topic in ["a", "b"] {
        broker.create_topic(topic, 50, &[("max.message.bytes", "8000000")]).unwrap();
        for partition in 0..50 {
            broker.append(topic, partition, &numbered("first", 3).build()).unwrap();
            let value = if large(partition) { vec![7; 3_000_000] } else { vec![7; 300] };
            let last = batch([Record::new("k", &value), Record::new("l", "v")]);
            broker.append(topic, partition, &last.timestamp_ms(broker.now_ms()).build()).unwrap();
        }
    }
    let (a, b) = (identity(&cluster, "a").await, identity(&cluster, "b").await);
    let asked: Vec<_> =
        (0..50).flat_map(|partition| [(a.clone(), partition, 5), (b.clone(), partition, 5)]).collect();
    broker.clear_requests();
    let found = cluster.read_last_batches(1, &asked).await.unwrap();
    for ((topic, partition, _), found) in asked.iter().zip(&found) {
        assert_eq!((&found.topic, found.partition), (&topic.name, *partition));
        assert_eq!(offset_of(found), Ok(Some((3, 5))), "{}-{partition}", topic.name);
    }
    // One for the small ones, one more for each that is larger than a partition's share.
    assert!(broker.requests().len() <= 12, "{} requests", broker.requests().len());
    assert!(broker.requests().iter().all(|it| it.api == ApiKey::Fetch && it.version == 17));
}

#[tokio::test(start_paused = true)]
async fn the_last_batch_may_be_gone() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    broker.create_topic("t", 1, &[("cleanup.policy", "compact,delete")]).unwrap();
    broker.create_topic("empty", 1, &[]).unwrap();
    let keyed = |key: &str| batch([(key, "v"), (key, "w")]).build();
    for key in ["a", "b", "a", "b", "a"] {
        broker.append("t", 0, &keyed(key)).unwrap();
    }
    let (t, empty) = (identity(&cluster, "t").await, identity(&cluster, "empty").await);
    let look = async |end: i64| {
        let found = cluster.read_last_batches(1, &[(t.clone(), 0, end)]).await.unwrap();
        offset_of(&found[0])
    };
    assert_eq!(look(10).await, Ok(Some((8, 10))));
    assert_eq!(look(9).await, Ok(Some((8, 10))), "in the middle of a batch");
    assert_eq!(look(4).await, Ok(Some((2, 4))));
    assert_eq!(look(0).await, Ok(None));
    assert_eq!(look(12).await, Err(BrokerError::OFFSET_OUT_OF_RANGE));
    broker.compact("t", 0, None).unwrap();
    assert_eq!(look(10).await, Ok(Some((8, 10))));
    assert_eq!(look(4).await, Ok(None), "compacted away");
    broker.delete_records("t", 0, 8).unwrap();
    assert_eq!(look(8).await, Ok(None), "deleted");
    broker.delete_records("t", 0, 10).unwrap();
    assert_eq!(look(10).await, Ok(None), "all deleted");

    let nowhere = TopicIdentity { name: "nowhere".into(), id: t.id };
    let asked = [(empty.clone(), 0, 0), (empty, 7, 3), (nowhere, 0, 3)];
    broker.delete_topic("t").unwrap();
    let found = cluster.read_last_batches(1, &asked).await.unwrap();
    let outcome: Vec<_> = found.iter().map(offset_of).collect();
    let unknown = BrokerError::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(outcome, [Ok(None), Err(unknown), Err(BrokerError(100))]);

    // Old brokers name topics by name.
    broker.set_max_versions(KAFKA_2_1);
    let old = stage.join(broker).await;
    assert!(old.connection(1, Lane::Control).await.unwrap().version(1, 0, 99) == Some(10));
    broker.create_topic("t", 1, &[]).unwrap();
    broker.append("t", 0, &keyed("a")).unwrap();
    let found = old.read_last_batches(1, &[(t.clone(), 0, 2)]).await.unwrap();
    assert_eq!(offset_of(&found[0]), Ok(Some((0, 2))));
}

#[tokio::test(start_paused = true)]
async fn an_append_tells_the_append_time() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    broker.create_topic("t", 1, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
    let t = identity(&cluster, "t").await;
    let appended = cluster.append(1, &t, 0, &numbered("a", 2).timestamp_ms(5).build()).await.unwrap();
    assert_eq!(appended, Appended { base_offset: 0, log_append_time_ms: broker.now_ms() });
    let stored = log(broker, "t", 0);
    assert_eq!((stored[0].attributes & 8, stored[0].max_timestamp), (8, appended.log_append_time_ms));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_replicated_is_below_the_log_end_only() {
    let (stage, cluster) = stage(1).await;
    let broker = &stage.target;
    broker.create_topic("t", 2, &[]).unwrap();
    let t = identity(&cluster, "t").await;
    cluster.append(1, &t, 0, &numbered("a", 5).build()).await.unwrap();
    broker.hold_high_watermark("t", 0, true).unwrap();
    // Over connections of their own: answers come in order.
    let (writer, marking) = (stage.join(broker).await, stage.join(broker).await);
    let append = tokio::spawn({
        let t = t.clone();
        async move { writer.append(1, &t, 0, &numbered("b", 2).build()).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let marked = tokio::spawn(async move {
        marking.write_abort_markers(1, &[markers("t", 1, 1, 0), markers("t", 0, 3, 0)]).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let log_end = cluster.log_ends(1, &[("t".into(), 0, 0)]).await.unwrap()[0].offset;
    let latest = cluster.list_offsets(1, &[("t".into(), 0)], OffsetAt::Latest).await.unwrap()[0].offset;
    assert_eq!((log_end, latest), (10, 5));
    let found = cluster.read_last_batches(1, &[(t.clone(), 0, 10)]).await.unwrap();
    assert_eq!(offset_of(&found[0]), Err(BrokerError::OFFSET_NOT_AVAILABLE));
    let found = cluster.read_last_batches(1, &[(t.clone(), 0, 5)]).await.unwrap();
    assert_eq!(offset_of(&found[0]), Ok(Some((0, 5))));
    assert!(!append.is_finished() && !marked.is_finished());
    broker.hold_high_watermark("t", 0, false).unwrap();
    assert_eq!(append.await.unwrap().unwrap().base_offset, 5);
    assert!(marked.await.unwrap().unwrap().iter().all(|it| it.error == NONE));

    broker.hold_high_watermark("t", 0, true).unwrap();
    let written = written(&cluster, 1, &[markers("t", 1, 1, 0), markers("t", 0, 3, 0)]).await;
    assert_eq!(written, [NONE, BrokerError(7)], "written, but late");
    assert_eq!(ends(broker, "t", 2), [13, 2]);
}
