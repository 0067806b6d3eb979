use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::records::codec::decompress;
use crate::records::header::CRC_OFFSET;
use crate::records::record::{Record, Records};

/// Timestamp, key, value, headers.
type Content = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn field() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(prop_oneof![vec(any::<u8>(), 0..200), vec(0u8..2, 0..3000)])
}

/// Few names, so that duplicates are frequent; bytes, so that they are rarely UTF-8.
fn headers() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
    vec((vec(0xFEu8..=0xFF, 0..2), proptest::option::of(vec(any::<u8>(), 0..20))), 0..5)
}

fn content() -> impl Strategy<Value = Content> {
    (
        prop_oneof![1_700_000_000_000i64..1_700_000_010_000, any::<i64>(), Just(-1)],
        field(),
        field(),
        headers(),
    )
}

fn section(pairs: &[(Vec<u8>, Option<Vec<u8>>)]) -> Headers {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
    Headers::from_pairs(&pairs).unwrap()
}

fn build(options: BatchOptions, contents: &[Content]) -> Bytes {
    let mut batch = BatchBuilder::new(options);
    for (timestamp, key, value, headers) in contents {
        batch.push(*timestamp, key.as_deref(), value.as_deref(), &section(headers)).unwrap();
    }
    batch.finish().unwrap()
}

fn read(batch: &Bytes) -> (BatchHeader, Vec<Record>) {
    let header = BatchHeader::parse(batch).unwrap();
    let codec = Codec::from_attributes(header.attributes).unwrap();
    let payload = decompress(codec, &batch[HEADER_BYTES..], 1 << 24).unwrap();
    (header, Records::new(payload.into(), header.records_count).map(Result::unwrap).collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read(contents in vec(content(), 1..30), codec in proptest::sample::select(&Codec::ALL[..])) {
        let batch = build(BatchOptions { codec, ..BatchOptions::default() }, &contents);
        let (header, records) = read(&batch);
        prop_assert_eq!(header.batch_bytes(), Some(batch.len()));
        prop_assert_eq!(header.crc, crc32c(&batch[CRC_START..]));
        prop_assert_eq!(header.last_offset_delta + 1, header.records_count);
        prop_assert_eq!(header.max_timestamp, contents.iter().map(|c| c.0).max().unwrap().max(-1));
        prop_assert_eq!(records.len(), contents.len());
        for (delta, (record, (timestamp, key, value, headers))) in (0..).zip(records.iter().zip(&contents)) {
            prop_assert_eq!(record.offset_delta, delta);
            prop_assert_eq!(record.timestamp(header.base_timestamp), *timestamp);
            prop_assert_eq!(record.key.as_deref(), key.as_deref());
            prop_assert_eq!(record.value.as_deref(), value.as_deref());
            prop_assert_eq!(&record.headers, &section(headers));
        }
    }
}

#[test]
fn the_header_is_that_of_a_producer() {
    let producer = ProducerStamp { producer_id: 7, producer_epoch: 2, base_sequence: 99 };
    let attributes = Attributes(Attributes::TRANSACTIONAL | Attributes::CODEC_MASK);
    let options = BatchOptions { codec: Codec::Gzip, attributes, producer: Some(producer) };
    let header = read(&build(options, &[(-1, None, None, vec![])])).0;
    assert_eq!((header.base_offset, header.partition_leader_epoch, header.magic), (0, -1, 2));
    assert_eq!(header.attributes, Attributes(Attributes::TRANSACTIONAL | 1));
    assert_eq!((header.base_timestamp, header.max_timestamp), (-1, -1));
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 2, 99));

    let header = read(&build(BatchOptions::default(), &[(5, None, None, vec![])])).0;
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (-1, -1, -1));
}

#[test]
fn the_size_is_known_while_building() {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    assert_eq!((batch.len(), batch.is_empty(), batch.size_estimate_bytes()), (0, true, HEADER_BYTES));
    batch.push(1, Some(b"key"), Some(b"value"), &Headers::none()).unwrap();
    assert_eq!((batch.len(), batch.is_empty()), (1, false));
    assert_eq!(batch.size_estimate_bytes(), batch.finish().unwrap().len());
}

#[test]
fn holes_lie_between_ascending_deltas_only() {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.push_at(3, 0, None, None, &Headers::none()).unwrap();
    batch.push(0, None, None, &Headers::none()).unwrap();
    let again = batch.push_at(4, 0, None, None, &Headers::none());
    assert!(matches!(again, Err(BuildError::OffsetDelta { offset_delta: 4, next: 5 })));
    let (header, records) = read(&batch.finish().unwrap());
    assert_eq!(records.iter().map(|record| record.offset_delta).collect::<Vec<_>>(), [3, 4]);
    assert_eq!((header.last_offset_delta, header.records_count), (4, 2));
}

#[test]
fn what_a_batch_cannot_hold_is_refused() {
    assert!(matches!(BatchBuilder::new(BatchOptions::default()).finish(), Err(BuildError::Empty)));
    let mut batch = BatchBuilder::new(BatchOptions::default());
    let beyond = batch.push_at(i32::MAX, 0, None, None, &Headers::none());
    assert!(matches!(beyond, Err(BuildError::TooManyRecords)));
    assert!(batch.is_empty());
}

#[test]
fn a_changed_byte_changes_the_crc() {
    let batch = build(BatchOptions::default(), &[(0, None, Some(b"value".to_vec()), vec![])]);
    let stored = u32::from_be_bytes(batch[CRC_OFFSET..CRC_START].try_into().unwrap());
    let mut changed = batch[CRC_START..].to_vec();
    *changed.last_mut().unwrap() ^= 1;
    assert_ne!(crc32c(&changed), stored);
}
