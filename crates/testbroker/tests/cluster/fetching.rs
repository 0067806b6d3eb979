//! What a fetch returns, where it is cut, and how long it waits.

use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use tokio::time::Instant;
use verbatim_testbroker::{ErrorCode, TestCluster, batch};

use crate::client::{Client, fetch_request, headers, partitions, topic};

const BATCH_BYTES: usize = 92;

/// One broker, one topic of three partitions with four batches of 10 records each.
fn filled() -> TestCluster {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 3, &[]).unwrap();
    for partition in 0..3 {
        for _ in 0..4 {
            let records = (0..3).map(|_| ("k", "v"));
            assert_eq!(batch(records.clone()).build().len(), BATCH_BYTES - 4);
            cluster.append("t", partition, &batch(records).build()).unwrap();
        }
    }
    cluster
}

#[tokio::test]
async fn every_fetch_version_reads() {
    let cluster = filled();
    let mut client = Client::connect(&cluster, 1).await;
    for version in 4..=12 {
        let response = client.call(version, &fetch_request("t", &[(0, 4), (1, 12), (2, 13)])).await;
        let [first, end, beyond] = partitions(&response)[..] else { panic!("three partitions") };
        let read = headers(first.records.as_ref().unwrap());
        assert_eq!(read.iter().map(|header| header.base_offset).collect::<Vec<_>>(), [3, 6, 9]);
        assert_eq!((end.error_code, end.high_watermark, end.records.as_ref().unwrap().len()), (0, 12, 0));
        assert_eq!(ErrorCode(beyond.error_code), ErrorCode::OFFSET_OUT_OF_RANGE);
    }
}
