//! Promise: brokers from Kafka 2.1 on will do, on either side. Old ones know no topic ids, no `DescribeProducers`, and fewer versions
//! of everything.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use verbatim_mirror::{Mirror, MirrorConfig};
use verbatim_pipeline::FlowConfig;
use verbatim_testbroker::{KAFKA_2_1, TestCluster};
use verbatim_tests::scenario::{Dice, Stage, fill, log, numbered, patient_config, soon, translated_config};

/// Which sides are old: source, target.
const AGES: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

fn aged(brokers: usize, (source, target): (bool, bool)) -> Stage {
    let stage = Stage::of(brokers, brokers);
    for (cluster, _) in [(&stage.source, source), (&stage.target, target)].into_iter().filter(|(_, old)| *old)
    {
        cluster.set_max_versions(KAFKA_2_1);
    }
    stage.topic("t", 3);
    stage
}

fn versions(cluster: &TestCluster, api: ApiKey) -> Vec<i16> {
    let mut versions: Vec<i16> = cluster
        .requests()
        .iter()
        .filter(|request| request.api == api)
        .map(|request| request.version)
        .collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[tokio::test(start_paused = true)]
async fn old_brokers_on_either_side_or_both() {
    for age in AGES {
        let stage = aged(2, age);
        for partition in 0..3 {
            fill(&stage.source, "t", partition, 20);
        }
        let producer_id = stage.source.new_producer_id();
        let built = numbered("aborted", 3).producer(producer_id, 0, 0).transactional().build();
        stage.source.append("t", 1, &built).unwrap();
        stage.source.abort("t", 1, (producer_id, 0)).unwrap();
        fill(&stage.source, "t", 1, 5);
        let flow = stage.flow(&["t"]).await.start().await.unwrap();
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.assert_equal("t");
        let newest = |is_old: bool, old: i16, new: i16| if is_old { old } else { new };
        assert_eq!(versions(&stage.source, ApiKey::Fetch), [newest(age.0, 10, 17)]);
        assert_eq!(versions(&stage.target, ApiKey::Produce), [newest(age.1, 7, 13)]);
        // The first question is in a version that old brokers do not know; they answer in version 0 all the same.
        let first = stage.source.requests().first().cloned().unwrap();
        assert!(first.api == ApiKey::ApiVersions && first.version >= 3);
        // It goes on, and again after an end in order.
        fill(&stage.source, "t", 2, 5);
        stage.copied(&flow, "t").await;
        flow.shutdown().await.unwrap();
        fill(&stage.source, "t", 0, 5);
        let flow = stage.flow(&["t"]).await.start().await.unwrap();
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.assert_equal("t");
    }
}

/// Without `DescribeProducers` the log itself tells how far a killed life had come.
#[tokio::test(start_paused = true)]
async fn a_killed_flow_goes_on_where_an_old_target_ends() {
    for age in AGES {
        for seed in 0..15 {
            let mut dice = Dice::new(seed);
            let stage = aged(1, age);
            let config = FlowConfig { position_interval: Duration::from_millis(5), ..translated_config() };
            for _ in 0..5 {
                let instance = stage.instance(config.clone(), &["t"]).await.unwrap();
                for _ in 0..10 {
                    fill(&stage.source, "t", dice.roll(3) as i32, 2);
                    tokio::time::sleep(Duration::from_millis(dice.roll(4))).await;
                }
                instance.kill();
            }
            let flow = stage.flow(&["t"]).await.start().await.unwrap();
            soon("caught up", flow.caught_up()).await.unwrap();
            stage.assert_equal("t");
        }
    }
}

/// The same before any target offset was noted.
#[tokio::test(start_paused = true)]
async fn a_flow_killed_before_its_second_position_on_an_old_target() {
    let stage = aged(1, (false, true));
    let config = FlowConfig { position_interval: Duration::from_secs(3600), ..translated_config() };
    let instance = stage.instance(config, &["t"]).await.unwrap();
    fill(&stage.source, "t", 0, 20);
    stage.copied(&instance.flow, "t").await;
    instance.kill();
    fill(&stage.source, "t", 0, 20);
    let flow = stage.flow(&["t"]).await.start().await.unwrap();
    stage.copied(&flow, "t").await;
    stage.assert_equal("t");
}

#[tokio::test(start_paused = true)]
async fn leaders_move_among_old_brokers() {
    for age in AGES {
        let stage = aged(3, age);
        let flow = stage.flow(&["t"]).await.config(patient_config()).start().await.unwrap();
        for round in 0..20 {
            fill(&stage.source, "t", round % 3, 3);
            stage.source.move_leader("t", round % 3, 1 + round % 2).unwrap();
            stage.target.move_leader("t", (round + 1) % 3, 1 + (round + 1) % 3).unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        stage.copied(&flow, "t").await;
        stage.assert_equal("t");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mirror_between_old_clusters_creates_topics() {
    let stage = aged(3, (true, true));
    stage.source.create_topic("new", 4, &[("cleanup.policy", "compact")]).unwrap();
    for partition in 0..4 {
        fill(&stage.source, "new", partition, 3);
    }
    let (source, target) = stage.connect().await;
    let mirror = Mirror::start(source, target, MirrorConfig::new("new").unwrap()).await.unwrap();
    soon("caught up", mirror.flow().caught_up()).await.unwrap();
    stage.assert_equal("new");
    assert_eq!(log(&stage.target, "new", 3).len(), 3);
    assert_eq!(versions(&stage.target, ApiKey::CreateTopics), [3]);
}
