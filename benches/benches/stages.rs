//! `cargo bench -p verbatim-benches`: the hot stages, each beside what would be done without it.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use bytes::{Buf, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchResponse, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::RecordBatchDecoder;
use std::hint::black_box;
use verbatim_benches::inputs::{self, FETCH_VERSION, PRODUCE_VERSION, STAMP, batch, fetch_answer};
use verbatim_wire::fetch::{FetchAnswer, TopicIdentity};
use verbatim_wire::primitives::TopicId;
use verbatim_wire::produce::{ProduceAnswer, ProduceBatch, encode};
use verbatim_wire::records::{BatchHeader, Walker, crc, patch};

fn header_patch(criterion: &mut Criterion) {
    for size in [1 << 10, 64 << 10, 1 << 20] {
        let batch = batch(size).unwrap();
        let header = BatchHeader::parse(&batch).unwrap();
        let mut group = criterion.benchmark_group(format!("patch the header of {} KiB", size >> 10));
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function("move the CRC", |b| {
            b.iter(|| patch::patched(black_box(&header), STAMP).to_bytes())
        });
        group.bench_function("hash everything again", |b| b.iter(|| crc::crc32c(black_box(&batch[21..]))));
        group.finish();
    }
}

/// The least that finds where batches begin: offset and length, nothing looked at, nothing kept.
fn lengths(mut slice: &[u8]) -> usize {
    let mut batches = 0;
    while let Some(head) = slice.first_chunk::<12>() {
        let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let Some(rest) = slice.get(12 + length..) else { break };
        slice = rest;
        batches += 1;
    }
    batches
}

fn walk(criterion: &mut Criterion) {
    let slice = inputs::slice_of(&batch(64 << 10).unwrap(), 64);
    let mut group = criterion.benchmark_group("walk 64 batches of 64 KiB");
    group.throughput(Throughput::Elements(64));
    group.bench_function("walker: headers parsed, batches sliced", |b| {
        b.iter(|| Walker::new(black_box(slice.clone())).count());
    });
    group.bench_function("nothing but lengths", |b| b.iter(|| lengths(black_box(&slice))));
    group.sample_size(20);
    group.bench_function("kafka-protocol, which decodes the records", |b| {
        b.iter(|| {
            let mut slice = black_box(slice.clone());
            let mut records = 0;
            while slice.has_remaining() {
                records += RecordBatchDecoder::decode(&mut slice).unwrap().records.len();
            }
            records
        });
    });
    group.finish();
}

fn fetch_decode(criterion: &mut Criterion) {
    for partitions in [1, 100] {
        let frame = fetch_answer(partitions, &batch(4 << 10).unwrap()).unwrap();
        let name = format!("decode a Fetch answer of {partitions} partitions");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(u64::from(partitions.unsigned_abs())));
        group.bench_function("ours", |b| {
            b.iter(|| FetchAnswer::decode(FETCH_VERSION, black_box(&frame)).unwrap())
        });
        group.bench_function("kafka-protocol", |b| {
            b.iter(|| {
                let mut body = black_box(&frame).slice(1..);
                FetchResponse::decode(&mut body, FETCH_VERSION).unwrap()
            });
        });
        group.finish();
    }
}

/// What it costs to look into an answer while it comes in, beside what looking into it costs anyway.
fn fetch_scan(criterion: &mut Criterion) {
    for partitions in [1, 100] {
        let frame = fetch_answer(partitions, &batch(64 << 10).unwrap()).unwrap();
        let mut fields = Vec::new();
        let name = format!("scan a Fetch answer of {partitions} partitions, a batch of 64 KiB each");
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(u64::from(partitions.unsigned_abs())));
        group.bench_function("scan: payloads left out, their fields read", |b| {
            b.iter(|| inputs::payloads_left_out(black_box(&frame), &mut fields))
        });
        group.bench_function("decode the whole", |b| {
            b.iter(|| FetchAnswer::decode(FETCH_VERSION, black_box(&frame)).unwrap())
        });
        group.finish();
    }
}

