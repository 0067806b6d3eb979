use super::*;
use bytes::{Bytes, BytesMut};
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions};
use verbatim_wire::records::record::Headers;
use verbatim_wire::records::{Attributes, HEADER_BYTES};

/// A batch of `count` records, its header changed by `change`.
fn batch(base_offset: i64, count: i32, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..count.max(1) {
        builder.push(1000, None, Some(b"value"), &Headers::none()).unwrap();
    }
    with_header(&builder.finish().unwrap(), |header| {
        header.base_offset = base_offset;
        change(header);
    })
}

fn with_header(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    let mut changed = BytesMut::from(&header.to_bytes()[..]);
    changed.extend_from_slice(&batch[HEADER_BYTES..]);
    changed.freeze()
}

fn transactional(base_offset: i64, producer_id: i64) -> Bytes {
    batch(base_offset, 1, |header| {
        header.producer_id = producer_id;
        header.attributes = Attributes(Attributes::TRANSACTIONAL);
    })
}

fn marker(base_offset: i64, producer_id: i64, kind: u8) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(1000, Some(&[0, 0, 0, kind]), Some(&[0; 6]), &Headers::none()).unwrap();
    with_header(&builder.finish().unwrap(), |header| {
        header.base_offset = base_offset;
        header.producer_id = producer_id;
        header.attributes = Attributes(Attributes::TRANSACTIONAL | Attributes::CONTROL);
    })
}

const ABORT: u8 = 0;
const COMMIT: u8 = 1;

fn verdicts(from_offset: i64, log: &[Bytes], aborted: &[(i64, i64)]) -> (Vec<(i64, Verdict)>, i64) {
    verdicts_as(Isolation::ReadCommitted, from_offset, log, aborted)
}

fn verdicts_as(
    isolation: Isolation,
    from_offset: i64,
    log: &[Bytes],
    aborted: &[(i64, i64)],
) -> (Vec<(i64, Verdict)>, i64) {
    let aborted_transactions = aborted
        .iter()
        .map(|(producer_id, first_offset)| AbortedTransaction {
            producer_id: *producer_id,
            first_offset: *first_offset,
        })
        .collect();
    let slice = FetchedSlice { from_offset, records: Bytes::from(log.concat()).into(), aborted_transactions };
    let mut seen = Vec::new();
    let next = inspect(slice, isolation, |inspected| {
        seen.push((inspected.batch.header.base_offset, inspected.verdict));
        true
    });
    (seen, next)
}

#[test]
fn every_kind_of_batch_has_its_verdict() {
    let log = [
        batch(10, 3, |_| {}),
        batch(13, 2, |header| header.last_offset_delta = 4),
        batch(18, 1, |header| (header.records_count, header.last_offset_delta) = (0, 1)),
        marker(20, 7, COMMIT),
        batch(21, 1, |header| header.records_count = 5),
    ];
    let (seen, next) = verdicts(10, &log, &[]);
    assert_eq!(
        seen,
        [
            (10, Verdict::Forward),
            (13, Verdict::Repack(RepackReason::Holes)),
            (18, Verdict::DropEmpty),
            (20, Verdict::DropControl),
            (21, Verdict::Corrupt("it claims more records than offsets")),
        ]
    );
    assert_eq!(next, 22);
}

#[test]
fn a_log_start_or_position_inside_a_batch_splits_it() {
    let log = [batch(0, 5, |_| {}), batch(5, 5, |_| {}), batch(10, 5, |_| {})];
    let (seen, next) = verdicts(7, &log, &[]);
    let expected =
        [(0, Verdict::BeforeStart), (5, Verdict::Repack(RepackReason::StartsBefore)), (10, Verdict::Forward)];
    assert_eq!((&seen[..], next), (&expected[..], 15));
}

#[test]
fn a_cut_tail_is_left_to_the_next_fetch() {
    let whole = batch(5, 5, |_| {});
    for cut in 0..whole.len() {
        let (seen, next) = verdicts(0, &[batch(0, 5, |_| {}), whole.slice(..cut)], &[]);
        assert_eq!((seen.len(), next), (1, 5), "cut at {cut}");
    }
}

#[test]
fn aborted_transactions_are_dropped_from_their_first_offset_to_their_marker() {
    let log = [
        transactional(0, 7),
        transactional(1, 8),
        batch(2, 1, |header| header.producer_id = 7), // the same producer, outside of any transaction
        transactional(3, 7),
        marker(4, 7, ABORT),
        transactional(5, 7),
        marker(6, 7, COMMIT),
        marker(7, 8, COMMIT),
        transactional(8, 7),
    ];
    let (seen, _) = verdicts(0, &log, &[(7, 8), (7, 0)]);
    let dropped: Vec<i64> =
        seen.iter().filter(|(_, v)| *v == Verdict::DropAborted).map(|(offset, _)| *offset).collect();
    assert_eq!(dropped, [0, 3, 8]);
    let forwarded: Vec<i64> =
        seen.iter().filter(|(_, v)| *v == Verdict::Forward).map(|(offset, _)| *offset).collect();
    assert_eq!(forwarded, [1, 2, 5]);

    let (seen, _) = verdicts_as(Isolation::ReadUncommitted, 0, &log, &[(7, 8), (7, 0)]);
    assert_eq!(seen.iter().filter(|(_, v)| *v == Verdict::Forward).count(), 6);
}

#[test]
fn an_abort_that_began_before_the_answer_still_counts() {
    let (seen, _) =
        verdicts(50, &[transactional(50, 7), marker(51, 7, ABORT), transactional(52, 7)], &[(7, 3)]);
    assert_eq!(seen[0].1, Verdict::DropAborted);
    assert_eq!(seen[2].1, Verdict::Forward);
}

#[test]
fn what_is_no_batch_ends_the_walk_at_its_offset() {
    let broken = with_header(&batch(3, 1, |_| {}), |header| header.batch_length = 5);
    let (seen, next) = verdicts(0, &[batch(0, 3, |_| {}), broken], &[]);
    assert!(matches!(seen[..], [(0, Verdict::Forward), (3, Verdict::Corrupt(_))]), "{seen:?}");
    assert_eq!(next, 3);
}
