//! Promise: no silent jump. Whatever happens to the source's log, a flow stops and says what was expected, what was found and what can
//! be done, or does what its policy says and keeps note of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use verbatim_mirror::{Mirror, MirrorConfig, StartOf, TopicFilter};
use verbatim_pipeline::{
    FlowConfig, FlowError, FlowHandle, GapCause, Offsets, OnSourceAccident, PartitionName, Start, StopReason,
    TopicPair,
};
use verbatim_testbroker::{Record, TestCluster, batch};
use verbatim_tests::oracle::RawRecord;
use verbatim_tests::sameness::seen;
use verbatim_tests::scenario::{Stage, eventually, fill, now_ms, numbered, soon, translated_config};

fn continuing() -> FlowConfig {
    FlowConfig {
        on_source_accident: OnSourceAccident::Continue,
        position_interval: Duration::from_millis(100),
        ..translated_config()
    }
}

fn name() -> PartitionName {
    PartitionName { topic: "t".into(), partition: 0 }
}

fn records(cluster: &TestCluster) -> Vec<RawRecord> {
    seen(cluster, "t", 0).into_values().collect()
}

/// Copies ten batches, ends, lets something happen, starts again.
async fn interrupted(config: FlowConfig, happens: impl AsyncFnOnce(&Stage)) -> (Stage, FlowHandle) {
    let stage = Stage::new();
    stage.topic("t", 1);
    fill(&stage.source, "t", 0, 10);
    let flow = stage.flow(&["t"]).await.config(config.clone()).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    flow.shutdown().await.unwrap();
    happens(&stage).await;
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    (stage, flow)
}

/// Every record of the source that is there is on the target, where the map says.
async fn assert_mapped(stage: &Stage, flow: &FlowHandle) {
    let map = flow.offset_map(name()).await.unwrap().unwrap();
    let target = seen(&stage.target, "t", 0);
    for (offset, record) in seen(&stage.source, "t", 0) {
        let at = map.target_of(offset);
        assert_eq!(at.and_then(|at| target.get(&at)), Some(&record), "source offset {offset} at {at:?}");
        assert_eq!(at.and_then(|at| map.source_of(at)), Some(offset));
    }
}

#[tokio::test(start_paused = true)]
async fn retention_leaves_a_gap_that_is_noted() {
    let (stage, flow) = interrupted(continuing(), async |stage| {
        fill(&stage.source, "t", 0, 10);
        let end = stage.source.log_end("t", 0).unwrap();
        stage.source.delete_records("t", 0, end - 3).unwrap();
    })
    .await;
    soon("caught up", flow.caught_up()).await.unwrap();
    fill(&stage.source, "t", 0, 5);
    eventually("the new ones are copied", || records(&stage.target).len() == 30 + 3 + 15).await;
    let status = flow.status().await.unwrap();
    let [gap] = &status.partitions[0].gaps[..] else { panic!("{status:?}") };
    assert_eq!((gap.from, gap.to, gap.target, gap.why), (30, 57, 30, GapCause::Retention));
    assert_mapped(&stage, &flow).await;
    flow.shutdown().await.unwrap();
    let flow = stage.flow(&["t"]).await.config(continuing()).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    assert_eq!(flow.status().await.unwrap().partitions[0].gaps.len(), 1, "kept with the flow's state");
    assert_mapped(&stage, &flow).await;
}

#[tokio::test(start_paused = true)]
async fn with_preserved_offsets_a_gap_is_filled() {
    let config = FlowConfig { offsets: Offsets::Preserve, ..continuing() };
    let (stage, flow) = interrupted(config.clone(), async |stage| {
        fill(&stage.source, "t", 0, 10);
        let end = stage.source.log_end("t", 0).unwrap();
        stage.source.delete_records("t", 0, end - 3).unwrap();
    })
    .await;
    soon("caught up", flow.caught_up()).await.unwrap();
    let (source, target) = (seen(&stage.source, "t", 0), seen(&stage.target, "t", 0));
    assert!(source.iter().all(|(offset, record)| target.get(offset) == Some(record)));
    assert_eq!(flow.status().await.unwrap().partitions[0].gaps[0].to, 57);
}

