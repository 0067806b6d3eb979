//! Where logs begin and end, and what groups have committed.

use verbatim_tests::oracle::{BatchBuilder, Error, Markers, RawRecord};

use super::Interview;
use super::markers::remembered;

pub(crate) fn ends_of_epochs(it: &mut Interview) -> Result<(), Error> {
    it.topic("epochs", 1, &[])?;
    let questions = [(0, 0), (-1, 0), (-1, -1), (0, -1), (1, 0), (1, 1), (0, 1), (-1, 5), (5, 5)];
    for when in ["empty", "with data", "with its beginning deleted", "with all of it deleted"] {
        for replica_id in [-1, -2] {
            for epochs in questions {
                let answer = it.client.try_epoch_end("epochs", 0, replica_id, epochs)?;
                it.note(format!("end of epoch, {when}: {epochs:?} as replica {replica_id}"), answer);
            }
        }
        match when {
            "empty" => {
                for _ in 0..4 {
                    let batch = it.batch(3).build();
                    it.client.produce("epochs", 0, &batch)?;
                }
            }
            "with data" => drop(it.client.try_delete_records("epochs", 0, 7)?),
            _ => drop(it.client.try_delete_records("epochs", 0, -1)?),
        }
    }
    // An open transaction holds back the last stable offset, not the log end.
    let producer = it.client.init_transactions("epochs")?;
    it.client.add_to_transaction("epochs", producer, "epochs", 0)?;
    let batch = it.batch(2).attributes(0x10).producer(producer.0, producer.1, 0).build();
    it.client.try_produce("epochs", 0, Some("epochs"), &batch)?;
    let answer = it.client.try_epoch_end("epochs", 0, -1, (0, 0))?;
    let bounds = it.client.offsets("epochs", 0)?.last_stable;
    it.note("end of epoch, a transaction is open", (answer, bounds));
    Ok(())
}

pub(crate) fn deleting_by_policy(it: &mut Interview) -> Result<(), Error> {
    let policies =
        [("only-compacted", "compact"), ("compacted-deleted", "compact,delete"), ("only-deleted", "delete")];
    for (name, policy) in policies {
        it.topic(name, 1, &[("cleanup.policy", policy)])?;
        let batch = it.batch(3).build();
        it.produce(&format!("keys on {policy}"), name, &batch)?;
        let record = RawRecord { timestamp: it.now, value: Some(vec![1]), ..RawRecord::default() };
        let batch = BatchBuilder::new().record(record).build();
        it.produce(&format!("no key on {policy}"), name, &batch)?;
        let tombstone = RawRecord { timestamp: it.now, key: Some(vec![1]), ..RawRecord::default() };
        let batch = BatchBuilder::new().record(tombstone).build();
        it.produce(&format!("no value on {policy}"), name, &batch)?;
        let marker = Markers { producer: (720, 0), coordinator_epoch: 0, commit: false, count: 2 };
        let code = it.client.try_write_markers(name, 0, marker)?;
        let bounds = it.client.offsets(name, 0)?;
        it.note(format!("markers on {policy}"), (code, bounds));
        for before in [2, 0, 9, -2, -1] {
            let outcome = it.client.try_delete_records(name, 0, before)?;
            it.note(format!("delete records before {before} on {policy}"), outcome);
        }
        let bounds = it.client.offsets(name, 0)?;
        it.note(format!("the log after that on {policy}"), bounds);
    }
    Ok(())
}

pub(crate) fn committed_offsets(it: &mut Interview) -> Result<(), Error> {
    it.topic("read", 2, &[])?;
    let long = "m".repeat(4097);
    let nobody = ("", -1);
    let cases = [
        ("the first", nobody, ("read", 0, 5), ""),
        ("forward, beyond the end of the log", nobody, ("read", 0, 999_999), "noted"),
        ("backward", nobody, ("read", 0, 3), ""),
        ("another partition", nobody, ("read", 1, 1), ""),
        ("offset -1", nobody, ("read", 0, -1), ""),
        ("offset -7", nobody, ("read", 0, -7), ""),
        ("a partition that does not exist", nobody, ("read", 7, 1), ""),
        ("a topic that does not exist", nobody, ("unread", 0, 1), ""),
        ("metadata of 4096 bytes", nobody, ("read", 1, 2), &long[1..]),
        ("metadata of 4097 bytes", nobody, ("read", 1, 3), &long[..]),
        ("an unknown member", ("somebody", 1), ("read", 1, 4), ""),
        ("a member without a generation", ("somebody", -1), ("read", 1, 5), ""),
    ];
    for (what, member, position, metadata) in cases {
        let code = it.client.try_commit("readers", member, position, metadata)?;
        let committed = [0, 1, 7].map(|partition| it.client.try_committed("readers", "read", partition));
        let committed = committed.into_iter().collect::<Result<Vec<_>, _>>()?;
        it.note(format!("a group commits: {what}"), (code, committed));
    }
    let code = it.client.try_commit("strangers", ("somebody", 1), ("read", 0, 4), "")?;
    it.note("a member of a group that does not exist", code);
    let code = it.client.try_commit("", nobody, ("read", 0, 4), "")?;
    it.note("a group without a name", code);
    Ok(())
}

/// Deleted and made again, a topic begins anew, leader epoch and all.
pub(crate) fn a_topic_again(it: &mut Interview) -> Result<(), Error> {
    it.topic("again", 1, &[])?;
    let batch = it.batch(3).producer(730, 0, 0).build();
    it.produce("before the topic is deleted", "again", &batch)?;
    let committed = it.client.try_commit("of-again", ("", -1), ("again", 0, 3), "")?;
    it.client.delete_topic("again")?;
    // A broker may still show the old topic for a moment.
    for _ in 0..200 {
        if !it.client.topics()?.iter().any(|name| name == "again") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    it.topic("again", 1, &[])?;
    remembered(it, "again", "a topic made again")?;
    let end = it.client.try_epoch_end("again", 0, -1, (0, 0))?;
    let bounds = it.client.offsets("again", 0)?;
    it.note("a topic made again", (committed, bounds, end));
    let batch = it.batch(1).producer(730, 0, 9).build();
    it.produce("the producer of the topic before", "again", &batch)?;
    let mut offset = it.client.try_committed("of-again", "again", 0)?;
    for _ in 0..200 {
        if offset.1 < 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        offset = it.client.try_committed("of-again", "again", 0)?;
    }
    it.note("what was committed for the topic before", offset);
    Ok(())
}
