use super::*;

const SOURCE_COMPACTED: Likeness = Likeness { same_offsets: false, compacted: Compacted::Source };
const BOTH_COMPACTED: Likeness = Likeness { same_offsets: false, compacted: Compacted::Both };

/// Record `number` of key `key`, at offset `number`.
fn record(number: u128, key: u64) -> SeenRecord {
    let offset = i64::try_from(number).unwrap();
    SeenRecord {
        offset,
        timestamp: 7,
        hash: number << 8,
        key: Some(key),
        value_bytes: None,
        number: Some(number),
    }
}

fn topic(numbers: &[u128]) -> SeenTopic {
    SeenTopic::from([(0, numbers.iter().map(|number| record(*number, (*number % 3) as u64)).collect())])
}

fn compare(source: &[u128], target: &[u128], likeness: Likeness) -> Found {
    compare_seen(&topic(source), &topic(target), likeness)
}

#[test]
fn equal_topics() {
    for likeness in [Likeness::RECORDS, Likeness::OFFSETS, SOURCE_COMPACTED, BOTH_COMPACTED] {
        let found = compare(&[0, 1, 2, 3], &[0, 1, 2, 3], likeness);
        assert!(found.is_equal() && found.records == 4, "{found}");
    }
}

#[test]
fn every_difference_is_named() {
    let exact = |source: &[u128], target: &[u128]| compare(source, target, Likeness::RECORDS);
    let found = exact(&[0, 1, 2, 3], &[0, 2, 3]);
    assert_eq!((found.lost, found.doubled, found.reordered, found.foreign), (1, 0, 0, 0), "{found}");
    let found = exact(&[0, 1, 2], &[0, 1, 1, 2]);
    assert_eq!((found.lost, found.doubled, found.reordered, found.foreign), (0, 1, 0, 0), "{found}");
    let found = exact(&[0, 1, 2], &[0, 2, 1]);
    assert_eq!((found.lost, found.doubled, found.reordered, found.foreign), (0, 0, 1, 0), "{found}");
    let found = exact(&[0, 1, 2], &[0, 1, 2, 9]);
    assert_eq!((found.lost, found.doubled, found.reordered, found.foreign), (0, 0, 0, 1), "{found}");
    assert!(!found.is_equal() && found.to_string().contains("number 9"), "{found}");
    let mut changed = topic(&[0, 1, 2]);
    changed.get_mut(&0).unwrap()[1].hash = 5;
    assert_eq!(compare_seen(&topic(&[0, 1, 2]), &changed, Likeness::RECORDS).changed, 1);
    let mut moved = topic(&[0, 1, 2]);
    moved.get_mut(&0).unwrap()[2].offset = 5;
    assert!(compare_seen(&topic(&[0, 1, 2]), &moved, Likeness::RECORDS).is_equal());
    assert_eq!(compare_seen(&topic(&[0, 1, 2]), &moved, Likeness::OFFSETS).moved, 1);
    let without = SeenTopic::new();
    assert_eq!(compare_seen(&topic(&[0, 1]), &without, Likeness::RECORDS).lost, 2);
    assert_eq!(compare_seen(&without, &topic(&[0, 1]), Likeness::RECORDS).foreign, 2);
}

#[test]
fn what_compaction_explains() {
    let source_only = |source: &[u128], target: &[u128]| compare(source, target, SOURCE_COMPACTED);
    // Record 0 was superseded by 3 on the source.
    assert!(source_only(&[1, 2, 3], &[0, 1, 2, 3]).is_equal());
    assert_eq!(source_only(&[1, 2, 3], &[0, 0, 1, 2, 3]).doubled, 1);
    assert_eq!(source_only(&[1, 2, 6], &[3, 0, 1, 2, 6]).reordered, 1);
    assert_eq!(source_only(&[1, 2, 3], &[1, 2, 3, 0]).stale_keys, 1);
    assert_eq!(source_only(&[1, 2, 3], &[1, 2]).lost, 1);
    // Nothing of key 1 is left on the source.
    assert_eq!(source_only(&[0, 2, 3], &[0, 1, 2, 3]).foreign, 1);

    let both = |source: &[u128], target: &[u128]| compare(source, target, BOTH_COMPACTED);
    assert!(both(&[0, 1, 2, 3], &[1, 2, 3]).is_equal());
    assert_eq!(both(&[0, 1, 2, 3], &[0, 1, 3]).lost, 1);
    assert_eq!(both(&[0, 1, 2, 3], &[0, 1, 2]).lost, 1);
}
