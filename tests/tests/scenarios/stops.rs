//! Promise: a batch that cannot be copied stops its own partition and no other; everything before it is on the target; and the
//! reason is a sentence that names topic, partition and offset.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use verbatim_pipeline::{FlowConfig, FlowHandle, Side, StopReason};
use verbatim_testbroker::{Control, Corruption, ErrorCode, batch, opaque_batch};
use verbatim_tests::oracle::RawBatch;
use verbatim_tests::scenario::{
    Stage, Stopped, committed, eventually, fill, log, now_ms, numbered, soon, stops, translated_config,
};

/// Batches of 4 records before and after what is wrong.
const BEFORE: usize = 5;
/// Where the bad batch begins.
const BAD: i64 = 20;

/// Three partitions: number 1 holds five good batches, and then what `spoil` puts there; the others are good.
async fn with_a_bad_batch(
    configs: &[(&str, &str)],
    spoil: impl FnOnce(&Stage),
) -> (Stage, FlowHandle, Stopped) {
    let stage = Stage::new();
    stage.source.create_topic("orders", 3, &[]).unwrap();
    stage.target.create_topic("orders", 3, configs).unwrap();
    for partition in 0..3 {
        for number in 0..BEFORE {
            let built = numbered(&format!("{partition}/{number}"), 4).build();
            stage.source.append("orders", partition, &built).unwrap();
        }
    }
    spoil(&stage);
    fill(&stage.source, "orders", 0, 10);
    fill(&stage.source, "orders", 2, 10);
    let flow = stage.start(&["orders"]).await;
    let mut stopped = stops(&flow).await;
    assert_eq!(stopped.keys().collect::<Vec<_>>(), [&1], "only the bad one stops");
    for partition in [0, 2] {
        stage.assert_holds("orders", partition, &committed(&log(&stage.source, "orders", partition)));
    }
    assert_only_what_was_before(&stage);
    (stage, flow, stopped.remove(&1).unwrap())
}

fn assert_only_what_was_before(stage: &Stage) {
    let before: Vec<RawBatch> = good_batches(stage).into_iter().take(BEFORE).collect();
    stage.assert_holds("orders", 1, &before);
}

/// The source's batches up to the first that the oracle cannot read.
fn good_batches(stage: &Stage) -> Vec<RawBatch> {
    let raw = stage.source.log("orders", 1).unwrap();
    raw.iter().map_while(|batch| verbatim_tests::oracle::parse_batches(batch).ok()).flatten().collect()
}

/// Puts `bytes` behind what is there, unchecked.
fn append_raw(stage: &Stage, bytes: &[u8]) {
    let mut bytes = BytesMut::from(bytes);
    let end = stage.source.log_end("orders", 1).unwrap();
    bytes[..8].copy_from_slice(&end.to_be_bytes());
    stage.source.append_raw("orders", 1, &bytes.freeze()).unwrap();
}

fn flipped(batch: &Bytes, at: usize) -> Bytes {
    let mut bytes = BytesMut::from(&batch[..]);
    bytes[at] ^= 0x10;
    bytes.freeze()
}

#[tokio::test(start_paused = true)]
async fn damage_on_the_source() {
    for at in [61, 70, 22, 60] {
        let (_, _, stopped) = with_a_bad_batch(&[], |stage| {
            append_raw(stage, &flipped(&numbered("bad", 4).build(), at));
            fill(&stage.source, "orders", 1, 3);
        })
        .await;
        match (&*stopped.reason, at) {
            (StopReason::CorruptAtSource { offset: BAD, .. }, 61 | 70) => {
                stopped.assert_says(&["source offset 20", "checksum", "kafka-dump-log"]);
            }
            (StopReason::CorruptAtSource { .. } | StopReason::Malformed { .. }, 22 | 60) => {
                stopped.assert_says(&["offset 20"]);
            }
            (other, _) => panic!("byte {at}: {other}"),
        }
    }
}

