//! Batches and messages written by Kafka 4.1's own `MemoryRecords` builder, read here.
//!
//! Three records each. In format 2: idempotent and transactional; a record with duplicate and null headers, one
//! without a key, a tombstone with an empty key. In formats 0 and 1: offsets 100, 101 and 104.

#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use verbatim_wire::records::ProducerStamp;
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions};
use verbatim_wire::records::codec::{Codec, decompress_shared};
use verbatim_wire::records::control::{ControlKind, ControlRecord};
use verbatim_wire::records::crc::crc32c;
use verbatim_wire::records::header::{Attributes, BatchHeader, CRC_START, HEADER_BYTES};
use verbatim_wire::records::legacy::{LegacyMessage, LegacyRecord, LegacyRecords, split_entry};
use verbatim_wire::records::record::{Headers, Record, Records, offset_deltas_are_dense_prefix};

const LIMIT_BYTES: usize = 4096;

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> =
        hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn payload(batch: &Bytes) -> (BatchHeader, Bytes) {
    let header = BatchHeader::parse(batch).unwrap();
    assert_eq!(header.batch_bytes(), Some(batch.len()));
    assert_eq!(header.crc, crc32c(&batch[CRC_START..]));
    let codec = Codec::from_attributes(header.attributes).unwrap();
    (header, decompress_shared(codec, &batch.slice(HEADER_BYTES..), LIMIT_BYTES).unwrap())
}

/// Timestamp, key, value, headers.
type Content = (i64, Option<Bytes>, Option<Bytes>, Headers);

fn expected() -> [Content; 3] {
    let pairs: [(&[u8], Option<&[u8]>); 3] =
        [(b"h", Some(b"1")), (b"h", None), ("é".as_bytes(), Some(&[0xFF, 0xFE]))];
    let some = |text: &'static str| Some(Bytes::from(text));
    [
        (
            1_700_000_000_000,
            some("key"),
            Some("value ".repeat(12).into()),
            Headers::from_pairs(&pairs).unwrap(),
        ),
        (1_699_999_999_000, None, some("no key"), Headers::none()),
        (1_700_000_000_500, some(""), None, Headers::none()),
    ]
}

#[test]
fn batches_of_every_codec_are_read() {
    for (hex, codec) in [V2_NONE, V2_GZIP, V2_SNAPPY, V2_LZ4, V2_ZSTD].into_iter().zip(Codec::ALL) {
        let (header, payload) = payload(&bytes(hex));
        assert_eq!(Codec::from_attributes(header.attributes), Ok(codec));
        assert_eq!(offset_deltas_are_dense_prefix(&payload, 3), Ok(true), "{codec}");
        let records: Vec<Record> =
            Records::new(payload, header.records_count).collect::<Result<_, _>>().unwrap();
        assert_eq!(records.iter().map(|record| record.offset_delta).collect::<Vec<_>>(), [0, 1, 2]);
        let contents: Vec<Content> = records
            .into_iter()
            .map(|record| (record.timestamp(header.base_timestamp), record.key, record.value, record.headers))
            .collect();
        assert_eq!(contents, expected(), "{codec}");
    }
}

#[test]
fn an_uncompressed_batch_is_written_byte_for_byte_as_kafka_writes_it() {
    let mut batch = BatchBuilder::new(BatchOptions {
        codec: Codec::None,
        attributes: Attributes(Attributes::TRANSACTIONAL),
        producer: Some(ProducerStamp {
            producer_id: 5_000_000_123,
            producer_epoch: 2,
            base_sequence: 1_234_567,
        }),
    });
    for (timestamp, key, value, headers) in expected() {
        batch.push(timestamp, key.as_deref(), value.as_deref(), &headers).unwrap();
    }
    assert_eq!(batch.finish().unwrap(), bytes(V2_NONE));
}

/// Offset, timestamp, key, value of the messages in the old vectors.
fn old_records(timestamps: [i64; 3]) -> Vec<LegacyRecord> {
    let some = |text: &'static str| Some(Bytes::from(text));
    let [first, second, third] = timestamps;
    vec![
        LegacyRecord {
            offset: 100,
            timestamp: first,
            key: some("a"),
            value: Some("old value ".repeat(5).into()),
        },
        LegacyRecord { offset: 101, timestamp: second, key: None, value: some("b") },
        LegacyRecord { offset: 104, timestamp: third, key: some("c"), value: None },
    ]
}

