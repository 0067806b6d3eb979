use super::*;

fn entry(offset: i64, magic: i8, size: usize) -> Vec<u8> {
    let mut bytes = vec![0xAB; size];
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes[8..12].copy_from_slice(&i32::try_from(size - LOG_OVERHEAD_BYTES).unwrap().to_be_bytes());
    bytes[MAGIC_OFFSET] = magic.to_be_bytes()[0];
    bytes
}

#[test]
fn mixed_formats_and_a_cut_tail() {
    let mut log = entry(7, 1, 40);
    log.extend(entry(8, 2, 100));
    log.extend(entry(20, 2, 61));
    log.extend(&entry(21, 2, 200)[..90]);
    let frame = Bytes::from(log);
    let steps: Vec<_> = Walker::new(frame.clone()).collect();
    assert!(matches!(&steps[0], Entry::Legacy { magic: 1, offset: 7, bytes } if bytes.len() == 40));
    let Entry::Batch(batch) = &steps[1] else { panic!("{steps:?}") };
    assert_eq!((batch.header.base_offset, batch.bytes.len()), (8, 100));
    assert_eq!(batch.bytes.as_ptr(), frame[40..].as_ptr(), "a slice, not a copy");
    assert_eq!(batch.payload().len(), 39);
    assert!(matches!(&steps[2], Entry::Batch(b) if b.payload().is_empty()));
    assert!(matches!(steps[3], Entry::Partial { have: 90, need: Some(200) }));
    assert_eq!(steps.len(), 4);
}

#[test]
fn every_cut_of_one_batch_is_partial() {
    let whole = Bytes::from(entry(1, 2, 80));
    for have in 1..80 {
        let steps: Vec<_> = Walker::new(whole.slice(..have)).collect();
        let need = (have > MAGIC_OFFSET).then_some(80);
        assert!(
            matches!(steps[..], [Entry::Partial { have: h, need: n }] if h == have && n == need),
            "{have}"
        );
    }
}

#[test]
fn impossible_entries_end_the_walk_with_their_place() {
    for (length, magic) in [(-1, 2), (13, 0), (40, 2), (60, 3), (60, -1)] {
        let mut log = entry(1, 2, 70);
        let mut bad = entry(5, magic, 72);
        bad[8..12].copy_from_slice(&i32::to_be_bytes(length));
        log.extend(bad);
        let steps: Vec<_> = Walker::new(bytes::Bytes::from(log)).collect();
        assert!(
            matches!(steps[1], Entry::Malformed { position: 70, offset: 5, length: l, magic: m } if l == length && m == magic),
            "{length} {magic}: {steps:?}"
        );
        assert_eq!(steps.len(), 2);
    }
}