fn produce_encode(criterion: &mut Criterion) {
    let batch = batch(64 << 10).unwrap();
    let (header, payload) = inputs::split(&batch).unwrap();
    let topic = inputs::topic();
    let mut group = criterion.benchmark_group("encode a Produce request of 16 batches of 64 KiB");
    group.throughput(Throughput::Bytes(16 * batch.len() as u64));
    group.bench_function("ours, around the payloads", |b| {
        b.iter(|| {
            let one = |partition| ProduceBatch::in_memory(&topic, partition, &header, &payload);
            let batches: Vec<_> = (0..16).map(one).collect();
            encode(PRODUCE_VERSION, "verbatim", 10_000, black_box(&batches).iter().copied()).wire_bytes()
        });
    });
    group.bench_function("kafka-protocol, copying them", |b| {
        b.iter(|| copied(&["orders"], 16, &batch).len());
    });
    group.finish();
}

/// What the frame of a request costs whose batches are small and of many topics: 100 partitions of 25 topics.
fn assemble(criterion: &mut Criterion) {
    let names: Vec<String> = (0..25).map(|number| format!("orders-{number}")).collect();
    let named = |name: &String| TopicIdentity { name: name.as_str().into(), id: TopicId::ZERO };
    let topics: Vec<TopicIdentity> = names.iter().map(named).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for bytes in [1 << 10, 16 << 10] {
        let batch = batch(bytes).unwrap();
        let (header, payload) = inputs::split(&batch).unwrap();
        let name = format!("assemble a request of 100 batches of {} KiB, 25 topics", bytes >> 10);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(100));
        group.bench_function("ours", |b| {
            b.iter(|| {
                let one = |topic, partition| ProduceBatch::in_memory(topic, partition, &header, &payload);
                let batches = topics.iter().flat_map(|topic| (0..4).map(move |partition| (topic, partition)));
                let batches: Vec<_> = batches.map(|(topic, partition)| one(topic, partition)).collect();
                encode(PRODUCE_VERSION, "verbatim", 10_000, black_box(&batches).iter().copied()).wire_bytes()
            });
        });
        group.bench_function("kafka-protocol", |b| b.iter(|| copied(&names, 4, black_box(&batch)).len()));
        group.finish();
    }
}

/// A request as the crate encodes it: one buffer, payloads and all.
fn copied(names: &[&str], partitions: i32, batch: &Bytes) -> BytesMut {
    let one = |index| PartitionProduceData::default().with_index(index).with_records(Some(batch.clone()));
    let of_topic = |name: &&str| {
        TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string((*name).to_owned())))
            .with_partition_data((0..partitions).map(one).collect())
    };
    let request = ProduceRequest::default().with_acks(-1);
    let request = request.with_topic_data(names.iter().map(of_topic).collect());
    let mut out = BytesMut::new();
    request.encode(&mut out, PRODUCE_VERSION).unwrap();
    out
}

fn produce_answer(criterion: &mut Criterion) {
    let frame = inputs::produce_answer(16).unwrap();
    let mut group = criterion.benchmark_group("decode a Produce answer of 16 partitions");
    group.throughput(Throughput::Elements(16));
    group.bench_function("ours", |b| {
        b.iter(|| ProduceAnswer::decode(PRODUCE_VERSION, black_box(&frame)).unwrap());
    });
    group.bench_function("kafka-protocol", |b| {
        b.iter(|| {
            let mut body = black_box(&frame).slice(1..);
            ProduceResponse::decode(&mut body, PRODUCE_VERSION).unwrap()
        });
    });
    group.finish();
}

criterion_group!(
    stages,
    header_patch,
    walk,
    fetch_scan,
    fetch_decode,
    assemble,
    produce_encode,
    produce_answer
);
criterion_main!(stages);
