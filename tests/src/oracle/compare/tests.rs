//! The oracle must notice.

use super::super::{BatchBuilder, RawRecord, parse_batches};
use super::*;

/// Ten batches of different content, as a source would hold them.
fn log() -> Vec<RawBatch> {
    let batch = |n: i64| {
        let value = vec![n as u8; 20];
        let bytes = BatchBuilder::new().key_value(1_000 + n, b"k", &value).base_offset(n).build();
        parse_batches(&bytes).unwrap().remove(0)
    };
    (0..10).map(batch).collect()
}

fn all(log: &[RawBatch]) -> impl Iterator<Item = Result<RawBatch, Error>> {
    log.iter().cloned().map(Ok)
}

fn verdict(source: &[RawBatch], target: &[RawBatch]) -> PartitionReport {
    compare_batches(0, all(source), all(target), false).unwrap()
}

fn name(log: &[RawBatch], at: usize) -> BatchName {
    (&log[at]).into()
}

#[test]
fn a_faithful_copy_is_equal_whatever_its_producer_and_its_offsets() {
    let source = log();
    let mut target = log();
    for batch in &mut target {
        batch.base_offset += 100;
        batch.producer_id = 9;
        batch.base_sequence = 4;
        batch.attributes |= 0x50;
        batch.leader_epoch = 3;
    }
    let report = verdict(&source, &target);
    assert_eq!(report.difference, None);
    assert_eq!((report.batches, report.records), (10, 10));
    assert_eq!(report.digest, verdict(&target, &source).digest);

    let strict = compare_batches(0, all(&source), all(&target), true).unwrap();
    assert_eq!(strict.difference, Some(Difference::Moved(name(&source, 0), name(&target, 0))));
}

#[test]
fn control_batches_aborted_and_empty_ones_do_not_count() {
    let mut source = log();
    source[2].attributes |= 0x20;
    source[4].aborted = true;
    source[6].count = 0;
    let target: Vec<RawBatch> = log().into_iter().filter(|b| ![2, 4, 6].contains(&b.base_offset)).collect();
    assert_eq!(verdict(&source, &target).difference, None);
}

#[test]
fn a_flipped_byte() {
    let source = log();
    for at in 0..source[5].payload.len() {
        let mut target = log();
        target[5].payload[at] ^= 1;
        let changed = Difference::Changed(name(&source, 5), name(&target, 5), vec!["payload"]);
        let report = verdict(&source, &target);
        assert_eq!(report.difference, Some(changed));
        assert_eq!(report.batches, 5);
    }
}

#[test]
fn a_changed_header_field() {
    let source = log();
    type Change = (&'static str, fn(&mut RawBatch));
    let changes: [Change; 4] = [
        ("attributes", |batch| batch.attributes ^= 0x01),
        ("count", |batch| batch.count += 1),
        ("base timestamp", |batch| batch.base_timestamp += 1),
        ("max timestamp", |batch| batch.max_timestamp += 1),
    ];
    for (field, change) in changes {
        let mut target = log();
        change(&mut target[5]);
        let changed = Difference::Changed(name(&source, 5), name(&target, 5), vec![field]);
        assert_eq!(verdict(&source, &target).difference, Some(changed));
    }
}

#[test]
fn a_missing_batch() {
    let source = log();
    for at in 0..source.len() {
        let mut target = log();
        target.remove(at);
        assert_eq!(verdict(&source, &target).difference, Some(Difference::Missing(name(&source, at))));
    }
}

#[test]
fn an_extra_batch() {
    let source = log();
    for at in 0..source.len() {
        let mut target = log();
        target.insert(at, target[at].clone());
        let found = verdict(&source, &target).difference;
        assert_eq!(found, Some(Difference::Extra(name(&source, at))), "a doubled batch");
    }
    let mut target = log();
    let mut stranger = target[0].clone();
    stranger.payload.push(1);
    target.push(stranger);
    assert_eq!(verdict(&source, &target).difference, Some(Difference::Extra(name(&target, 10))));
}

#[test]
fn a_reordered_batch() {
    let source = log();
    let mut target = log();
    target.swap(3, 7);
    let reordered = Difference::Reordered(name(&source, 3), name(&source, 7));
    assert_eq!(verdict(&source, &target).difference, Some(reordered));
}

#[test]
fn a_corrupt_batch_on_either_side() {
    let source = log();
    let mut target = log();
    target[1].crc_ok = false;
    assert_eq!(
        verdict(&source, &target).difference,
        Some(Difference::Corrupt(Side::Target, name(&source, 1)))
    );
    assert_eq!(
        verdict(&target, &source).difference,
        Some(Difference::Corrupt(Side::Source, name(&source, 1)))
    );
}

#[test]
fn records_swapped_inside_a_batch() {
    let record =
        |n: u8| RawRecord { value: Some(vec![n]), offset_delta: i32::from(n), ..RawRecord::default() };
    let batch = |first: u8, second: u8| {
        let bytes = BatchBuilder::new().record(record(first)).record(record(second)).build();
        parse_batches(&bytes).unwrap()
    };
    let found = verdict(&batch(0, 1), &batch(1, 0)).difference;
    assert!(matches!(found, Some(Difference::Changed(_, _, fields)) if fields == ["payload"]));
}
