//! What compaction leaves, seen through a decoder that is not ours.

use bytes::Bytes;
use kafka_protocol::records::RecordBatchDecoder;
use verbatim_testbroker::{Record, TestCluster, batch};

use crate::client::headers;

fn compacted() -> TestCluster {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 1, &[("cleanup.policy", "compact")]).unwrap();
    cluster
}

/// (offset, key) of all records in the log.
fn survivors(cluster: &TestCluster) -> Vec<(i64, String)> {
    let log = cluster.log("t", 0).unwrap();
    let decoded =
        log.into_iter().flat_map(|mut bytes| RecordBatchDecoder::decode(&mut bytes).unwrap().records);
    let key = |key: Option<Bytes>| String::from_utf8(key.unwrap().to_vec()).unwrap();
    decoded.map(|record| (record.offset, key(record.key))).collect()
}

#[tokio::test]
async fn the_last_record_of_each_key_stays_at_its_offset() {
    let cluster = compacted();
    for (sequence, keys) in [(0, ["a", "b", "c"]), (3, ["a", "x", "c"]), (6, ["d", "e", "a"])] {
        let records = keys.map(|key| (key, "v"));
        cluster.append("t", 0, &batch(records).producer(7, 0, sequence).build()).unwrap();
    }
    let before: Vec<_> = cluster.log("t", 0).unwrap().iter().map(|it| headers(it)[0]).collect();
    cluster.compact("t", 0, None).unwrap();
    let expected = [(1, "b"), (4, "x"), (5, "c"), (6, "d"), (7, "e"), (8, "a")];
    assert_eq!(survivors(&cluster), expected.map(|(offset, key)| (offset, key.to_owned())));
    let log = cluster.log("t", 0).unwrap();
    let after: Vec<_> = log.iter().map(|it| headers(it)[0]).collect();
    assert_eq!(after.iter().map(|it| it.records_count).collect::<Vec<_>>(), [1, 2, 3]);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(
            (before.base_offset, before.last_offset_delta, before.producer_id, before.base_sequence),
            (after.base_offset, after.last_offset_delta, after.producer_id, after.base_sequence)
        );
    }
    // What compaction left can be stored elsewhere as it is, and is refused as a produced batch.
    cluster.create_topic("copy", 1, &[]).unwrap();
    cluster.begin_at("copy", 0, 0).unwrap();
    for batch in &log {
        cluster.append_raw("copy", 0, batch).unwrap();
    }
    assert_eq!(cluster.log("copy", 0).unwrap(), log);
    assert_eq!(cluster.log_end("copy", 0), cluster.log_end("t", 0));
}

#[tokio::test]
async fn an_emptied_batch_stays_only_with_the_last_sequence() {
    let cluster = compacted();
    cluster.append("t", 0, &batch([("a", "1")]).producer(7, 0, 0).build()).unwrap();
    cluster.append("t", 0, &batch([("a", "2")]).producer(7, 0, 1).build()).unwrap();
    cluster.append("t", 0, &batch([("a", "3")]).build()).unwrap();
    cluster.compact("t", 0, None).unwrap();
    let log = cluster.log("t", 0).unwrap();
    let left: Vec<_> =
        log.iter().map(|it| (headers(it)[0].base_offset, headers(it)[0].records_count, it.len())).collect();
    assert_eq!(left[0], (1, 0, 61));
    assert_eq!(left[1].1, 1);
    assert_eq!(left.len(), 2);
    assert_eq!(headers(&log[0])[0].base_timestamp, -1);
}

#[tokio::test]
async fn a_delete_horizon_moves_the_base_and_keeps_the_times() {
    let cluster = compacted();
    let records = [
        Record::new("a", "1"),
        Record::tombstone("b"),
        Record { timestamp_delta_ms: 9, ..Record::new("c", "1") },
    ];
    cluster.append("t", 0, &batch(records).build()).unwrap();
    let written = headers(&cluster.log("t", 0).unwrap()[0])[0];
    cluster.compact("t", 0, Some(written.base_timestamp + 86_400_000)).unwrap();
    let mut bytes = cluster.log("t", 0).unwrap().remove(0);
    let header = headers(&bytes)[0];
    assert!(header.attributes.has_delete_horizon());
    assert_eq!(header.base_timestamp, written.base_timestamp + 86_400_000);
    assert_eq!((header.records_count, header.max_timestamp), (3, written.max_timestamp));
    let times: Vec<i64> = RecordBatchDecoder::decode(&mut bytes)
        .unwrap()
        .records
        .iter()
        .map(|record| record.timestamp)
        .collect();
    assert_eq!(times, [0, 0, 9].map(|delta| written.base_timestamp + delta));
}

#[tokio::test]
async fn aborted_records_go_and_open_transactions_stop_the_cleaner() {
    let cluster = compacted();
    let one = |sequence| batch([("a", "v")]).producer(7, 0, sequence).transactional().build();
    cluster.append("t", 0, &batch([("a", "kept")]).build()).unwrap();
    cluster.append("t", 0, &one(0)).unwrap();
    cluster.abort("t", 0, (7, 0)).unwrap();
    cluster.append("t", 0, &one(1)).unwrap();
    cluster.compact("t", 0, None).unwrap();
    let offsets: Vec<i64> =
        cluster.log("t", 0).unwrap().iter().map(|it| headers(it)[0].base_offset).collect();
    assert_eq!(offsets, [0, 2, 3]);
    cluster.commit("t", 0, (7, 0)).unwrap();
    cluster.compact("t", 0, None).unwrap();
    let offsets: Vec<i64> =
        cluster.log("t", 0).unwrap().iter().map(|it| headers(it)[0].base_offset).collect();
    assert_eq!(offsets, [2, 3, 4]);
}
