//! Promise: with `batching = "adaptive"` small batches of a partition that is behind become larger ones, every record as it was and at
//! the offset it is to have; one that is caught up is copied byte for byte.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, ProduceRequest};
use verbatim_pipeline::{Batching, Counters, FlowConfig, Offsets};
use verbatim_testbroker::{Control, ErrorCode, RequestView, TestCluster, opaque_batch};
use verbatim_tests::oracle::{RawBatch, RawRecord};
use verbatim_tests::sameness::assert_same_partition;
use verbatim_tests::scenario::{Stage, eventually, log, now_ms, numbered, soon, translated_config};
use verbatim_wire::records::codec::{Codec, compress, decompress};

const PARTITIONS: i32 = 2;
const BATCHES: usize = 400;

fn adaptive(offsets: Offsets) -> FlowConfig {
    FlowConfig { batching: Batching::Adaptive, offsets, ..translated_config() }
}

/// All records of batches in `codec`, with their offsets. That the codecs themselves do what Kafka's do, others test.
fn opened(batches: &[RawBatch], codec: Codec) -> Vec<(i64, RawRecord)> {
    let records = batches.iter().flat_map(|batch| {
        let payload = decompress(codec, &batch.payload, 1 << 20).unwrap();
        let plain = RawBatch { attributes: 0, payload, ..batch.clone() };
        let at = |record: RawRecord| {
            (batch.base_offset + i64::from(record.offset_delta), RawRecord { offset_delta: 0, ..record })
        };
        plain.records().unwrap().into_iter().map(at).collect::<Vec<_>>()
    });
    records.collect()
}

/// A topic whose partitions have many batches of three records each, in the codec given.
fn behind(stage: &Stage, codec: Codec) {
    stage.topic("t", PARTITIONS);
    fill(stage, codec);
}

fn fill(stage: &Stage, codec: Codec) {
    for partition in 0..PARTITIONS {
        for at in 0..BATCHES {
            let plain = numbered(&format!("{partition}/{at}"), 3).build();
            let batch = match codec {
                Codec::None => plain,
                codec => {
                    let payload: Bytes = compress(codec, &plain[61..]).unwrap().into();
                    opaque_batch(payload, 3, codec.id()).timestamp_ms(now_ms()).build()
                }
            };
            stage.source.append("t", partition, &batch).unwrap();
        }
    }
}

/// Sizes of the batches that a Produce request has for the topic.
fn sizes(request: &RequestView) -> Vec<usize> {
    let request: ProduceRequest = request.decode().unwrap();
    let of_topic = request.topic_data.iter().filter(|topic| topic.name.as_str() == "t");
    let partitions = of_topic.flat_map(|topic| &topic.partition_data);
    partitions.filter_map(|partition| Some(partition.records.as_ref()?.len())).collect()
}

/// Notes the sizes of all batches sent to the topic, whatever becomes of them.
fn watch(target: &TestCluster) -> Arc<Mutex<Vec<usize>>> {
    // Of those that name topics and do not number them.
    target.set_max_versions(&[(ApiKey::Produce, 12)]);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sent);
    target.on(ApiKey::Produce, move |request| {
        seen.lock().unwrap().extend(sizes(request));
        Control::Pass
    });
    sent
}

fn largest(sent: &Mutex<Vec<usize>>) -> usize {
    sent.lock().unwrap().iter().copied().max().unwrap_or(0)
}

/// Size of the largest batch that a partition of the target has.
fn largest_kept(stage: &Stage, partition: i32) -> usize {
    log(&stage.target, "t", partition).iter().map(|batch| 61 + batch.payload.len()).max().unwrap_or(0)
}

async fn copied(stage: &Stage, config: FlowConfig) -> Counters {
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    let total = flow.status().await.unwrap().total();
    flow.shutdown().await.unwrap();
    total
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_comes_in_fewer_batches_record_for_record() {
    let stage = Stage::new();
    behind(&stage, Codec::None);
    let total = copied(&stage, adaptive(Offsets::Translate)).await;
    for partition in 0..PARTITIONS {
        stage.assert_holds_records("t", partition);
        let batches = log(&stage.target, "t", partition).len();
        assert!(batches < BATCHES / 10, "{batches} batches");
    }
    assert!(total.merged_batches > total.forwarded_batches * 10, "{total:?}");
    assert_eq!(total.merged_batches + total.forwarded_batches, PARTITIONS as u64 * BATCHES as u64);
}

#[tokio::test(start_paused = true)]
async fn offsets_stay_preserved_over_a_restart() {
    let stage = Stage::new();
    behind(&stage, Codec::None);
    copied(&stage, adaptive(Offsets::Preserve)).await;
    for partition in 0..PARTITIONS {
        for at in 0..50 {
            stage.source.append("t", partition, &numbered(&format!("later {at}"), 2).build()).unwrap();
        }
    }
    // What the target ends with is several of the source's batches in one: it is known again, whatever batching is now.
    let verbatim = FlowConfig { batching: Batching::Verbatim, ..adaptive(Offsets::Preserve) };
    let total = copied(&stage, verbatim).await;
    assert_eq!((total.merged_batches, total.forwarded_batches), (0, PARTITIONS as u64 * 50));
    for partition in 0..PARTITIONS {
        assert_same_partition(&stage, "t", partition);
    }
}

#[tokio::test(start_paused = true)]
async fn compressed_batches_stay_compressed_with_their_codec() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let stage = Stage::new();
        behind(&stage, codec);
        let total = copied(&stage, adaptive(Offsets::Preserve)).await;
        assert!(total.merged_batches > total.forwarded_batches, "{codec}: {total:?}");
        for partition in 0..PARTITIONS {
            let found = log(&stage.target, "t", partition);
            assert!(found.iter().all(|batch| batch.codec() == codec.id() && batch.crc_ok));
            let source = log(&stage.source, "t", partition);
            assert_eq!(opened(&source, codec), opened(&found, codec), "{codec}");
        }
    }
}

