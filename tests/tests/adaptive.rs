//! Promise: with `batching = "adaptive"` small batches of a partition that is behind become larger ones, every record as it was and at
//! the offset it is to have; one that is caught up is copied byte for byte.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use bytes::Bytes;
use verbatim_pipeline::{Batching, Counters, FlowConfig, Offsets};
use verbatim_testbroker::opaque_batch;
use verbatim_tests::oracle::{RawBatch, RawRecord};
use verbatim_tests::sameness::assert_same_partition;
use verbatim_tests::scenario::{Stage, log, now_ms, numbered, soon, translated_config};
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