/// Who wants it has checksums verified before anything is sent; otherwise the target does it.
#[tokio::test(start_paused = true)]
async fn damage_is_not_even_sent_where_the_source_is_verified() {
    const BYTES: usize = 200_000;
    for verify_source in [true, false] {
        let stage = Stage::new();
        stage.topic("orders", 2);
        let large = || opaque_batch(vec![7; BYTES].into(), 4, 1).timestamp_ms(now_ms()).build();
        stage.source.append("orders", 0, &large()).unwrap();
        append_raw(&stage, &flipped(&large(), 1_000));
        let sent_before = stage.target.traffic(ApiKey::Produce).request_bytes;
        let config = FlowConfig { verify_source, ..translated_config() };
        let flow = stage.flow(&["orders"]).await.config(config).start().await.unwrap();
        let stopped = stops(&flow).await;
        assert_eq!(stopped.keys().collect::<Vec<_>>(), [&1]);
        stopped[&1].assert_says(&["source offset 0", "checksum"]);
        stage.assert_holds("orders", 0, &committed(&log(&stage.source, "orders", 0)));
        assert_eq!(log(&stage.target, "orders", 1), []);
        let sent_bytes = stage.target.traffic(ApiKey::Produce).request_bytes - sent_before;
        // The good one, and the bad one twice.
        let batches = usize::try_from(sent_bytes).unwrap() / BYTES;
        assert_eq!(batches, if verify_source { 1 } else { 3 });
    }
}