fn read_old(hex: &str) -> Vec<LegacyRecord> {
    let mut set = bytes(hex);
    let mut records = Vec::new();
    while let Some(entry) = split_entry(&mut set).unwrap() {
        records.extend(LegacyRecords::new(&entry, LIMIT_BYTES).unwrap().map(Result::unwrap));
    }
    records
}

#[test]
fn messages_of_format_0_are_read() {
    for hex in [V0_NONE, V0_GZIP, V0_SNAPPY, V0_LZ4] {
        assert_eq!(read_old(hex), old_records([-1; 3]));
    }
}

#[test]
fn the_lz4_frame_in_format_0_has_kafkas_wrong_checksum() {
    let wrapper = LegacyMessage::parse(&bytes(V0_LZ4)).unwrap();
    let strict = decompress_shared(Codec::Lz4, &wrapper.value.unwrap(), LIMIT_BYTES);
    assert!(strict.unwrap_err().to_string().contains("checksum"));
}

#[test]
fn messages_of_format_1_are_read() {
    for hex in [V1_NONE, V1_GZIP, V1_SNAPPY, V1_LZ4] {
        assert_eq!(read_old(hex), old_records([1_500_000_000_000, 1_500_000_000_007, 1_500_000_000_003]));
    }
}

#[test]
fn the_append_time_of_a_wrapper_overrides_the_times_inside() {
    let records = read_old(V1_GZIP_APPEND_TIME);
    let seen: Vec<_> = records.iter().map(|record| (record.offset, record.timestamp)).collect();
    assert_eq!(seen, [(7, 1_600_000_000_000), (8, 1_600_000_000_000)]);
}

#[test]
fn transaction_markers_are_read() {
    let kind = |hex| {
        let (header, payload) = payload(&bytes(hex));
        assert!(header.attributes.is_control());
        ControlRecord::parse(payload, header.records_count).unwrap().map(|marker| marker.kind)
    };
    assert_eq!(kind(MARKER_COMMIT), Some(ControlKind::Commit));
    assert_eq!(kind(MARKER_ABORT), Some(ControlKind::Abort));
    assert_eq!(kind(MARKER_EMPTIED), None);
}

/// Format 2, none.
const V2_NONE: &str = "\
     0000000000000000000000a8ffffffff02c2f1f8940010000000020000018bcfe568000000018bcfe569f4000000012a05f2\
     7b00020012d68700000003be01000000066b6579900176616c75652076616c75652076616c75652076616c75652076616c75\
     652076616c75652076616c75652076616c75652076616c75652076616c75652076616c75652076616c756520060268023102\
     680104c3a904fffe1a00cf0f02010c6e6f206b6579000e00e80704000100";
/// Format 2, gzip.
const V2_GZIP: &str = "\
     00000000000000000000007cffffffff02939fe3a80011000000020000018bcfe568000000018bcfe569f4000000012a05f2\
     7b00020012d687000000031f8b08000000000000ffdbc7c8c0c0c0969d5a3981b12c31a734558172928d2983c990298391e5\
     f04a96ffffa418cef33331f2e4e52b002d61e06378c1cec2c0c8000004559f1977000000";
/// Format 2, snappy.
const V2_SNAPPY: &str = "\
     000000000000000000000082ffffffff0233bbe5160012000000020000018bcfe568000000018bcfe569f4000000012a05f2\
     7b00020012d6870000000382534e415050590000000001000000010000003d7740be01000000066b6579900176616c756520\
     ee060009068c060268023102680104c3a904fffe1a00cf0f02010c6e6f206b6579000e00e80704000100";
/// Format 2, lz4.
const V2_LZ4: &str = "\
     00000000000000000000007cffffffff020d884da60013000000020000018bcfe568000000018bcfe569f4000000012a05f2\
     7b00020012d6870000000304224d186040823c000000ff02be01000000066b6579900176616c75652006002ff01506026802\
     3102680104c3a904fffe1a00cf0f02010c6e6f206b6579000e00e8070400010000000000";
/// Format 2, zstd.
const V2_ZSTD: &str = "\
     00000000000000000000007affffffff02f81f8e6d0014000000020000018bcfe568000000018bcfe569f4000000012a05f2\
     7b00020012d6870000000328b52ffd0058ec01005403be01000000066b6579900176616c756520060268023102680104c3a9\
     04fffe1a00cf0f02010c6e6f206b6579000e00e8070400010001001fa92c01010000";
