use super::super::builder::{BatchBuilder, BatchOptions};
use super::super::patch::crc_is_right;
use super::super::record::{Headers, Record, Records};
use super::*;
use bytes::Bytes;
use proptest::prelude::*;

const STAMP: ProducerStamp = ProducerStamp { producer_id: 9, producer_epoch: 0, base_sequence: 3 };

type Content = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn built(records: &[Content]) -> (BatchHeader, Bytes) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (timestamp, key, value) in records {
        builder.push(*timestamp, key.as_deref(), value.as_deref(), &Headers::none()).unwrap();
    }
    let batch = builder.finish().unwrap();
    (BatchHeader::parse(&batch).unwrap(), batch.slice(HEADER_BYTES..))
}

fn merged(batches: &[(BatchHeader, Bytes)]) -> Result<(BatchHeader, Bytes), MergeError> {
    let mut out = Vec::new();
    let mut merger = Merger::new(&mut out, batches[0].0.base_timestamp);
    for (header, payload) in batches {
        merger.push(header, payload)?;
    }
    let header = merger.finish().header(Codec::None, &out, STAMP)?;
    Ok((header, out.into()))
}

fn content(header: &BatchHeader, record: &Record) -> Content {
    let bytes = |field: &Option<Bytes>| field.as_ref().map(|bytes| bytes.to_vec());
    (record.timestamp(header.base_timestamp), bytes(&record.key), bytes(&record.value))
}

fn any_content() -> impl Strategy<Value = Content> {
    let field = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..90));
    let time = prop_oneof![Just(-1), 1_700_000_000_000..1_700_000_000_200i64, 0..4_000_000_000_000i64];
    (time, field(), field())
}

proptest! {
    #[test]
    fn every_record_keeps_its_content_and_its_place(
        parts in proptest::collection::vec(proptest::collection::vec(any_content(), 1..80), 1..12)
    ) {
        let batches: Vec<_> = parts.iter().map(|part| built(part)).collect();
        let (header, payload) = merged(&batches).unwrap();
        let all: Vec<Content> = parts.concat();
        let records: Vec<Record> = Records::new(payload.clone(), header.records_count).map(Result::unwrap).collect();
        prop_assert_eq!(records.iter().map(|r| r.offset_delta).collect::<Vec<_>>(), (0..all.len() as i32).collect::<Vec<_>>());
        let found: Vec<Content> = records.iter().map(|r| content(&header, r)).collect();
        prop_assert_eq!(found.as_slice(), all.as_slice());
        prop_assert_eq!(header.last_offset_delta + 1, header.records_count);
        prop_assert_eq!(header.max_timestamp, all.iter().map(|(time, ..)| *time).max().unwrap());
        prop_assert_eq!(header.batch_bytes(), Some(payload.len() + HEADER_BYTES));
        prop_assert!(crc_is_right(&header, &payload));
        let before: usize = batches.iter().map(|(_, payload)| payload.len()).sum();
        prop_assert!(payload.len() <= before + all.len() * GROWTH_BYTES);
    }

    #[test]
    fn damage_is_refused_or_shows(part in proptest::collection::vec(any_content(), 1..9), at: prop::sample::Index, bit in 0..8u8) {
        let (header, payload) = built(&part);
        let mut damaged = payload.to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        // It may not panic; what it lets pass is for the checksum to find, which callers verify first.
        let _ = merged(&[(header, damaged.into()), built(&part)]);
    }
}

#[test]
fn a_batch_alone_stays_as_it_is() {
    let (header, payload) = built(&[(5, None, Some(b"value".to_vec())), (4, Some(vec![]), None)]);
    assert_eq!(merged(&[(header, payload.clone())]).unwrap().1, payload);
}

#[test]
fn holes_and_wrong_counts_are_refused() {
    let (header, payload) = built(&[(5, None, Some(vec![1])), (5, None, Some(vec![2])), (5, None, None)]);
    let fewer = BatchHeader { records_count: 2, ..header };
    let more = BatchHeader { records_count: 4, ..header };
    for wrong in [fewer, more] {
        assert!(matches!(merged(&[(wrong, payload.clone())]), Err(MergeError::Record(_))));
    }
    // Without its first record the numbers begin at 1.
    let second = payload.slice(1 + usize::from(payload[0] >> 1)..);
    let found = merged(&[(BatchHeader { records_count: 2, ..header }, second)]);
    assert_eq!(found.unwrap_err(), MergeError::Hole { record: 0, offset_delta: 1 });
}
