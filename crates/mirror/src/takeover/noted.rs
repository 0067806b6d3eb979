//! What MirrorMaker 2 noted: positions in the offsets topic of Kafka Connect, and offset syncs.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use verbatim_wire::cluster::{Cluster, ClusterError, PartitionLog, PlainRecord, plain_records};
use verbatim_wire::records::{ControlKind, ControlRecord};

/// Source offsets by topic and partition.
pub(super) type Offsets = BTreeMap<(String, i32), i64>;

/// The connector that copies records.
const CONNECTOR: &str = "MirrorSourceConnector";

/// The last record copied of each partition, as noted in `topic` of `target` for cluster `source`.
pub(super) async fn positions(
    target: &Cluster,
    topic: &str,
    partitions: usize,
    source: &str,
) -> Result<Offsets, ClusterError> {
    let mut offsets = Offsets::new();
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        let log = PartitionLog::new(target.clone(), topic, partition);
        for record in committed(&log).await? {
            let Some(place) = record.key.as_deref().and_then(|key| position_key(key, source)) else {
                continue;
            };
            match record.value.as_deref().and_then(position_value) {
                Some(offset) => drop(offsets.insert(place, offset)),
                None => drop(offsets.remove(&place)),
            }
        }
    }
    Ok(offsets)
}

/// The last record of each partition that an offset sync in `topic` of `cluster` names.
pub(super) async fn syncs(cluster: &Cluster, topic: &str) -> Result<Offsets, ClusterError> {
    let log = PartitionLog::first(cluster.clone(), topic);
    let records = committed(&log).await?.into_iter();
    Ok(records.filter_map(|record| sync(record.key.as_deref()?, record.value.as_deref()?)).collect())
}

/// All records, without those of transactions that were not committed.
async fn committed(log: &PartitionLog) -> Result<Vec<PlainRecord>, ClusterError> {
    let (start, _) = log.bounds().await?;
    let mut records = Vec::new();
    let mut open: HashMap<i64, Vec<PlainRecord>> = HashMap::new();
    for batch in log.read(start).await? {
        let header = &batch.header;
        if header.attributes.is_control() {
            let decided = open.remove(&header.producer_id).unwrap_or_default();
            if let Ok(Some(ControlKind::Commit)) = ControlRecord::kind_of(&batch) {
                records.extend(decided);
            }
            continue;
        }
        // What cannot be read is no note.
        let read = plain_records(&batch).unwrap_or_default();
        if header.attributes.is_transactional() {
            open.entry(header.producer_id).or_default().extend(read);
        } else {
            records.extend(read);
        }
    }
    Ok(records)
}

/// `["MirrorSourceConnector",{"cluster":C,"partition":P,"topic":T}]`, its members in any order.
fn position_key(key: &[u8], source: &str) -> Option<(String, i32)> {
    let key: Value = serde_json::from_slice(key).ok()?;
    let (connector, place) = (key.get(0)?.as_str()?, key.get(1)?);
    let is_ours = connector == CONNECTOR && place.get("cluster")?.as_str()? == source;
    let partition = i32::try_from(place.get("partition")?.as_i64()?).ok()?;
    is_ours.then_some((place.get("topic")?.as_str()?.to_owned(), partition))
}

/// `{"offset":O}`.
fn position_value(value: &[u8]) -> Option<i64> {
    serde_json::from_slice::<Value>(value).ok()?.get("offset")?.as_i64()
}

/// Key and value of an offset sync: topic and partition, offset on the source.
fn sync(key: &[u8], value: &[u8]) -> Option<((String, i32), i64)> {
    let (length, rest) = key.split_first_chunk::<2>()?;
    let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
    let (topic, rest) = rest.split_at_checked(length)?;
    let (partition, _) = rest.split_first_chunk::<4>()?;
    let (upstream, _) = value.split_first_chunk::<8>()?;
    let topic = std::str::from_utf8(topic).ok()?.to_owned();
    Some(((topic, i32::from_be_bytes(*partition)), i64::from_be_bytes(*upstream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_whatever_the_order_of_members() {
        for (key, expected) in [
            (r#"["MirrorSourceConnector",{"cluster":"A","partition":3,"topic":"orders"}]"#, Some(3)),
            (r#"["MirrorSourceConnector", {"topic": "orders", "partition": 4, "cluster": "A"}]"#, Some(4)),
            (r#"["MirrorSourceConnector",{"cluster":"B","partition":3,"topic":"orders"}]"#, None),
            (r#"["MirrorHeartbeatConnector",{"sourceClusterAlias":"A","targetClusterAlias":"B"}]"#, None),
            (r#"["MirrorCheckpointConnector",{"partition":3,"topic":"A.orders","group":"billing"}]"#, None),
            ("no JSON", None),
        ] {
            let expected = expected.map(|partition| ("orders".to_owned(), partition));
            assert_eq!(position_key(key.as_bytes(), "A"), expected, "{key}");
        }
        assert_eq!(position_value(br#"{"offset":1041}"#), Some(1041));
        assert_eq!(position_value(b"null"), None);
    }

    #[test]
    fn offset_syncs_are_read() {
        let key = b"\x00\x06orders\x00\x00\x00\x03";
        let value = b"\x00\x00\x00\x00\x00\x00\x03\xe8\x00\x00\x00\x00\x00\x00\x03\x84";
        assert_eq!(sync(key, value), Some((("orders".to_owned(), 3), 1000)));
        assert_eq!((sync(b"\x00\x09orders", value), sync(key, b"\x00")), (None, None));
    }
}
