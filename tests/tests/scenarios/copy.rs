//! Promise: every batch arrives once, in order, payload untouched, whatever is in it and however often the flow is
//! ended and begun again.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use verbatim_pipeline::{FlowConfig, Start, TopicPair};
use verbatim_testbroker::{Control, Record, batch, opaque_batch};
use verbatim_tests::scenario::{
    Stage, committed, eventually, fill, log, now_ms, numbered, patient_config, soon, translated_config,
};

/// Payloads that claim each codec and are no such thing: whoever opened one would fail.
#[tokio::test(start_paused = true)]
async fn every_codec_passes_unopened() {
    let stage = Stage::new();
    stage.topic("codecs", 5);
    for codec in 0..5i16 {
        for number in 0..20u8 {
            let payload: Vec<u8> = (0..200 + usize::from(number) * 7).map(|at| (at as u8) ^ number).collect();
            let built = match codec {
                0 => numbered(&format!("plain {number}"), 3).build(),
                _ => {
                    opaque_batch(payload.into(), 1 + i32::from(number), codec).timestamp_ms(now_ms()).build()
                }
            };
            stage.source.append("codecs", i32::from(codec), &built).unwrap();
        }
    }
    let flow = stage.start(&["codecs"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.assert_equal("codecs");
    for codec in 0..5i16 {
        let copied = log(&stage.target, "codecs", i32::from(codec));
        assert!(copied.len() == 20 && copied.iter().all(|batch| batch.codec() == codec));
    }
    let total = flow.status().await.unwrap().total();
    assert_eq!((total.forwarded_batches, total.repacked_batches), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn tombstones_headers_and_odd_records_stay_as_they_are() {
    let stage = Stage::new();
    stage.topic("odd", 1);
    let header = |name: &'static [u8], value: Option<&'static [u8]>| {
        (Bytes::from_static(name), value.map(Bytes::from_static))
    };
    let odd = Record {
        headers: vec![header(b"same", Some(b"1")), header(b"same", None), header(b"\xff\xfe", Some(b""))],
        timestamp_delta_ms: -5000,
        ..Record::new("k", "v")
    };
    let records =
        [odd, Record::tombstone("gone"), Record::keyless("no key"), Record::new("", ""), Record::default()];
    stage.source.append("odd", 0, &batch(records).timestamp_ms(now_ms()).build()).unwrap();
    let flow = stage.start(&["odd"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.assert_equal("odd");
    let found = log(&stage.target, "odd", 0)[0].records().unwrap();
    assert_eq!(found[0].headers[2], (b"\xff\xfe".to_vec(), Some(vec![])));
    assert_eq!((found[1].value.as_ref(), found[2].key.as_ref(), found[4].headers.len()), (None, None, 0));
}

#[tokio::test(start_paused = true)]
async fn many_topics_and_partitions_each_to_its_own_place() {
    let stage = Stage::of(3, 3);
    let names: Vec<String> = (0..7).map(|number| format!("topic-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        stage.topic(name, 1 + number as i32 * 3);
        for partition in 0..1 + number as i32 * 3 {
            fill(&stage.source, name, partition, 5 + (number * 7 + partition as usize) % 11);
        }
    }
    // One more under another name, and one that is left alone.
    stage.source.create_topic("orders", 2, &[]).unwrap();
    stage.target.create_topic("copy-of-orders", 4, &[]).unwrap();
    fill(&stage.source, "orders", 1, 10);
    stage.topic("other", 1);
    fill(&stage.source, "other", 0, 10);

    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pair = TopicPair { target: "copy-of-orders".into(), ..TopicPair::same("orders") };
    let flow = stage.flow(&names).await.pair(pair).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    for name in names {
        stage.assert_equal(name);
    }
    let payloads = |log: Vec<_>| -> Vec<Vec<u8>> {
        log.into_iter().map(|batch: verbatim_tests::oracle::RawBatch| batch.payload).collect()
    };
    let copy = log(&stage.target, "copy-of-orders", 1);
    assert_eq!(payloads(copy), payloads(log(&stage.source, "orders", 1)));
    assert!(log(&stage.target, "copy-of-orders", 0).is_empty() && log(&stage.target, "other", 0).is_empty());
}

/// Batches larger than every limit of the settings travel alone, and the others pass by them.
#[tokio::test(start_paused = true)]
async fn batches_larger_than_all_limits_still_go_through() {
    let stage = Stage::new();
    let large = [("max.message.bytes", "4000000")];
    stage.source.create_topic("large", 3, &large).unwrap();
    stage.target.create_topic("large", 3, &large).unwrap();
    for partition in 0..3 {
        for number in 0..4usize {
            let payload = vec![number as u8; 1 << (12 + 3 * number)];
            let built = opaque_batch(payload.into(), 10, 2).timestamp_ms(now_ms()).build();
            stage.source.append("large", partition, &built).unwrap();
            fill(&stage.source, "large", partition, 3);
        }
    }
    let config = FlowConfig {
        budget_bytes: 100_000,
        fetch_max_bytes: 50_000,
        partition_max_bytes: 10_000,
        produce_request_bytes: 20_000,
        ..translated_config()
    };
    let flow = stage.flow(&["large"]).await.config(config).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.assert_equal("large");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_later_follows() {
    let stage = Stage::new();
    stage.topic("t", 2);
    let flow = stage.start(&["t"]).await;
    soon("caught up with nothing", flow.caught_up()).await.unwrap();
    for _ in 0..20 {
        fill(&stage.source, "t", 0, 3);
        fill(&stage.source, "t", 1, 1);
        stage.copied(&flow, "t").await;
    }
    stage.assert_equal("t");
}

#[tokio::test(start_paused = true)]
async fn a_flow_may_begin_at_the_end() {
    let stage = Stage::new();
    stage.topic("t", 1);
    fill(&stage.source, "t", 0, 10);
    let old = log(&stage.source, "t", 0).len();
    let config = FlowConfig { start: Start::Latest, ..patient_config() };
    let flow = stage.flow(&["t"]).await.config(config.clone()).start().await.unwrap();
    fill(&stage.source, "t", 0, 10);
    let expected = log(&stage.source, "t", 0).split_off(old);
    eventually("the new batches are there", || log(&stage.target, "t", 0).len() >= expected.len()).await;
    stage.assert_holds("t", 0, &expected);
    // What "the end" was is remembered.
    flow.shutdown().await.unwrap();
    fill(&stage.source, "t", 0, 3);
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.assert_holds("t", 0, &log(&stage.source, "t", 0).split_off(old));
}

#[tokio::test(start_paused = true)]
async fn a_flow_ended_in_order_goes_on_where_it_was() {
    let stage = Stage::new();
    stage.topic("t", 3);
    for round in 0..4 {
        for partition in 0..3 {
            fill(&stage.source, "t", partition, 10 * partition as usize);
        }
        stage.source.clear_requests();
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        let ends = flow.shutdown().await.unwrap();
        stage.assert_equal("t");
        for (name, position) in ends.0 {
            let end = stage.source.log_end("t", name.partition).unwrap();
            assert_eq!(position.source_offset, end, "{name} in round {round}");
        }
        let asked = stage.source.requests();
        // Start offsets are asked for once in a lifetime: later rounds know them.
        let offsets = asked.iter().filter(|request| request.api == ApiKey::ListOffsets).count();
        assert_eq!(offsets > 0, round == 0, "round {round}");
    }
}

/// Killed in the middle, again and again, at any moment: positions on the target are older than its log.
#[tokio::test(start_paused = true)]
async fn a_killed_flow_neither_loses_nor_doubles() {
    for pause_ms in 0..40u64 {
        let stage = Stage::new();
        stage.topic("t", 2);
        let config = FlowConfig { position_interval: Duration::from_millis(20), ..translated_config() };
        stage.target.on(ApiKey::Produce, |_| Control::Delay(Duration::from_millis(3)));
        for _ in 0..4 {
            fill(&stage.source, "t", 0, 30);
            fill(&stage.source, "t", 1, 11);
            if let Ok(instance) = stage.instance(config.clone(), &["t"]).await {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                instance.kill();
            }
        }
        let before = (log(&stage.target, "t", 0).len(), committed(&log(&stage.source, "t", 0)).len());
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.assert_equal("t");
        assert!(before.0 <= before.1);
    }
}

/// Dropping the handle ends the flow without a word to the target; what was under way counts all the same.
#[tokio::test(start_paused = true)]
async fn a_dropped_flow_is_found_again_by_its_producer() {
    let stage = Stage::new();
    stage.topic("t", 1);
    let config = FlowConfig { position_interval: Duration::from_secs(3600), ..translated_config() };
    let mut noted = Vec::new();
    for _ in 0..5 {
        let flow = stage.flow(&["t"]).await.config(config.clone()).start().await.unwrap();
        fill(&stage.source, "t", 0, 7);
        stage.copied(&flow, "t").await;
        drop(flow);
        let asked = stage.target.requests();
        let looked = asked.iter().filter(|request| request.api == ApiKey::DescribeProducers).count();
        stage.target.clear_requests();
        assert!(looked <= 1, "asked {looked} times");
        noted.push(log(&stage.target, "__verbatim.default", 0).len());
    }
    stage.assert_equal("t");
    assert!(
        noted.iter().all(|batches| *batches == noted[0]),
        "the start; nothing was noted since: {noted:?}"
    );
}

/// Ended between taking a producer id and noting where partitions start.
#[tokio::test(start_paused = true)]
async fn killed_before_the_first_position_was_noted() {
    for applied in [false, true] {
        let stage = Stage::new();
        stage.topic("t", 1);
        fill(&stage.source, "t", 0, 9);
        // The first Produce registers the producer id, the second notes the start.
        let lost = if applied { Control::ApplyThen(Box::new(Control::Silence)) } else { Control::Silence };
        let mut seen = 0;
        stage.target.on(ApiKey::Produce, move |_| {
            seen += 1;
            if seen == 2 { lost.clone() } else { Control::Pass }
        });
        let starting = stage.instance(translated_config(), &["t"]);
        let outcome = tokio::time::timeout(Duration::from_secs(2), starting).await;
        assert!(outcome.is_err(), "it waits for an answer that never comes, and is then killed");
        stage.target.clear_rules();
        assert!(log(&stage.target, "t", 0).is_empty());
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.assert_equal("t");
    }
}

/// Brokers forget producers whose last record is older than a day, which is every producer of old records: then the log itself
/// tells how far a killed life had come.
#[tokio::test(start_paused = true)]
async fn a_killed_flow_is_found_again_after_its_producer_was_forgotten() {
    for pause_ms in 0..20u64 {
        let stage = Stage::new();
        stage.topic("t", 1);
        let config = FlowConfig { position_interval: Duration::from_millis(10), ..translated_config() };
        stage.target.on(ApiKey::Produce, |_| Control::Delay(Duration::from_millis(2)));
        fill(&stage.source, "t", 0, 100);
        let instance = stage.instance(config.clone(), &["t"]).await.unwrap();
        // Long enough that the first position after the start was noted.
        tokio::time::sleep(Duration::from_millis(30 + pause_ms)).await;
        instance.kill();
        tokio::time::sleep(Duration::from_millis(10)).await;
        stage.target.expire_producer_ids(-1);
        assert!(stage.target.producer_states("t", 0).unwrap().is_empty());
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.assert_equal("t");
    }
}

/// The same before any position but the start was noted.
#[tokio::test(start_paused = true)]
async fn killed_before_its_second_position_and_its_producer_forgotten() {
    let stage = Stage::new();
    stage.topic("t", 1);
    fill(&stage.source, "t", 0, 20);
    let config = FlowConfig { position_interval: Duration::from_secs(3600), ..translated_config() };
    let instance = stage.instance(config, &["t"]).await.unwrap();
    stage.copied(&instance.flow, "t").await;
    instance.kill();
    stage.target.expire_producer_ids(-1);
    let flow = stage.start(&["t"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    stage.assert_equal("t");
}