/// Format 0, none.
const V0_NONE: &str = "\
     000000000000006400000041deea915d00000000000161000000326f6c642076616c7565206f6c642076616c7565206f6c64\
     2076616c7565206f6c642076616c7565206f6c642076616c75652000000000000000650000000fc8d66b880000ffffffff00\
     0000016200000000000000680000000fa0f24f3700000000000163ffffffff";
/// Format 0, gzip.
const V0_GZIP: &str = "\
     000000000000006800000060c5c7b7500001ffffffff000000521f8b08000000000000ff63600083142076bcf76a622c98c7\
     9808248cf2735214ca12734a5315886541cc62480562fe13d7b23b1818fe0301c8c024a85406486ac1277f73883dc9207900\
     d4f337b083000000";
/// Format 0, snappy.
const V0_SNAPPY: &str = "\
     000000000000006800000078d1735f1c0002ffffffff0000006a82534e415050590000000001000000010000005683010000\
     0901206400000041deea915d050f3c0161000000326f6c642076616c7565209e0a00053d580000650000000fc8d66b880000\
     ffffffff00000001620009010068011b38a0f24f3700000000000163ffffffff";
/// Format 0, lz4.
const V0_LZ4: &str = "\
     000000000000006800000077ae2e12a40003ffffffff0000006904224d1860401a5a00000012000100916400000041deea91\
     5d0f00ff010161000000326f6c642076616c7565200a0015013d00f0070000650000000fc8d66b880000ffffffff00000001\
     62180040000000681b00f000a0f24f3700000000000163ffffffff00000000";
/// Format 1, none.
const V1_NONE: &str = "\
     0000000000000064000000498110920901000000015d3ef798000000000161000000326f6c642076616c7565206f6c642076\
     616c7565206f6c642076616c7565206f6c642076616c7565206f6c642076616c756520000000000000006500000017cb331e\
     1101000000015d3ef79807ffffffff0000000162000000000000006800000017aafc9ad401000000015d3ef7980300000001\
     63ffffffff";
/// Format 1, gzip.
const V1_GZIP: &str = "\
     000000000000006800000070eb1a26fc01010000015d3ef79807ffffffff0000005a1f8b08000000000000ff63608003cf46\
     81499c8c400663acddf7192011c6442061949f93a2509698539aaa402c0b6a20c82cf1d3c672827043d9ff030188930455c2\
     0252b2eacfac2b7025cc204632481d00b10506689b000000";
/// Format 1, snappy.
const V1_SNAPPY: &str = "\
     00000000000000680000008bdb2fb15c01020000015d3ef79807ffffffff0000007582534e41505059000000000100000001\
     000000619b010000190134498110920901000000015d3ef79801183c0161000000326f6c642076616c7565209e0a00013c01\
     481c00000017cb331e11010905551007ffffffff011a006201200c0000000401230caafc9ad4152324030000000163ffffff\
     ff";
/// Format 1, lz4.
const V1_LZ4: &str = "\
     0000000000000068000000849004197601030000015d3ef79807ffffffff0000006e04224d186040825f00000016000100e0\
     498110920901000000015d3ef7981800ff010161000000326f6c642076616c7565200a0015003c000048008500000017cb33\
     1e1155005007ffffffff1a001162210030000004230045aafc9ad42300a0030000000163ffffffff00000000";
/// Format 1, gzip, topic with append times: offsets 7 and 8.
const V1_GZIP_APPEND_TIME: &str = "\
     00000000000000080000005338a11273010900000174876e8000ffffffff0000003d1f8b08000000000000ff636080030941\
     dd020b460e0606c692f6bc069008632288a880ca3302b1f80ccf627d849aff4000924902009888643f47000000";
/// `withEndTransactionMarker`, commit.
const MARKER_COMMIT: &str = "\
     000000000000002a0000004200000003024ece5c670030000000000000018bcfe568000000018bcfe5680000000000000000\
     070001ffffffff000000012000000008000000010c00000000000900";
/// `withEndTransactionMarker`, abort.
const MARKER_ABORT: &str = "\
     000000000000002a000000420000000302baf08a2f0030000000000000018bcfe568000000018bcfe5680000000000000000\
     070001ffffffff000000012000000008000000000c00000000000900";
/// `writeEmptyHeader` of a control batch, as the log cleaner leaves it.
const MARKER_EMPTIED: &str = "\
     000000000000002a000000310000000302f1d13ade003000000000ffffffffffffffff0000018bcfe5680000000000000000\
     070001ffffffff00000000";
