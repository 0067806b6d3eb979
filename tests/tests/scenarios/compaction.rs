//! Promise: what compaction left of a topic is copied record by record where its batches have holes, exact in every field.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use verbatim_pipeline::FlowConfig;
use verbatim_testbroker::{Record, TestCluster, batch};
use verbatim_tests::oracle::{RawBatch, RawRecord};
use verbatim_tests::scenario::{
    Dice, Stage, committed, log, now_ms, numbered, patient_config, soon, stops, translated_config,
};

/// Source compacted, target not: there nothing is to be thinned behind our back.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.source.create_topic("t", 1, &[("cleanup.policy", "compact")]).unwrap();
    stage.target.create_topic("t", 1, &[]).unwrap();
    stage
}

/// A batch of records with keys out of `keys`, headers, odd times, and a tombstone now and then.
fn changes(dice: &mut Dice, keys: u64, producer: Option<(i64, i32)>) -> (Bytes, i32) {
    let count = 1 + dice.roll(6);
    let records = (0..count).map(|_| {
        let key = format!("key {}", dice.roll(keys));
        let headers = (0..dice.roll(3)).map(|number| {
            let value = (number > 0).then(|| Bytes::from(format!("{}", dice.roll(1000))));
            (Bytes::from_static(b"h"), value)
        });
        let headers = headers.collect();
        let record = if dice.roll(5) == 0 {
            Record::tombstone(&key)
        } else {
            Record::new(&key, dice.roll(1 << 40).to_string())
        };
        Record { headers, timestamp_delta_ms: dice.roll(5000) as i64 - 2500, ..record }
    });
    let records: Vec<Record> = records.collect();
    let built = batch(records).timestamp_ms(now_ms() - 10_000);
    let built = match producer {
        Some((id, sequence)) => built.producer(id, 0, sequence),
        None => built,
    };
    (built.build(), count as i32)
}

fn records(log: &[RawBatch]) -> Vec<RawRecord> {
    let records = log.iter().flat_map(|batch| batch.records().unwrap());
    records.map(|record| RawRecord { offset_delta: 0, ..record }).collect()
}

/// The target holds the same records in the same order, in batches without holes.
fn assert_same_records(stage: &Stage) {
    let (source, target) = (committed(&log(&stage.source, "t", 0)), log(&stage.target, "t", 0));
    assert_eq!(records(&source), records(&target));
    for batch in &target {
        assert!(batch.crc_ok && batch.last_offset_delta + 1 == batch.count);
        let latest = batch.records().unwrap().iter().map(|record| record.timestamp).max();
        assert_eq!(Some(batch.max_timestamp), latest);
        assert_eq!(batch.attributes, 0, "no delete horizon, no transaction");
    }
}

fn holes(cluster: &TestCluster) -> usize {
    log(cluster, "t", 0)
        .iter()
        .filter(|batch| batch.count > 0 && batch.last_offset_delta + 1 > batch.count)
        .count()
}

#[tokio::test(start_paused = true)]
async fn batches_with_holes_are_repacked_exactly() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let stage = stage();
        for _ in 0..60 {
            stage.source.append("t", 0, &changes(&mut dice, 25, None).0).unwrap();
        }
        stage.source.compact("t", 0, None).unwrap();
        assert!(holes(&stage.source) > 3);
        // Whole batches behind them, too.
        for _ in 0..5 {
            stage.source.append("t", 0, &changes(&mut dice, 25, None).0).unwrap();
        }
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        assert_same_records(&stage);
        let counters = flow.status().await.unwrap().total();
        assert_eq!(counters.repacked_batches as usize, holes(&stage.source));
    }
}

/// The delete horizon takes the place of the base timestamp, and the records' times are relative to it.
#[tokio::test(start_paused = true)]
async fn the_delete_horizon_stays_behind() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let stage = stage();
        for _ in 0..30 {
            stage.source.append("t", 0, &changes(&mut dice, 40, None).0).unwrap();
        }
        stage.source.compact("t", 0, Some(now_ms() + 86_400_000)).unwrap();
        let marked = log(&stage.source, "t", 0).iter().filter(|batch| batch.attributes & 0x40 != 0).count();
        assert!(marked > 0);
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        assert_same_records(&stage);
    }
}

