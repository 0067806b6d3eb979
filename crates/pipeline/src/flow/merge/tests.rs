use super::*;
use verbatim_wire::records::Batch;
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions};
use verbatim_wire::records::record::Headers;

const LIMIT: usize = 64 << 20;

/// A batch of records with these values, all of the same time.
fn batch(codec: Codec, values: &[Vec<u8>]) -> Batch {
    let mut builder = BatchBuilder::new(BatchOptions { codec, ..BatchOptions::default() });
    for value in values {
        builder.push(1_700_000_000_000, None, Some(value), &Headers::none()).unwrap();
    }
    let bytes = builder.finish().unwrap();
    Batch { header: BatchHeader::parse(&bytes).unwrap(), bytes, tail: None }
}

fn parts(batches: &[Batch]) -> Vec<(BatchHeader, Bytes)> {
    batches.iter().map(|batch| (batch.header, batch.payload())).collect()
}

fn values(byte: u8) -> Vec<Vec<u8>> {
    (0..20).map(|record| vec![byte ^ record; 50]).collect()
}

fn are_in(batches: &[Batch], landmark: &Landmark) -> bool {
    super::are_in(parts(batches).into_iter(), landmark, LIMIT, &BufferPool::new(0))
}

/// The records of all `batches` in one, as another compressor might write it.
fn as_one(batches: &[Batch], codec: Codec, compressor: impl Fn(&[u8]) -> Vec<u8>) -> Batch {
    let run = Run::of(parts(batches), LIMIT).unwrap();
    let (records, merged, _) = run.records(&BufferPool::new(0)).unwrap();
    let payload = compressor(&records);
    let header = merged.header(codec, &payload, run.stamp().unwrap()).unwrap();
    let bytes = [&header.to_bytes()[..], &payload].concat().into();
    Batch { header, bytes, tail: None }
}

#[test]
fn only_the_same_records_are_taken_for_a_merged_batch() {
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batches = [batch(codec, &values(1)), batch(codec, &values(2))];
        // As many records, of the same time, and as long.
        let others = [batch(codec, &values(1)), batch(codec, &values(3))];
        let merged = |batches: &[Batch]| {
            as_one(batches, codec, |records| match codec {
                Codec::None => records.to_vec(),
                codec => compress(codec, records).unwrap(),
            })
        };
        let landmark = Landmark::of(&merged(&batches), LIMIT);
        assert!(are_in(&batches, &landmark), "{codec}");
        assert!(!are_in(&others, &landmark), "{codec}");
        assert!(!are_in(&batches[..1], &landmark), "{codec}");
        let unopened = Landmark { records_crc: None, ..landmark };
        assert!(are_in(&batches, &unopened), "{codec}");
        assert!(!are_in(&others, &unopened), "{codec}");
    }
}

/// Compressors change between versions of this program.
#[test]
fn the_same_records_compressed_otherwise_are_the_same() {
    let batches = [batch(Codec::Gzip, &values(1)), batch(Codec::Gzip, &values(2))];
    let others = [batch(Codec::Gzip, &values(1)), batch(Codec::Gzip, &values(3))];
    // A gzip stream may be of several members.
    let in_two = |records: &[u8]| {
        let (first, second) = records.split_at(records.len() / 2);
        [compress(Codec::Gzip, first).unwrap(), compress(Codec::Gzip, second).unwrap()].concat()
    };
    let landmark = Landmark::of(&as_one(&batches, Codec::Gzip, in_two), LIMIT);
    assert!(are_in(&batches, &landmark));
    assert!(!are_in(&others, &landmark));
    assert!(!are_in(&batches, &Landmark { records_crc: None, ..landmark }));
}

#[test]
fn no_more_is_unpacked_at_once_than_there_is_room_for() {
    let batches: Vec<_> = (0..10).map(|_| batch(Codec::Zstd, &vec![vec![0; 1_000]; 100])).collect();
    let run = Run::of(parts(&batches), 350_000).unwrap();
    let merged = run.merge(&BufferPool::new(0)).unwrap();
    assert_eq!((merged.count, merged.header.records_count), (3, 300));
    let too_large = Run::of(parts(&batches), 50_000).unwrap();
    assert!(matches!(too_large.merge(&BufferPool::new(0)), Err(RunError::Codec(_))));
}
