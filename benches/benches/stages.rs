//! `cargo bench -p verbatim-benches`: the hot stages, each beside what would be done without it.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use bytes::{Buf, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchResponse, ProduceRequest, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::hint::black_box;
use verbatim_benches::{FETCH_VERSION, batch, fetch_answer};
use verbatim_wire::fetch::{FetchAnswer, TopicIdentity};
use verbatim_wire::primitives::TopicId;
use verbatim_wire::produce::{ProduceBatch, encode};
use verbatim_wire::records::{BatchHeader, HEADER_BYTES, ProducerStamp, Walker, crc, patch};

const STAMP: ProducerStamp = ProducerStamp { producer_id: 4001, producer_epoch: 0, base_sequence: 77 };

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

fn walk(criterion: &mut Criterion) {
    let slice: Bytes = std::iter::repeat_n(batch(64 << 10).unwrap(), 64).flat_map(|b| b.to_vec()).collect();
    let mut group = criterion.benchmark_group("walk 64 batches");
    group.throughput(Throughput::Elements(64));
    group.bench_function("walker", |b| b.iter(|| Walker::new(black_box(slice.clone())).count()));
    group.finish();
}

fn fetch_decode(criterion: &mut Criterion) {
    let frame = fetch_answer(100, &batch(4 << 10).unwrap()).unwrap();
    let mut group = criterion.benchmark_group("decode a Fetch answer of 100 partitions");
    group.throughput(Throughput::Elements(100));
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

fn produce_encode(criterion: &mut Criterion) {
    let batch = batch(64 << 10).unwrap();
    let (header, payload) = (batch[..HEADER_BYTES].try_into().unwrap(), batch.slice(HEADER_BYTES..));
    let topic = TopicIdentity { name: "orders".into(), id: TopicId::ZERO };
    let mut group = criterion.benchmark_group("encode a Produce request of 16 batches of 64 KiB");
    group.throughput(Throughput::Bytes(16 * batch.len() as u64));
    group.bench_function("ours, around the payloads", |b| {
        b.iter(|| {
            let one =
                |partition| ProduceBatch { topic: &topic, partition, header: &header, payload: &payload };
            let batches: Vec<_> = (0..16).map(one).collect();
            encode(9, "verbatim", 10_000, black_box(&batches)).wire_bytes()
        });
    });
    group.bench_function("kafka-protocol, copying them", |b| {
        b.iter(|| {
            let one =
                |index| PartitionProduceData::default().with_index(index).with_records(Some(batch.clone()));
            let topic = TopicProduceData::default()
                .with_name(TopicName(StrBytes::from_static_str("orders")))
                .with_partition_data((0..16).map(one).collect());
            let mut out = BytesMut::new();
            let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
            request.encode(&mut out, 9).unwrap();
            out.remaining()
        });
    });
    group.finish();
}

criterion_group!(stages, header_patch, walk, fetch_decode, produce_encode);
criterion_main!(stages);