/// An idempotent producer's last batch stays as an empty shell.
#[tokio::test(start_paused = true)]
async fn emptied_batches_are_passed_over() {
    let stage = stage();
    let producer_id = stage.source.new_producer_id();
    let mut sequence = 0;
    let mut dice = Dice::new(7);
    for _ in 0..10 {
        let (built, count) = changes(&mut dice, 3, Some((producer_id, sequence)));
        stage.source.append("t", 0, &built).unwrap();
        sequence += count;
    }
    let all = (0..3).map(|number| (format!("key {number}"), "last"));
    stage.source.append("t", 0, &batch(all).timestamp_ms(now_ms()).build()).unwrap();
    stage.source.compact("t", 0, None).unwrap();
    let source = log(&stage.source, "t", 0);
    assert_eq!(source.iter().map(|batch| batch.count).collect::<Vec<_>>(), [0, 3]);
    let flow = stage.start(&["t"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    assert_same_records(&stage);
    assert_eq!(flow.status().await.unwrap().total().empty_batches, 1);
    assert_eq!(
        flow.shutdown().await.unwrap().0.values().next().unwrap().source_offset,
        source[1].last_offset() + 1
    );
}

/// An emptied batch at the very end: the position still comes to the end, and the flow knows that it has caught up.
#[tokio::test(start_paused = true)]
async fn a_log_that_ends_in_an_emptied_batch_is_caught_up_with() {
    let stage = stage();
    let producer_id = stage.source.new_producer_id();
    stage.source.append("t", 0, &numbered("plain", 2).build()).unwrap();
    let built = numbered("plain", 2).producer(producer_id, 0, 0).build();
    stage.source.append("t", 0, &built).unwrap();
    stage.source.append("t", 0, &numbered("plain", 2).build()).unwrap();
    stage.source.compact("t", 0, None).unwrap();
    let flow = stage.start(&["t"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    assert_same_records(&stage);
}

/// `DeleteRecords`, or the user, names an offset inside a batch: what lies before it is not copied.
#[tokio::test(start_paused = true)]
async fn a_start_in_the_middle_of_a_batch() {
    for inside in 1..4 {
        let stage = stage();
        for number in 0..3 {
            stage.source.append("t", 0, &numbered(&format!("batch {number}"), 4).build()).unwrap();
        }
        stage.source.delete_records("t", 0, 4 + inside).unwrap();
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        let expected = records(&log(&stage.source, "t", 0)).split_off(inside as usize);
        assert_eq!(records(&log(&stage.target, "t", 0)), expected);
        let counters = flow.status().await.unwrap().total();
        assert_eq!((counters.repacked_batches, counters.forwarded_batches), (1, 1));
    }
}

/// Repacked batches are numbered like any other: killed among them, nothing is lost or doubled.
#[tokio::test(start_paused = true)]
async fn a_flow_killed_among_repacked_batches() {
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let stage = stage();
        for _ in 0..60 {
            stage.source.append("t", 0, &changes(&mut dice, 25, None).0).unwrap();
        }
        stage.source.compact("t", 0, None).unwrap();
        let config = FlowConfig {
            position_interval: Duration::from_millis(*dice.pick(&[2, 20, 100_000])),
            partition_max_bytes: 500,
            ..translated_config()
        };
        stage.target.on(kafka_protocol::messages::ApiKey::Produce, |_| {
            verbatim_testbroker::Control::Delay(Duration::from_millis(1))
        });
        for _ in 0..5 {
            let instance = stage.instance(config.clone(), &["t"]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(dice.roll(25))).await;
            instance.kill();
        }
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        assert_same_records(&stage);
    }
}

/// The log is compacted between two lives, after the last position was noted: the number of records the target holds beyond it
/// is no longer the number of records to pass over on the source. Nothing that is still there may be missing.
#[tokio::test(start_paused = true)]
async fn the_source_is_compacted_between_two_lives() {
    let stage = stage();
    let config = FlowConfig { position_interval: Duration::from_secs(3600), ..translated_config() };
    let instance = stage.instance(config.clone(), &["t"]).await.unwrap();
    for number in 0..20 {
        let built = batch([("a", number.to_string()), ("b", number.to_string())]).timestamp_ms(now_ms());
        stage.source.append("t", 0, &built.build()).unwrap();
    }
    stage.copied(&instance.flow, "t").await;
    instance.kill();
    stage.source.compact("t", 0, None).unwrap();
    for number in 0..30 {
        let built = batch([(format!("new {number}"), "value")]).timestamp_ms(now_ms());
        stage.source.append("t", 0, &built.build()).unwrap();
    }
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    let stopped = stops(&flow).await;
    if stopped.is_empty() {
        let state = |log: &[RawBatch]| -> BTreeMap<Option<Vec<u8>>, Option<Vec<u8>>> {
            records(log).into_iter().map(|record| (record.key, record.value)).collect()
        };
        let (source, target) = (log(&stage.source, "t", 0), log(&stage.target, "t", 0));
        assert_eq!(
            state(&source),
            state(&target),
            "without a word, keys of the source are missing on the target"
        );
    }
}

/// Here it is the target that was compacted, or both: what the flow had copied and the target no longer has is not copied again.
#[tokio::test(start_paused = true)]
async fn the_target_is_compacted_between_two_lives() {
    for is_source_too in [false, true] {
        let stage = Stage::new();
        for cluster in [&stage.source, &stage.target] {
            cluster.create_topic("t", 1, &[("cleanup.policy", "compact")]).unwrap();
        }
        let config = FlowConfig { position_interval: Duration::from_secs(3600), ..translated_config() };
        let instance = stage.instance(config.clone(), &["t"]).await.unwrap();
        let append = |number: usize| {
            let records = ["a", "b", "c"].map(|key| (key.repeat(1 + number % 3), number.to_string()));
            stage.source.append("t", 0, &batch(records).timestamp_ms(now_ms()).build()).unwrap();
        };
        (0..20).for_each(append);
        stage.copied(&instance.flow, "t").await;
        instance.kill();
        (20..25).for_each(append);
        stage.target.compact("t", 0, None).unwrap();
        if is_source_too {
            stage.source.compact("t", 0, None).unwrap();
        }
        let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
        soon("caught up", flow.caught_up()).await.unwrap();
        let numbers: Vec<usize> = records(&log(&stage.target, "t", 0))
            .iter()
            .map(|record| String::from_utf8_lossy(record.value.as_ref().unwrap()).parse().unwrap())
            .collect();
        assert!(numbers.is_sorted() && numbers.ends_with(&[24, 24, 24]), "{numbers:?}");
        assert_eq!(
            numbers.iter().filter(|number| **number >= 20).count(),
            if is_source_too { 9 } else { 15 }
        );
    }
}

/// Compaction runs while the flow copies, again and again; every key ends with its last value.
#[tokio::test(start_paused = true)]
async fn compaction_beside_a_running_flow() {
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let stage = stage();
        let flow = stage.flow(&["t"]).await.config(patient_config()).start().await.unwrap();
        for _ in 0..100 {
            stage.source.append("t", 0, &changes(&mut dice, 10, None).0).unwrap();
            if dice.roll(5) == 0 {
                stage.source.compact("t", 0, None).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(dice.roll(3))).await;
        }
        stage.copied(&flow, "t").await;
        let end = stage.source.log_end("t", 0).unwrap();
        let arrived = async {
            while flow.status().await.unwrap().partitions[0].position.source_offset < end {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("the end is reached", arrived).await;
        let last = |log: &[RawBatch]| -> BTreeMap<Option<Vec<u8>>, RawRecord> {
            records(log).into_iter().map(|record| (record.key.clone(), record)).collect()
        };
        assert_eq!(last(&log(&stage.source, "t", 0)), last(&log(&stage.target, "t", 0)));
    }
}
