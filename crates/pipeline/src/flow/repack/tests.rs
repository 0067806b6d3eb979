use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

const LIMITS: RepackLimits =
    RepackLimits { unpacked_bytes: 1 << 20, batch_bytes: 1 << 20, splits_at_holes: false };

type Fields = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn fields() -> impl Strategy<Value = Fields> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    (
        0i64..10_000,
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        proptest::collection::vec((bytes(), proptest::option::of(bytes())), 0..3),
    )
}

fn headers(fields: &Fields) -> Headers {
    let pairs: Vec<_> = fields.3.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
    Headers::from_pairs(&pairs).unwrap()
}

/// A batch of `records` at their offset deltas, as a cleaner would leave it at `base_offset`.
fn thinned(codec: Codec, base_offset: i64, records: &[(i32, Fields)], last_offset_delta: i32) -> Batch {
    let mut builder = BatchBuilder::new(BatchOptions { codec, ..BatchOptions::default() });
    for (delta, fields) in records {
        let (timestamp, key, value, _) = fields;
        builder.push_at(*delta, *timestamp, key.as_deref(), value.as_deref(), &headers(fields)).unwrap();
    }
    let bytes = builder.finish().unwrap();
    let mut header = BatchHeader::parse(&bytes).unwrap();
    header.base_offset = base_offset;
    header.last_offset_delta = last_offset_delta;
    resealed(header, &bytes[HEADER_BYTES..])
}

fn resealed(mut header: BatchHeader, payload: &[u8]) -> Batch {
    let mut bytes = BytesMut::from(&header.to_bytes()[..]);
    bytes.extend_from_slice(payload);
    header.crc = verbatim_wire::records::crc::crc32c(&bytes[21..]);
    bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
    Batch { header, bytes: bytes.freeze(), tail: None }
}

fn inspected(batch: Batch, reason: RepackReason, from_offset: i64) -> InspectedBatch {
    let next_offset = batch.header.next_offset();
    InspectedBatch { verdict: Verdict::Repack(reason), batch, from_offset, next_offset, is_gap: false }
}

/// Records of new batches: offsets must count from 0 without holes in each.
fn read_back(batches: &[(Bytes, i64)]) -> Vec<Fields> {
    let mut found = Vec::new();
    for (bytes, _) in batches {
        let (header, payload) = taken_apart(bytes).unwrap();
        assert!(patch::crc_is_right(&header, &payload));
        assert_eq!(header.last_offset_delta + 1, header.records_count);
        let codec = Codec::from_attributes(header.attributes).unwrap();
        let payload = decompress_shared(codec, &payload, 1 << 24).unwrap();
        for (index, record) in (0..).zip(Records::new(payload, header.records_count)) {
            let record = record.unwrap();
            assert_eq!(record.offset_delta, index);
            let headers =
                record.headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
            let to_vec = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
            found.push((
                record.timestamp(header.base_timestamp),
                to_vec(&record.key),
                to_vec(&record.value),
                headers.collect(),
            ));
        }
    }
    found
}

fn only_batches(done: Vec<Repacked>) -> Vec<(Bytes, i64)> {
    match done.into_iter().next() {
        Some(Repacked::Batches { batches, .. }) => {
            batches.into_iter().map(|batch| (batch.bytes, batch.next_offset)).collect()
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn survivors_of_compaction_go_on_exactly(
        survivors in proptest::collection::btree_map(0i32..50, fields(), 1..20),
        codec in proptest::sample::select(Codec::ALL.to_vec()),
        start in 0i64..60,
    ) {
        let records: Vec<_> = survivors.into_iter().collect();
        let batch = thinned(codec, 100, &records, 50);
        let (done, failure) = repack(vec![inspected(batch, RepackReason::Holes, 100 + start)], LIMITS);
        prop_assert!(failure.is_none());
        let expected: Vec<_> =
            records.iter().filter(|(delta, _)| i64::from(*delta) >= start).map(|(_, fields)| fields.clone()).collect();
        prop_assert_eq!(read_back(&only_batches(done)), expected);
    }
}

fn numbered(count: i32) -> Vec<(i32, Fields)> {
    (0..count).map(|n| (n, (i64::from(n), None, Some(vec![b'x'; 100]), vec![]))).collect()
}

#[test]
fn a_batch_too_large_for_the_target_is_split_where_its_records_are() {
    let batch = thinned(Codec::None, 1000, &numbered(40), 60);
    let limits = RepackLimits { batch_bytes: 1500, ..LIMITS };
    let (done, failure) = repack(vec![inspected(batch, RepackReason::Holes, 1000)], limits);
    assert!(failure.is_none());
    let batches = only_batches(done);
    assert!(batches.len() > 1 && batches.iter().all(|(bytes, _)| bytes.len() <= 1500));
    assert_eq!(read_back(&batches).len(), 40);
    let positions: Vec<i64> = batches.iter().map(|(_, next)| *next).collect();
    assert!(positions.is_sorted() && positions.last() == Some(&1061), "{positions:?}");
}

#[test]
fn a_damaged_batch_is_never_opened_up_and_sealed_again() {
    let mut batch = thinned(Codec::Lz4, 5, &numbered(3), 9);
    let mut bytes = batch.bytes.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    batch.bytes = bytes.into();
    let good = inspected(thinned(Codec::None, 0, &numbered(3), 4), RepackReason::Holes, 0);
    let (done, failure) = repack(vec![good, inspected(batch, RepackReason::Holes, 5)], LIMITS);
    assert_eq!(done.len(), 1, "what comes before goes on");
    let failure = failure.unwrap();
    assert!(failure.offset == 5 && matches!(failure.error, RepackError::Crc { .. }), "{failure:?}");
}

#[test]
fn unpacking_is_bounded() {
    let records: Vec<_> = (0..100).map(|n| (n, (0, None, Some(vec![0; 10_000]), vec![]))).collect();
    let batch = thinned(Codec::Gzip, 0, &records, 120);
    let limits = RepackLimits { unpacked_bytes: 100_000, ..LIMITS };
    let (_, failure) = repack(vec![inspected(batch, RepackReason::Holes, 0)], limits);
    assert!(matches!(failure.unwrap().error, RepackError::Codec(_)));
}

#[test]
fn append_time_is_what_readers_of_the_source_saw() {
    let mut header = thinned(Codec::None, 0, &numbered(3), 9).header;
    let payload = thinned(Codec::None, 0, &numbered(3), 9).payload();
    header.attributes = Attributes(Attributes::LOG_APPEND_TIME);
    header.max_timestamp = 777_777;
    let (done, _) = repack(vec![inspected(resealed(header, &payload), RepackReason::Holes, 0)], LIMITS);
    assert!(read_back(&only_batches(done)).iter().all(|(timestamp, ..)| *timestamp == 777_777));
}
