use proptest::prelude::*;

use super::*;
use crate::records::varint::{write_varint, write_varlong};

/// A record as bytes, from parts that need not make sense.
fn record_bytes(offset_delta: i32, tail: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    write_varlong(&mut body, 5);
    write_varint(&mut body, offset_delta);
    body.extend_from_slice(tail);
    let mut record = Vec::new();
    write_varint(&mut record, i32::try_from(body.len()).unwrap());
    record.extend(body);
    record
}

/// Null key, null value, no headers.
const NOTHING: [u8; 3] = [1, 1, 0];

fn read(payload: impl Into<Bytes>, records_count: i32) -> Result<Vec<Record>, RecordError> {
    Records::new(payload.into(), records_count).collect()
}

fn read_one(tail: &[u8]) -> Result<Vec<Record>, RecordError> {
    read(record_bytes(0, tail), 1)
}

#[test]
fn fields_are_slices_of_the_payload() {
    let payload = Bytes::from(record_bytes(0, b"\x06key\x0avalue\x02\x02h\x02v"));
    let record = Records::new(payload.clone(), 1).next().unwrap().unwrap();
    assert_eq!(record.value.as_deref(), Some(b"value".as_slice()));
    assert_eq!(record.key.unwrap().as_ptr(), payload[5..].as_ptr());
    assert_eq!(record.value.unwrap().as_ptr(), payload[9..].as_ptr());
    assert_eq!(record.headers.section().as_ptr(), payload[14..].as_ptr());
}

#[test]
fn empty_and_null_are_different() {
    let record = read_one(&[0, 1, 0]).unwrap().remove(0);
    assert_eq!((record.key, record.value), (Some(Bytes::new()), None));
}

#[test]
fn the_count_has_to_be_exact() {
    let two = [record_bytes(0, &NOTHING), record_bytes(1, &NOTHING)].concat();
    assert_eq!(read(two.clone(), 2).unwrap().len(), 2);
    let (records_count, bytes) = (1, two.len() / 2);
    assert_eq!(
        read(two.clone(), 1),
        Err(RecordError::BytesAfterLastRecord { records_count, position: bytes, bytes })
    );
    let missing = RecordError::RecordsMissing { records_count: i32::MAX, found: 2, position: two.len() };
    assert_eq!(read(two.clone(), i32::MAX), Err(missing));
    assert_eq!(read(two, -1), Err(RecordError::NegativeCount { records_count: -1 }));
    assert_eq!(read(Bytes::new(), 0), Ok(vec![]));
}

#[test]
fn the_iterator_ends_after_an_error() {
    let mut records = Records::new(Bytes::from(record_bytes(0, &NOTHING)), 2);
    assert!(records.next().unwrap().is_ok());
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
}

#[test]
fn no_field_reaches_outside_its_record() {
    // The second record has bytes enough; the first must not take them.
    let two = [record_bytes(0, &[20, 1, 0]), record_bytes(1, &NOTHING)].concat();
    let error = RecordError::LengthTooLarge { record: 0, position: 4, length: 10, available: 2 };
    assert_eq!(read(two, 2), Err(error));

    let cut = Bytes::from(record_bytes(0, &NOTHING)).slice(..5);
    let error = RecordError::LengthTooLarge { record: 0, position: 0, length: 6, available: 4 };
    assert_eq!(read(cut, 1), Err(error));

    let headers = HeadersError::LengthTooLarge { position: 1, length: 9, available: 1 };
    assert_eq!(
        read_one(&[1, 1, 2, 18, 1]),
        Err(RecordError::Headers { record: 0, position: 7, error: headers })
    );
}

#[test]
fn malformed_fields_are_named_by_position() {
    let length = |position, length| Err(RecordError::NegativeLength { record: 0, position, length });
    assert_eq!(read_one(&[3, 1, 0]), length(4, -2));
    assert_eq!(read_one(&[1, 3, 0]), length(5, -2));
    let truncated = RecordError::Varint { record: 0, position: 5, error: VarintError::Truncated };
    assert_eq!(read_one(&[1]), Err(truncated));
    assert_eq!(
        read_one(&[1, 1, 0, 9]),
        Err(RecordError::BytesInRecordLeft { record: 0, position: 7, bytes: 1 })
    );
    let header = |position, error| Err(RecordError::Headers { record: 0, position, error });
    assert_eq!(read_one(&[1, 1, 1]), header(6, HeadersError::NegativeCount { count: -1 }));
    // A header without a name is refused by brokers too.
    assert_eq!(
        read_one(&[1, 1, 2, 1, 1]),
        header(7, HeadersError::NegativeLength { position: 1, length: -1 })
    );
    assert_eq!(read([1_u8].as_slice(), 1), length(0, -1));
}

#[test]
fn a_count_of_headers_that_lies_costs_nothing() {
    let mut tail = vec![1, 1];
    write_varint(&mut tail, i32::MAX);
    assert!(matches!(read_one(&tail), Err(RecordError::Headers { .. })));
}

#[test]
fn dense_prefixes_are_told_from_holes() {
    let payload = |deltas: &[i32]| deltas.iter().flat_map(|&d| record_bytes(d, &NOTHING)).collect::<Vec<_>>();
    assert_eq!(offset_deltas_are_dense_prefix(&payload(&[0, 1, 2]), 3), Ok(true));
    assert_eq!(offset_deltas_are_dense_prefix(&[], 0), Ok(true));
    for deltas in [[0, 2, 5], [1, 2, 3], [0, 0, 1], [0, 1, 1]] {
        assert_eq!(offset_deltas_are_dense_prefix(&payload(&deltas), 3), Ok(false), "{deltas:?}");
    }
    assert!(offset_deltas_are_dense_prefix(&payload(&[0, 1]), 3).is_err());
    assert!(offset_deltas_are_dense_prefix(&payload(&[0, 1]), 1).is_err());
}

#[test]
fn headers_keep_order_duplicates_and_any_bytes() {
    let pairs: [(&[u8], Option<&[u8]>); 4] =
        [(b"b", Some(b"1")), (b"a", None), (b"b", Some(b"")), (b"\xFF\xFE", Some(b"\x00"))];
    let headers = Headers::from_pairs(&pairs).unwrap();
    assert_eq!(headers.iter().collect::<Vec<_>>(), pairs);
    assert_eq!((headers.len(), headers.is_empty()), (4, false));
    assert_eq!(Headers::from_section(headers.section().clone()), Ok(headers));
}

#[test]
fn a_header_section_ends_where_its_bytes_end() {
    assert_eq!(
        Headers::from_section(Bytes::from_static(&[0, 7])),
        Err(HeadersError::BytesLeft { position: 1, bytes: 1 })
    );
    assert!(Headers::from_section(Bytes::new()).is_err());
    assert!(Headers::default().is_empty());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..200), count in -1i32..5) {
        let mut data = vec![count as u8];
        data.extend(payload);
        crate::fuzzing::record_decoder(&data);
    }
}
