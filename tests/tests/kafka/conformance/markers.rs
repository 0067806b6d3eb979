//! Transaction markers that a client writes itself.

use verbatim_tests::oracle::{Error, Isolation, Markers, Wanted};

use super::Interview;
use Isolation::{Committed, Uncommitted};

/// What is remembered of the producers of the topic of markers. Markers carry the broker's own time: only whether it is about now
/// can be compared.
pub(crate) fn remembered(it: &mut Interview, topic: &str, when: &str) -> Result<(), Error> {
    let (code, producers) = it.client.producers(topic, 0)?;
    let known: Vec<_> = producers
        .iter()
        .map(|p| {
            let by_the_broker = (p.last_timestamp - it.now).abs() > 30 * 60_000;
            (p.id, p.epoch, p.last_sequence, by_the_broker, p.coordinator_epoch, p.transaction_start)
        })
        .collect();
    it.note(format!("{when}: producers"), (code, known));
    Ok(())
}

pub(crate) fn markers(it: &mut Interview) -> Result<(), Error> {
    it.topic("markers", 1, &[])?;
    let list = |id: i64, epoch: i16, coordinator_epoch: i32, count: usize| Markers {
        producer: (id, epoch),
        coordinator_epoch,
        commit: false,
        count,
    };
    let steps = [
        ("one", list(700, 0, -1, 1)),
        ("ten", list(700, 0, 0, 10)),
        ("a thousand", list(700, 0, 0, 1000)),
        ("coordinator epoch 5", list(701, 0, 5, 1)),
        ("coordinator epoch 4 after 5", list(701, 0, 4, 1)),
        ("coordinator epoch -1 after 5", list(701, 0, -1, 3)),
        ("coordinator epoch 5 again", list(701, 0, 5, 2)),
        ("coordinator epoch 6", list(701, 0, 6, 1)),
        ("coordinator epoch 5 after 6", list(701, 0, 5, 1)),
        ("another producer id is not fenced", list(702, 0, 1, 1)),
        ("a newer producer epoch", list(702, 3, 1, 1)),
        ("an older producer epoch", list(702, 2, 1, 1)),
        ("a newer producer epoch, an older coordinator", list(702, 4, 0, 1)),
        ("producer id 0", list(0, 0, 0, 1)),
    ];
    for (what, markers) in steps {
        let code = it.client.try_write_markers("markers", 0, markers)?;
        let end = it.client.offsets("markers", 0)?;
        it.note(format!("markers, {what}"), (code, end));
        remembered(it, "markers", &format!("markers, {what}"))?;
    }
    let commit = Markers { commit: true, ..list(703, 0, 0, 2) };
    let code = it.client.try_write_lists("markers", 0, &[commit, list(704, 0, 0, 2), list(701, 0, 0, 9)])?;
    let end = it.client.offsets("markers", 0)?;
    it.note("three producer ids, the last one fenced", (code, end));
    let code = it.client.try_write_lists("markers", 0, &[list(705, 0, 9, 1), list(705, 0, 3, 1)])?;
    let end = it.client.offsets("markers", 0)?;
    it.note("one accepted, one fenced, of one producer id", (code, end));
    let code = it.client.try_write_lists(
        "markers",
        0,
        &[list(706, 0, 3, 1), list(706, 0, 2, 1), list(706, 0, 3, 1)],
    )?;
    let end = it.client.offsets("markers", 0)?;
    it.note("accepted, fenced, accepted, of one producer id", (code, end));
    remembered(it, "markers", "markers, all of them")?;
    let log = it.client.fetch("markers", 0, end.end - 3, Uncommitted, 1 << 20)?;
    let kept: Vec<_> = log
        .batches
        .iter()
        .map(|batch| {
            let what = (batch.count, batch.attributes, batch.is_abort_marker(), batch.crc_ok);
            (batch.base_offset, batch.producer_id, batch.producer_epoch, batch.base_sequence, what)
        })
        .collect();
    it.note("markers in the log", kept);
    data_among_markers(it)?;
    markers_of_a_transaction(it)
}

/// Data of one producer id with markers of the same id in between.
fn data_among_markers(it: &mut Interview) -> Result<(), Error> {
    it.topic("both", 1, &[])?;
    let list = |epoch: i16, count: usize| Markers {
        producer: (710, epoch),
        coordinator_epoch: 0,
        commit: false,
        count,
    };
    let day_ago = it.now - 86_400_000;
    let data = |it: &Interview, epoch: i16, sequence: i32| {
        it.batch(2).producer(710, epoch, sequence).timestamps(day_ago, day_ago).build()
    };
    for (what, epoch, sequence) in [
        ("the first", 0, 7),
        ("the next", 0, 9),
        ("the last once more", 0, 9),
        ("the first once more", 0, 7),
        ("a gap", 0, 13),
        ("the next after all that", 0, 11),
        ("a newer epoch", 2, 0),
        ("the older epoch", 0, 13),
        ("the newer epoch goes on", 2, 2),
    ] {
        let batch = data(it, epoch, sequence);
        it.produce(&format!("among markers: {what}"), "both", &batch)?;
        let code = it.client.try_write_markers("both", 0, list(epoch, 2))?;
        let bounds = it.client.offsets("both", 0)?;
        it.note(format!("markers after {what}"), (code, bounds));
        remembered(it, "both", &format!("among markers: {what}"))?;
    }
    // Markers alone take an id to a newer epoch, which then begins with sequence number 0.
    let code = it.client.try_write_markers("both", 0, list(5, 1))?;
    it.note("markers of a newer epoch", code);
    for (what, epoch, sequence) in [("goes on", 2, 4), ("not from 0", 5, 4), ("from 0", 5, 0)] {
        let batch = data(it, epoch, sequence);
        it.produce(&format!("after a marker of a newer epoch: {what}"), "both", &batch)?;
    }
    remembered(it, "both", "after a marker of a newer epoch")
}

/// A marker of a client ends a transaction as one of the coordinator does.
fn markers_of_a_transaction(it: &mut Interview) -> Result<(), Error> {
    it.topic("ended", 1, &[])?;
    let producer = it.client.init_transactions("ended")?;
    it.client.add_to_transaction("ended", producer, "ended", 0)?;
    let batch = it.batch(2).attributes(0x10).producer(producer.0, producer.1, 0).build();
    let answer = it.client.try_produce("ended", 0, Some("ended"), &batch)?;
    let bounds = it.client.offsets("ended", 0)?;
    it.note("inside a transaction", (answer.code, answer.base_offset, bounds));
    let marker = Markers { producer, coordinator_epoch: 0, commit: false, count: 1 };
    let code = it.client.try_write_markers("ended", 0, marker)?;
    let wanted =
        Wanted { topic: "ended".to_owned(), partition: 0, offset: 0, max_bytes: 1 << 20, leader_epoch: -1 };
    let (_, _, slices) = it.client.try_fetch(&[wanted], 1 << 20, Committed, (0, -1))?;
    let aborted: Vec<_> = slices[0].aborted.iter().map(|(id, first)| (*id == producer.0, *first)).collect();
    let bounds = it.client.offsets("ended", 0)?;
    it.note("aborted by a client", (code, bounds, aborted));
    Ok(())
}