/// None is sent to be refused either.
#[tokio::test(start_paused = true)]
async fn merged_batches_are_not_larger_than_the_target_takes() {
    for codec in [Codec::None, Codec::Zstd] {
        let stage = Stage::new();
        stage.source.create_topic("t", PARTITIONS, &[]).unwrap();
        stage.target.create_topic("t", PARTITIONS, &[("max.message.bytes", "20000")]).unwrap();
        fill(&stage, codec);
        let sent = watch(&stage.target);
        let total = copied(&stage, adaptive(Offsets::Preserve)).await;
        assert!(total.merged_batches > total.forwarded_batches * 10, "{codec}: {total:?}");
        assert!((1_000..=20_000).contains(&largest(&sent)), "{codec}: {}", largest(&sent));
        for partition in 0..PARTITIONS {
            assert!(largest_kept(&stage, partition) <= 20_000, "{codec}");
            let (source, found) = (log(&stage.source, "t", partition), log(&stage.target, "t", partition));
            assert!(found.len() < BATCHES / 10, "{codec}: {} batches", found.len());
            assert_eq!(opened(&source, codec), opened(&found, codec), "{codec}");
        }
    }
}

/// What the topic's config says is not what its brokers do, as with a limit of their own.
#[tokio::test(start_paused = true)]
async fn a_target_that_takes_less_than_it_says_gets_smaller_ones() {
    const TAKEN: usize = 5_000;
    for code in [ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::RECORD_LIST_TOO_LARGE] {
        let stage = Stage::new();
        stage.topic("t", 1);
        for at in 0..BATCHES {
            stage.source.append("t", 0, &numbered(&format!("{at}"), 3).build()).unwrap();
        }
        let sent = watch(&stage.target);
        stage.target.on(ApiKey::Produce, move |request| match sizes(request).into_iter().max() {
            Some(bytes) if bytes > TAKEN => {
                Control::PartitionError { topic: "t".to_owned(), partition: 0, code }
            }
            _ => Control::Pass,
        });
        let total = copied(&stage, adaptive(Offsets::Translate)).await;
        assert!(largest(&sent) > TAKEN, "none was refused");
        assert!(largest_kept(&stage, 0) <= TAKEN);
        let batches = log(&stage.target, "t", 0).len();
        assert!(total.merged_batches > 0 && batches < BATCHES / 2, "{batches} batches, {total:?}");
        stage.assert_holds_records("t", 0);
    }
}

/// The flow has seen another config than is in force when it falls behind.
#[tokio::test(start_paused = true)]
async fn a_target_that_takes_less_than_it_did_gets_smaller_ones() {
    let stage = Stage::new();
    stage.topic("t", PARTITIONS);
    let sent = watch(&stage.target);
    let flow = stage.flow(&["t"]).await.config(adaptive(Offsets::Translate)).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    let less = [("max.message.bytes".to_owned(), "20000".to_owned())];
    stage.join(&stage.target).await.alter_topic_configs("t", &less, &[]).await.unwrap();
    fill(&stage, Codec::None);
    for partition in 0..PARTITIONS {
        let end = stage.source.log_end("t", partition).unwrap();
        eventually("all is copied", || stage.target.log_end("t", partition).unwrap() >= end).await;
        assert!(largest_kept(&stage, partition) <= 20_000);
        stage.assert_holds_records("t", partition);
    }
    assert!(largest(&sent) > 20_000, "none was refused");
    let status = flow.status().await.unwrap();
    assert!(status.total().merged_batches > 0 && status.stopped().next().is_none(), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_caught_up_is_copied_as_it_is() {
    let stage = Stage::new();
    stage.topic("t", PARTITIONS);
    let flow = stage.flow(&["t"]).await.config(adaptive(Offsets::Translate)).start().await.unwrap();
    for at in 0..100 {
        stage.source.append("t", at % PARTITIONS, &numbered(&format!("live {at}"), 3).build()).unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.copied(&flow, "t").await;
    stage.assert_equal("t");
    assert_eq!(flow.status().await.unwrap().total().merged_batches, 0);
}

/// One batch among them was damaged on the source's disk: nothing of it is opened, and the partition stops there.
#[tokio::test(start_paused = true)]
async fn damage_is_not_hidden() {
    let stage = Stage::new();
    stage.topic("t", 1);
    for at in 0..100 {
        let mut batch = numbered(&format!("{at}"), 3).build().to_vec();
        let last = batch.len() - 3;
        batch[last] ^= if at == 60 { 0x10 } else { 0 };
        batch[..8].copy_from_slice(&(at as i64 * 3).to_be_bytes());
        stage.source.append_raw("t", 0, &batch.into()).unwrap();
    }
    let flow = stage.flow(&["t"]).await.config(adaptive(Offsets::Translate)).start().await.unwrap();
    let stopped = verbatim_tests::scenario::stops(&flow).await;
    stopped[&0].assert_says(&["partition 0 of topic t", "180"]);
}