#[tokio::test(start_paused = true)]
async fn a_truncated_source_goes_on_behind_what_it_lost() {
    let (stage, flow) = interrupted(continuing(), async |stage| {
        stage.source.truncate("t", 0, 20).unwrap();
        for number in 0..5 {
            stage.source.append("t", 0, &numbered(&format!("new {number}"), 4).build()).unwrap();
        }
    })
    .await;
    soon("caught up", flow.caught_up()).await.unwrap();
    eventually("the new ones are copied", || records(&stage.target).len() == 50).await;
    let status = flow.status().await.unwrap();
    assert_eq!(status.partitions[0].gaps[0].why, GapCause::Truncation);
    assert_mapped(&stage, &flow).await;
    flow.shutdown().await.unwrap();
    fill(&stage.source, "t", 0, 5);
    let flow = stage.flow(&["t"]).await.config(continuing()).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    assert_mapped(&stage, &flow).await;
    assert_eq!(records(&stage.target).len(), 65);
}

/// What is left of the source and what is gone cannot be told apart by content: these records are all alike.
#[tokio::test(start_paused = true)]
async fn retention_overtakes_what_a_killed_flow_had_copied_and_not_noted() {
    for kept_from in [15, 30, 45] {
        let config = FlowConfig { position_interval: Duration::from_secs(3600), ..continuing() };
        let stage = Stage::new();
        stage.topic("t", 1);
        let alike = || batch((0..3).map(|_| Record::keyless("the same"))).timestamp_ms(now_ms()).build();
        let append = || stage.source.append("t", 0, &alike()).unwrap();
        let instance = stage.instance(config.clone(), &["t"]).await.unwrap();
        (0..10).for_each(|_| assert!(append() >= 0));
        eventually("all are copied", || records(&stage.target).len() == 30).await;
        instance.kill();
        (0..10).for_each(|_| assert!(append() >= 0));
        stage.source.delete_records("t", 0, kept_from).unwrap();
        let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
        let Err(FlowError::Stopped(stopped)) = soon("stopped", flow.caught_up()).await else { panic!() };
        let said = stopped[0].1.to_string();
        assert!(said.contains(&format!("begins at offset {kept_from}")) && said.contains("reseed"), "{said}");
        assert_eq!(records(&stage.target).len(), 30, "nothing twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_truncated_below_what_a_killed_flow_had_noted() {
    for new in [0, 1, 10] {
        let (stage, flow) = interrupted(continuing(), async |stage| {
            let never = FlowConfig { position_interval: Duration::from_secs(3600), ..continuing() };
            let instance = stage.instance(never, &["t"]).await.unwrap();
            fill(&stage.source, "t", 0, 5);
            eventually("all are copied", || records(&stage.target).len() == 45).await;
            instance.kill();
            stage.source.truncate("t", 0, 15).unwrap();
            for number in 0..new {
                stage.source.append("t", 0, &numbered(&format!("new {number}"), 4).build()).unwrap();
            }
        })
        .await;
        let caught_up = soon("caught up", flow.caught_up()).await;
        if let Err(FlowError::Stopped(stopped)) = caught_up {
            // The log reaches beyond what was noted again, and is another: there the copy is not what the source has.
            assert!(new == 10 && matches!(&*stopped[0].1, StopReason::NotTheSource { .. }), "{stopped:?}");
            continue;
        }
        assert_eq!(
            records(&stage.target).len(),
            45 + 4 * new,
            "by its policy it goes on behind what was lost"
        );
        assert_eq!(flow.status().await.unwrap().partitions[0].gaps[0].why, GapCause::Truncation);
        assert_mapped(&stage, &flow).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_created_again_is_copied_behind_the_old_one() {
    let (stage, flow) = interrupted(continuing(), async |stage| {
        stage.source.delete_topic("t").unwrap();
        stage.source.create_topic("t", 1, &[]).unwrap();
        fill(&stage.source, "t", 0, 3);
    })
    .await;
    soon("caught up", flow.caught_up()).await.unwrap();
    eventually("the new ones are copied", || records(&stage.target).len() == 36).await;
    assert_eq!(flow.status().await.unwrap().partitions[0].gaps[0].why, GapCause::Recreation);
    assert_mapped(&stage, &flow).await;
    flow.shutdown().await.unwrap();
    fill(&stage.source, "t", 0, 3);
    let flow = stage.flow(&["t"]).await.config(continuing()).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    assert_mapped(&stage, &flow).await;
}

/// What happens, and what the sentence has to say.
type Case = (fn(&Stage), &'static [&'static str]);

/// The default: what was expected, what was found, what can be done.
#[tokio::test(start_paused = true)]
async fn every_stop_says_what_can_be_done() {
    let cases: [Case; 4] = [
        (
            |stage| assert_eq!(stage.source.delete_records("t", 0, 33), Ok(33)),
            &["offset 30", "33", "retention", "--on-source-accident continue", "reseed"],
        ),
        (
            |stage| stage.source.truncate("t", 0, 20).unwrap(),
            &["offset 30", "offset 18", "truncated", "reseed"],
        ),
        (
            |stage| {
                stage.source.delete_topic("t").unwrap();
                stage.source.create_topic("t", 1, &[]).unwrap();
            },
            &["created again on the source", "reseed"],
        ),
        (
            |stage| {
                stage.target.delete_topic("t").unwrap();
                stage.target.create_topic("t", 1, &[]).unwrap();
            },
            &["created again on the target", "reseed"],
        ),
    ];
    for (happens, parts) in cases {
        let (stage, flow) = interrupted(translated_config(), async |stage| {
            fill(&stage.source, "t", 0, 10);
            happens(stage);
        })
        .await;
        let error = soon("it stops", async { flow.caught_up().await.unwrap_err() }).await;
        let FlowError::Stopped(stopped) = &error else { panic!("{error}") };
        let sentence = format!("{} stopped: {}", stopped[0].0, stopped[0].1);
        assert!(sentence.starts_with("partition 0 of topic t stopped: "), "{sentence}");
        for part in parts {
            assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
        }
        drop(stage);
    }
}

async fn mirror(stage: &Stage, change: impl FnOnce(&mut MirrorConfig)) -> Mirror {
    let (source, target) = stage.connect().await;
    let mut config = MirrorConfig::new("t.*").unwrap();
    change(&mut config);
    Mirror::start(source, target, config).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_copied_anew() {
    let cases: [fn(&Stage); 3] = [
        |stage| {
            stage.source.delete_topic("t").unwrap();
            stage.source.create_topic("t", 1, &[]).unwrap();
            fill(&stage.source, "t", 0, 3);
        },
        |stage| {
            stage.target.delete_topic("t").unwrap();
            stage.target.create_topic("t", 1, &[]).unwrap();
        },
        |stage| assert_eq!(stage.source.delete_records("t", 0, 33), Ok(33)),
    ];
    for (case, happens) in cases.into_iter().enumerate() {
        let (stage, flow) = interrupted(translated_config(), async |stage| {
            fill(&stage.source, "t", 0, 10);
            happens(stage);
        })
        .await;
        drop(flow);
        let mut mirror = mirror(&stage, |config| {
            config.flow =
                FlowConfig { on_source_accident: OnSourceAccident::Reseed, ..FlowConfig::default() };
        })
        .await;
        let watching = async {
            let done = eventually("the copy is whole", || {
                stage.target.topics().contains(&"t".to_owned())
                    && records(&stage.target) == records(&stage.source)
            });
            tokio::select! {
                ended = mirror.watch() => panic!("{ended}"),
                () = done => {}
            }
        };
        watching.await;
        assert_eq!(records(&stage.target), records(&stage.source), "case {case}");
        assert!(mirror.flow().status().await.unwrap().stopped().next().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn topics_start_where_they_are_told_to() {
    let stage = Stage::new();
    for topic in ["t-earliest", "t-latest", "t-offset", "t-time"] {
        stage.topic(topic, 1);
        let old = numbered("old", 10).timestamp_ms(now_ms() - 7_200_000);
        stage.source.append(topic, 0, &old.build()).unwrap();
        fill(&stage.source, topic, 0, 2);
    }
    let start = |topics: &str, start| StartOf { topics: TopicFilter::new(topics).unwrap(), start };
    let mirror = mirror(&stage, |config| {
        config.flow.offsets = Offsets::Translate;
        config.starts = vec![
            start("t-latest", Start::Latest),
            start("t-offset", Start::Offset(4)),
            start("t-time", Start::Timestamp(now_ms() - 3_600_000)),
        ];
    })
    .await;
    soon("caught up", mirror.flow().caught_up()).await.unwrap();
    for (topic, first) in [("t-earliest", 0), ("t-latest", 13), ("t-offset", 4), ("t-time", 10)] {
        fill(&stage.source, topic, 0, 1);
        let expected: Vec<RawRecord> = seen(&stage.source, topic, 0)
            .into_iter()
            .filter(|(at, _)| *at >= first)
            .map(|(_, record)| record)
            .collect();
        let found = || seen(&stage.target, topic, 0).into_values().collect::<Vec<_>>();
        eventually(topic, || found() == expected).await;
    }

    let stage = Stage::new();
    stage.topic("t", 1);
    fill(&stage.source, "t", 0, 2);
    let (source, target) = stage.connect().await;
    let pair = TopicPair { start: Some(Start::Offset(99)), ..TopicPair::same("t") };
    let error = verbatim_pipeline::Flow::new(source, target).pair(pair).start().await.unwrap_err();
    assert!(matches!(error, FlowError::StartOutOfRange { offset: 99, log_end: 3, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_sources_retention_is_followed_on_request() {
    for offsets in [Offsets::Preserve, Offsets::Translate] {
        let stage = Stage::new();
        stage.topic("t", 1);
        fill(&stage.source, "t", 0, 10);
        let config = FlowConfig { follow_retention: true, offsets, ..continuing() };
        let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.source.delete_records("t", 0, 12).unwrap();
        fill(&stage.source, "t", 0, 1);
        eventually("the target's log begins there too", || stage.target.log_start("t", 0).unwrap() == 12)
            .await;
    }
}

/// Lag tools see the flow as a consumer group on the source.
#[tokio::test(start_paused = true)]
async fn positions_are_committed_on_the_source() {
    let stage = Stage::new();
    stage.topic("t", 2);
    fill(&stage.source, "t", 1, 10);
    let flow = stage.flow(&["t"]).await.config(continuing()).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    eventually("the group stands at the end", || {
        let offsets = stage.source.group_offsets("verbatim.default");
        offsets.get(&("t".to_owned(), 1)).is_some_and(|committed| committed.offset == 30)
    })
    .await;
}

/// What the target lost cannot be made good by going on.
#[tokio::test(start_paused = true)]
async fn a_target_that_was_cut_stops_its_partition() {
    let (_stage, flow) = interrupted(continuing(), async |stage| {
        stage.target.truncate("t", 0, 20).unwrap();
    })
    .await;
    soon("it stops", async { flow.caught_up().await.unwrap_err() }).await;
    let status = flow.status().await.unwrap();
    let (_, reason) = status.stopped().next().unwrap();
    assert!(matches!(**reason, StopReason::TargetShorter { expected: 30, found: Some(18) }), "{reason}");
}
