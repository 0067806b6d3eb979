use bytes::BufMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::records::codec::compress;

const LIMIT_BYTES: usize = 10_000;

/// An entry; `timestamp` in format 1 only.
fn entry(
    offset: i64,
    magic: i8,
    attributes: i8,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Bytes {
    let mut body = Vec::new();
    body.put_i8(magic);
    body.put_i8(attributes);
    if magic == 1 {
        body.put_i64(timestamp);
    }
    for field in [key, value] {
        body.put_i32(field.map_or(-1, |field| i32::try_from(field.len()).unwrap()));
        body.put_slice(field.unwrap_or_default());
    }
    let mut entry = Vec::new();
    entry.put_i64(offset);
    entry.put_i32(i32::try_from(body.len() + 4).unwrap());
    entry.put_u32(crc32(&body));
    entry.put_slice(&body);
    entry.into()
}

fn wrapper(offset: i64, magic: i8, attributes: i8, timestamp: i64, inner: &[Bytes]) -> Bytes {
    let codec = Codec::from_id(i16::from(attributes & 7)).unwrap();
    let value = compress(codec, &inner.concat()).unwrap();
    entry(offset, magic, attributes, timestamp, None, Some(&value))
}

fn read(entry: &Bytes) -> Result<Vec<LegacyRecord>, LegacyError> {
    LegacyRecords::new(entry, LIMIT_BYTES)?.collect()
}

fn offsets_and_times(entry: &Bytes) -> Vec<(i64, i64)> {
    read(entry).unwrap().iter().map(|record| (record.offset, record.timestamp)).collect()
}

#[test]
fn a_plain_message_is_one_record() {
    let records = read(&entry(9, 1, 0, 5, Some(b"k"), None)).unwrap();
    let key = Some(Bytes::from_static(b"k"));
    assert_eq!(records, [LegacyRecord { offset: 9, timestamp: 5, key, value: None }]);
    assert_eq!(read(&entry(9, 0, 0, 5, None, Some(b""))).unwrap()[0].timestamp, -1);
}

#[test]
fn inner_offsets_are_absolute_in_format_0_and_relative_in_format_1() {
    let inner = |magic, offset| entry(offset, magic, 0, 50 + offset, None, Some(b"v"));
    let absolute = wrapper(104, 0, 1, 0, &[inner(0, 100), inner(0, 104)]);
    assert_eq!(offsets_and_times(&absolute), [(100, -1), (104, -1)]);
    let relative = wrapper(104, 1, 1, 0, &[inner(1, 0), inner(1, 4)]);
    assert_eq!(offsets_and_times(&relative), [(100, 50), (104, 54)]);
    let unset = wrapper(0, 1, 1, 0, &[inner(1, 0), inner(1, 1)]);
    assert_eq!(offsets_and_times(&unset), [(0, 50), (1, 51)]);
}

#[test]
fn the_append_time_of_a_wrapper_holds_for_all_in_it() {
    let inner = [entry(0, 1, 0, 50, None, None), entry(1, 1, 0, 51, None, None)];
    assert_eq!(offsets_and_times(&wrapper(8, 1, 8 | 1, 99, &inner)), [(7, 99), (8, 99)]);
    // Format 0 has no such flag.
    let inner = [entry(8, 0, 0, 0, None, None)];
    assert_eq!(offsets_and_times(&wrapper(8, 0, 8 | 1, 99, &inner)), [(8, -1)]);
}

#[test]
fn a_changed_message_is_refused() {
    let good = entry(9, 1, 0, 5, Some(b"key"), Some(b"value"));
    for index in 8..good.len() {
        let mut changed = good.to_vec();
        changed[index] ^= 1;
        assert!(read(&changed.into()).is_err(), "byte {index}");
    }
    let mut changed = entry(0, 1, 0, 5, None, Some(b"value")).to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let outer = wrapper(1, 1, 1, 0, &[entry(0, 1, 0, 5, None, None), changed.into()]);
    assert!(matches!(read(&outer), Err(LegacyError::Inner { message: 1, .. })));
}

#[test]
fn a_cut_message_is_refused_at_any_length() {
    let good = entry(9, 0, 0, 5, Some(b"key"), Some(b"value"));
    for bytes in 0..good.len() {
        assert!(read(&good.slice(..bytes)).is_err(), "{bytes}");
    }
}

#[test]
fn malformed_entries_are_named() {
    let size = |mut set: Bytes| split_entry(&mut set);
    assert!(matches!(size(Bytes::from_static(&[0; 11])), Err(LegacyError::Truncated { position: 8 })));
    let mut negative = vec![0; 8];
    negative.put_i32(-1);
    assert!(matches!(size(negative.into()), Err(LegacyError::Size { position: 8, size: -1, .. })));

    let mut newer = entry(0, 1, 0, 0, None, None).to_vec();
    newer[MAGIC_OFFSET] = 2;
    assert!(matches!(read(&newer.into()), Err(LegacyError::Magic { position: 16, magic: 2 })));
    assert!(matches!(
        read(&entry(0, 0, 4, 0, None, Some(b"x"))),
        Err(LegacyError::UnknownCodec(UnknownCodec { id: 4 }))
    ));
    assert!(matches!(read(&entry(0, 0, 1, 0, None, None)), Err(LegacyError::WrapperWithoutValue)));
    assert!(matches!(read(&wrapper(0, 1, 1, 0, &[])), Err(LegacyError::EmptyWrapper)));
    let low = wrapper(3, 1, 1, 0, &[entry(4, 1, 0, 0, None, None)]);
    assert!(matches!(
        read(&low),
        Err(LegacyError::WrapperOffset { wrapper_offset: 3, last_inner_offset: 4 })
    ));
}

#[test]
fn wrappers_do_not_nest() {
    let nested = wrapper(0, 1, 1, 0, &[entry(0, 1, 0, 0, None, None)]);
    assert!(matches!(read(&wrapper(0, 1, 1, 0, &[nested])), Err(LegacyError::NestedWrapper { message: 0 })));
}

#[test]
fn a_wrapper_that_grows_too_large_is_refused() {
    let inner = entry(0, 1, 0, 0, None, Some(&[0; LIMIT_BYTES]));
    let limit_bytes = LIMIT_BYTES;
    let too_large = read(&wrapper(0, 1, 1, 0, &[inner]));
    assert!(
        matches!(too_large, Err(LegacyError::Codec(CodecError::TooLarge { limit_bytes: limit })) if limit == limit_bytes)
    );
}

#[test]
fn lz4_header_checksums_of_format_0_are_not_looked_at() {
    let mut value = compress(Codec::Lz4, &entry(5, 0, 0, 0, None, Some(b"v"))).unwrap();
    value[6] ^= 0xFF;
    assert_eq!(offsets_and_times(&entry(5, 0, 3, 0, None, Some(&value))), [(5, -1)]);
    assert!(matches!(
        read(&entry(5, 1, 3, 0, None, Some(&value))),
        Err(LegacyError::Codec(CodecError::Checksum { .. }))
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(data in vec(any::<u8>(), 0..200)) {
        crate::fuzzing::legacy(&data);
    }
}