/// What went wrong on the way is right when it is fetched again.
#[tokio::test(start_paused = true)]
async fn damage_on_the_way_heals_where_the_source_is_verified() {
    let stage = Stage::new();
    stage.topic("orders", 2);
    fill(&stage.source, "orders", 0, 10);
    fill(&stage.source, "orders", 1, 10);
    stage.source.times(ApiKey::Fetch, 1, Control::Corrupt(Corruption::Payload));
    let config = FlowConfig { verify_source: true, ..translated_config() };
    let flow = stage.flow(&["orders"]).await.config(config).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.assert_equal("orders");
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_target_takes() {
    let (stage, flow, stopped) = with_a_bad_batch(&[("max.message.bytes", "2000")], |stage| {
        let large = opaque_batch(vec![7; 3000].into(), 4, 1).timestamp_ms(now_ms()).build();
        stage.source.append("orders", 1, &large).unwrap();
        fill(&stage.source, "orders", 1, 3);
    })
    .await;
    assert!(matches!(*stopped.reason, StopReason::TooLarge { offset: BAD, bytes: 3061, .. }), "{stopped:?}");
    stopped.assert_says(&["source offset 20", "3061 bytes", "max.message.bytes", "MESSAGE_TOO_LARGE"]);
    // With the limit raised the next life goes on from there.
    flow.shutdown().await.unwrap();
    stage.target.clear_requests();
    let flow = stage.start(&["orders"]).await;
    let stopped = stops(&flow).await;
    stopped[&1].assert_says(&["source offset 20"]);
}

/// What a broker refuses by its own rules, whatever they are.
#[tokio::test(start_paused = true)]
async fn refusals_of_the_target() {
    let spoil = |stage: &Stage| fill(&stage.source, "orders", 1, 3);
    for (code, name, advice) in [
        (ErrorCode::INVALID_RECORD, "INVALID_RECORD (87)", "source offset 0 (1 record"),
        (ErrorCode::INVALID_TIMESTAMP, "INVALID_TIMESTAMP (32)", "refused the batch"),
        (ErrorCode::RECORD_LIST_TOO_LARGE, "RECORD_LIST_TOO_LARGE (18)", "bytes"),
        (
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            "TOPIC_AUTHORIZATION_FAILED (29)",
            "grant WRITE on the topic",
        ),
        (ErrorCode::INVALID_PRODUCER_EPOCH, "INVALID_PRODUCER_EPOCH (47)", "producer id was taken over"),
        (ErrorCode::UNKNOWN_SERVER_ERROR, "UNKNOWN_SERVER_ERROR (-1)", "refused the batch"),
        (ErrorCode(1234), "1234", "refused the batch"),
    ] {
        let stage = Stage::new();
        stage.topic("orders", 2);
        spoil(&stage);
        fill(&stage.source, "orders", 0, 7);
        let refuse = Control::PartitionError { topic: "orders".into(), partition: 1, code };
        stage.target.on(ApiKey::Produce, move |_| refuse.clone());
        let flow = stage.start(&["orders"]).await;
        let stopped = stops(&flow).await;
        assert_eq!(stopped.len(), 1);
        stopped[&1].assert_says(&[name, advice]);
        stage.assert_holds("orders", 0, &log(&stage.source, "orders", 0));
        assert!(log(&stage.target, "orders", 1).is_empty());
    }
}

/// Refused by the target's own configuration, not by injection.
#[tokio::test(start_paused = true)]
async fn records_too_old_or_without_key_for_the_target() {
    let (_, _, stopped) = with_a_bad_batch(&[("message.timestamp.before.max.ms", "86400000")], |stage| {
        let old = batch([("k", "v")]).timestamp_ms(now_ms() - 2 * 86_400_000).build();
        stage.source.append("orders", 1, &old).unwrap();
    })
    .await;
    assert!(matches!(*stopped.reason, StopReason::Refused { offset: BAD, .. }), "{stopped:?}");
    stopped.assert_says(&["source offset 20", "INVALID_TIMESTAMP (32)"]);

    let (_, _, stopped) = with_a_bad_batch(&[("cleanup.policy", "compact")], |stage| {
        let keyless = batch([verbatim_testbroker::Record::keyless("v")]).timestamp_ms(now_ms()).build();
        stage.source.append("orders", 1, &keyless).unwrap();
    })
    .await;
    stopped.assert_says(&["source offset 20", "INVALID_RECORD (87)"]);
}

#[tokio::test(start_paused = true)]
async fn the_source_denies_to_read() {
    let stage = Stage::new();
    stage.topic("orders", 2);
    fill(&stage.source, "orders", 0, 7);
    fill(&stage.source, "orders", 1, 7);
    let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    let refuse = Control::PartitionError { topic: "orders".into(), partition: 1, code };
    stage.source.on(ApiKey::Fetch, move |_| refuse.clone());
    let stopped = stops(&stage.start(&["orders"]).await).await;
    assert_eq!(stopped.len(), 1);
    stopped[&1].assert_says(&["source cluster refuses", "TOPIC_AUTHORIZATION_FAILED (29)", "grant READ"]);
    stage.assert_holds("orders", 0, &log(&stage.source, "orders", 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_record_batch() {
    let good = numbered("bad", 4).build();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = BytesMut::from(&good[..]);
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed.freeze()
    };
    let counts = |records: i32, last_delta: i32| {
        let built = numbered("bad", 4).header(|header| {
            header.records_count = records;
            header.last_offset_delta = last_delta;
        });
        built.build()
    };
    let cases = [
        ("a length below the smallest entry", with(8, &3i32.to_be_bytes())),
        ("a length below a header", with(8, &20i32.to_be_bytes())),
        ("an unknown format", with(16, &[3])),
        ("a negative format", with(16, &[0xff])),
        ("an unknown codec", opaque_batch(vec![1; 40].into(), 4, 0).header(|h| h.attributes.0 |= 5).build()),
        ("more records than offsets", counts(5, 3)),
        ("a negative count", counts(-1, 3)),
    ];
    for (what, bytes) in cases {
        let (_, _, stopped) = with_a_bad_batch(&[], |stage| append_raw(stage, &bytes)).await;
        assert!(matches!(*stopped.reason, StopReason::Malformed { offset: BAD, .. }), "{what}: {stopped:?}");
        stopped.assert_says(&["offset 20", "not a record batch"]);
    }
}

/// A hole, and the payload cannot be opened to repack it.
#[tokio::test(start_paused = true)]
async fn a_hole_in_a_batch_that_cannot_be_opened() {
    for codec in 1..5i16 {
        let (_, _, stopped) = with_a_bad_batch(&[], |stage| {
            let holed =
                opaque_batch(vec![0x5a; 100].into(), 2, codec).header(|header| header.last_offset_delta = 3);
            append_raw(stage, &holed.timestamp_ms(now_ms()).build());
        })
        .await;
        assert!(
            matches!(*stopped.reason, StopReason::Repack { offset: BAD, .. }),
            "codec {codec}: {stopped:?}"
        );
        stopped.assert_says(&["source offset 20", "compaction removed some of its records"]);
    }
    // The same with a wrong checksum says so.
    let (_, _, stopped) = with_a_bad_batch(&[], |stage| {
        let holed = numbered("bad", 4).header(|header| header.last_offset_delta = 6).build();
        append_raw(stage, &flipped(&holed, 70));
    })
    .await;
    assert!(matches!(*stopped.reason, StopReason::CorruptAtSource { offset: BAD, .. }), "{stopped:?}");
}

/// A running flow of topic `orders` with one partition that has caught up with 20 batches, then paused by a target that is away
/// while `change` happens.
async fn changed_under_a_flow(change: impl AsyncFnOnce(&Stage)) -> (Stage, FlowHandle) {
    let stage = Stage::new();
    stage.topic("orders", 1);
    fill(&stage.source, "orders", 0, 20);
    let config = FlowConfig { missing_topic_patience: Duration::from_secs(5), ..translated_config() };
    let flow = stage.flow(&["orders"]).await.config(config).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    change(&stage).await;
    (stage, flow)
}

async fn reason_of(flow: &FlowHandle) -> (std::sync::Arc<StopReason>, String) {
    let waiting = async {
        loop {
            let status = flow.status().await.unwrap();
            if let Some((name, reason)) = status.stopped().next() {
                return (reason.clone(), format!("{name} stopped: {reason}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the partition stops", waiting).await
}

#[tokio::test(start_paused = true)]
async fn retention_overtakes_the_flow() {
    let (stage, flow) = changed_under_a_flow(async |stage| {
        let end = stage.source.log_end("orders", 0).unwrap();
        stage.source.crash(1).await;
        fill_down(stage, 10);
        stage.source.delete_records("orders", 0, end + 12).unwrap();
        stage.source.restart(1).unwrap();
    })
    .await;
    let (reason, sentence) = reason_of(&flow).await;
    assert!(matches!(*reason, StopReason::OutOfRange { wanted: 60, .. }), "{reason:?}");
    assert!(sentence.contains("offset 60") && sentence.contains("retention"), "{sentence}");
    assert_eq!(log(&stage.target, "orders", 0).len(), 20);
}

/// Appends 10 batches of 4 records while no broker is up: what others wrote meanwhile.
fn fill_down(stage: &Stage, batches: usize) {
    for number in 0..batches {
        stage.source.append("orders", 0, &numbered(&format!("later {number}"), 4).build()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_source_was_truncated_by_an_unclean_election() {
    // Nothing new was written: the log is simply shorter.
    let (stage, flow) = changed_under_a_flow(async |stage| {
        stage.source.truncate("orders", 0, 50).unwrap();
    })
    .await;
    let (reason, sentence) = reason_of(&flow).await;
    let is_seen = matches!(*reason, StopReason::Diverged { .. } | StopReason::OutOfRange { .. });
    assert!(is_seen && sentence.contains("offset 60"), "{sentence}");
    assert_eq!(log(&stage.target, "orders", 0).len(), 20);

    // As much was written again, in a new epoch: only the epochs tell.
    let (stage, flow) = changed_under_a_flow(async |stage| {
        stage.source.truncate("orders", 0, 50).unwrap();
        fill_down(stage, 10);
    })
    .await;
    let (reason, sentence) = reason_of(&flow).await;
    assert!(matches!(*reason, StopReason::Diverged { wanted: 60, epoch: 0, .. }), "{reason:?}");
    assert!(sentence.contains("offset 60") && sentence.contains("unclean leader election"), "{sentence}");
    assert_eq!(log(&stage.target, "orders", 0).len(), 20);
}

/// The same while no flow runs: the stored position carries the epoch.
#[tokio::test(start_paused = true)]
async fn the_source_was_truncated_between_two_lives() {
    let stage = Stage::new();
    stage.topic("orders", 1);
    fill(&stage.source, "orders", 0, 20);
    let flow = stage.start(&["orders"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    flow.shutdown().await.unwrap();
    stage.source.truncate("orders", 0, 50).unwrap();
    fill_down(&stage, 10);
    let stopped = stops(&stage.start(&["orders"]).await).await;
    assert!(matches!(*stopped[&0].reason, StopReason::Diverged { wanted: 60, .. }), "{stopped:?}");
    assert_eq!(log(&stage.target, "orders", 0).len(), 20);
}

/// Somebody else writes to the target while the flow runs.
#[tokio::test(start_paused = true)]
async fn a_foreign_writer_on_the_target() {
    let (stage, flow) = changed_under_a_flow(async |stage| {
        stage.target.append("orders", 0, &numbered("foreign", 2).build()).unwrap();
        fill(&stage.source, "orders", 0, 1);
    })
    .await;
    let (reason, sentence) = reason_of(&flow).await;
    assert!(
        matches!(*reason, StopReason::UnexpectedOffset { offset: 60, expected: 60, found: 62 }),
        "{reason:?}"
    );
    assert!(sentence.contains("something else writes"), "{sentence}");
    assert!(log(&stage.target, "orders", 0).len() <= 22);
}

#[tokio::test(start_paused = true)]
async fn the_topic_is_deleted() {
    for side in [Side::Source, Side::Target] {
        let (_stage, flow) = changed_under_a_flow(async |stage| {
            let cluster = if side == Side::Source { &stage.source } else { &stage.target };
            cluster.delete_topic("orders").unwrap();
            if side == Side::Target {
                fill(&stage.source, "orders", 0, 1);
            }
        })
        .await;
        let (reason, sentence) = reason_of(&flow).await;
        let is_named =
            matches!(&*reason, StopReason::TopicGone { side: found, seconds: 5.. } if *found == side);
        assert!(is_named, "{reason:?}");
        let start = "partition 0 of topic orders stopped: the topic has been missing on the";
        assert!(sentence.starts_with(start), "{sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_topic_is_created_again() {
    for side in [Side::Source, Side::Target] {
        let (stage, flow) = changed_under_a_flow(async |stage| {
            let cluster = if side == Side::Source { &stage.source } else { &stage.target };
            cluster.delete_topic("orders").unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.create_topic("orders", 1, &[]).unwrap();
            fill(&stage.source, "orders", 0, 30);
        })
        .await;
        let (reason, sentence) = reason_of(&flow).await;
        let is_named = matches!(&*reason, StopReason::Recreated { side: found } if *found == side);
        assert!(is_named, "{reason:?}");
        assert!(sentence.contains("deleted and created again"), "{sentence}");
        let left = if side == Side::Source { 20 } else { 0 };
        assert_eq!(
            log(&stage.target, "orders", 0).len(),
            left,
            "nothing of the new topic follows the old one's"
        );
    }
}

/// Created again while no flow runs: what the old topic held is not continued with the new one's records.
#[tokio::test(start_paused = true)]
async fn the_source_topic_is_created_again_between_two_lives() {
    for batches in [5, 20, 40] {
        let stage = Stage::new();
        stage.topic("orders", 1);
        fill(&stage.source, "orders", 0, 20);
        let flow = stage.start(&["orders"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        flow.shutdown().await.unwrap();
        stage.source.delete_topic("orders").unwrap();
        stage.source.create_topic("orders", 1, &[]).unwrap();
        fill(&stage.source, "orders", 0, batches);
        let outcome = stage.flow(&["orders"]).await.start().await;
        if let Ok(flow) = outcome {
            let stopped = stops(&flow).await;
            assert_eq!(
                stopped.len(),
                1,
                "{batches} batches in the new topic: it goes on as if nothing had happened"
            );
        }
        assert_eq!(log(&stage.target, "orders", 0).len(), 20);
    }
}

/// The target's log was cut and refilled by others between two lives.
#[tokio::test(start_paused = true)]
async fn the_target_topic_is_created_again_between_two_lives() {
    for foreign in [0, 30] {
        let stage = Stage::new();
        stage.topic("orders", 1);
        fill(&stage.source, "orders", 0, 20);
        let flow = stage.start(&["orders"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        flow.shutdown().await.unwrap();
        stage.target.delete_topic("orders").unwrap();
        stage.target.create_topic("orders", 1, &[]).unwrap();
        fill(&stage.target, "orders", 0, foreign);
        fill(&stage.source, "orders", 0, 5);
        let flow = stage.start(&["orders"]).await;
        let stopped = stops(&flow).await;
        assert_eq!(stopped.len(), 1, "with {foreign} foreign batches it goes on");
        eventually("nothing was added", || log(&stage.target, "orders", 0).len() == foreign).await;
    }
}
