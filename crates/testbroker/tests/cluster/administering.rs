//! Topics, partitions, configurations, offsets by time.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListOffsetsRequest,
    MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use verbatim_testbroker::{BatchBuilder, ErrorCode, Record, TestCluster, batch};

use crate::client::{Client, topic};

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn creatable(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

#[tokio::test]
async fn topics_are_created_described_grown_and_deleted() {
    let cluster = TestCluster::builder().brokers(3).cluster_id("A").start_memory();
    let mut client = Client::connect(&cluster, 2).await;
    let config = CreatableTopicConfig::default().with_name(string("cleanup.policy"));
    for version in 2..=7 {
        let name = format!("t{version}");
        let assigned = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(3), BrokerId(1)]);
        let request = CreateTopicsRequest::default().with_topics(vec![
            creatable(&name, 2, 3).with_configs(vec![config.clone().with_value(Some(string("compact")))]),
            creatable(&name, 1, 1),
            creatable("no/slash", 1, 1),
            creatable("too-many", 1, 4),
            creatable("none", 0, 1),
            creatable("wrong", 1, 1).with_configs(vec![config.clone().with_value(Some(string("burn")))]),
            creatable(&format!("assigned{version}"), -1, -1).with_assignments(vec![assigned]),
        ]);
        let response = client.call(version, &request).await;
        let codes: Vec<i16> = response.topics.iter().map(|it| it.error_code).collect();
        assert_eq!(codes, [0, 36, 17, 38, 37, 40, 0]);
        assert_eq!(response.topics[0].topic_id.is_nil(), version < 7);
        assert_eq!(cluster.leader(&format!("assigned{version}"), 0).unwrap().0, Some(3));
    }
    let grow = |count| {
        let topics = vec![
            CreatePartitionsTopic::default().with_name(topic("t7")).with_count(count).with_assignments(None),
        ];
        CreatePartitionsRequest::default().with_topics(topics)
    };
    for (version, count, code) in [(0, 3, 0), (1, 3, 37), (2, 4, 0), (3, 5, 0)] {
        assert_eq!(client.call(version, &grow(count)).await.results[0].error_code, code);
    }
    for version in 0..=13 {
        let wanted = |name: &str| MetadataRequestTopic::default().with_name(Some(topic(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted("t7"), wanted("nobody")]));
        let response = client.call(version, &request).await;
        assert_eq!(response.topics.iter().map(|it| it.error_code).collect::<Vec<_>>(), [0, 3]);
        assert_eq!((response.brokers.len(), response.topics[0].partitions.len()), (3, 5));
        assert_eq!(response.topics[0].partitions[0].replica_nodes.len(), 3);
        let all = MetadataRequest::default().with_topics((version > 0).then(Vec::new).or(Some(vec![])));
        let expected = if version == 0 { 12 } else { 0 };
        assert_eq!(client.call(version, &all).await.topics.len(), expected);
    }
    for version in 1..=5 {
        let names = vec![topic(&format!("t{}", version + 1)), topic("nobody")];
        let response = client.call(version, &DeleteTopicsRequest::default().with_topic_names(names)).await;
        assert_eq!(response.responses.iter().map(|it| it.error_code).collect::<Vec<_>>(), [0, 3]);
    }
    let id = client.call(12, &MetadataRequest::default().with_topics(None)).await.topics;
    let id = id.iter().find(|it| it.name == Some(topic("t7"))).unwrap().topic_id;
    let by_id = DeleteTopicState::default().with_name(None).with_topic_id(id);
    let request = DeleteTopicsRequest::default().with_topics(vec![by_id.clone(), by_id]);
    let response = client.call(6, &request).await;
    assert_eq!(response.responses.iter().map(|it| it.error_code).collect::<Vec<_>>(), [0, 100]);
    assert_eq!(response.responses[0].name, Some(topic("t7")));
    assert!(!cluster.topics().contains(&"t7".to_owned()));
}

#[tokio::test]
async fn the_cluster_describes_itself() {
    let cluster = TestCluster::builder().brokers(3).cluster_id("A").start_memory();
    cluster.crash(2).await;
    let mut client = Client::connect(&cluster, 1).await;
    for version in 0..=2 {
        let request = DescribeClusterRequest::default().with_include_fenced_brokers(version == 2);
        let response = client.call(version, &request).await;
        assert_eq!((response.cluster_id.as_str(), response.controller_id.0), ("A", 1));
        assert_eq!(response.brokers.len(), if version == 2 { 3 } else { 2 });
    }
}

#[tokio::test]
async fn configurations_take_effect() {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 1, &[]).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    let alter = |name: &str, operation, value: Option<&str>| {
        let config = AlterableConfig::default()
            .with_name(string(name))
            .with_config_operation(operation)
            .with_value(value.map(string));
        let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(string("t"));
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])])
    };
    let describe = DescribeConfigsRequest::default().with_resources(vec![
        DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(string("t"))
            .with_configuration_keys(Some(vec![string("max.message.bytes"), string("cleanup.policy")])),
        DescribeConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(string("1"))
            .with_configuration_keys(None),
        DescribeConfigsResource::default().with_resource_type(2).with_resource_name(string("nobody")),
        DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(string("t"))
            .with_configuration_keys(Some(Vec::new())),
    ]);
    let record = batch([("key", "value")]).build();
    assert_eq!(client.call(1, &alter("max.message.bytes", 0, Some("50"))).await.responses[0].error_code, 0);
    assert_eq!(client.produce("t", 0, record.clone()).await.error_code, 10);
    assert_eq!(client.call(0, &alter("cleanup.policy", 2, Some("compact"))).await.responses[0].error_code, 0);
    assert_eq!(
        client.call(1, &alter("max.message.bytes", 0, Some("many"))).await.responses[0].error_code,
        40
    );
    assert_eq!(client.call(1, &alter("no.such", 0, Some("1"))).await.responses[0].error_code, 40);
    for version in 1..=4 {
        let response = client.call(version, &describe).await;
        assert_eq!(response.results.iter().map(|it| it.error_code).collect::<Vec<_>>(), [0, 0, 3, 0]);
        assert!(response.results[3].configs.len() > 20, "an empty list asks for all");
        let values: Vec<_> = response.results[0]
            .configs
            .iter()
            .map(|it| (it.name.to_string(), it.value.as_ref().unwrap().to_string(), it.config_source))
            .collect();
        assert_eq!(
            values,
            [
                ("cleanup.policy".to_owned(), "delete,compact".to_owned(), 1),
                ("max.message.bytes".to_owned(), "50".to_owned(), 1)
            ]
        );
        assert!(response.results[1].configs.iter().any(|it| it.name.as_str() == "message.max.bytes"));
    }
    assert_eq!(client.call(1, &alter("max.message.bytes", 1, None)).await.responses[0].error_code, 0);
    assert_eq!(client.call(1, &alter("cleanup.policy", 3, Some("compact"))).await.responses[0].error_code, 0);
    assert_eq!(client.produce("t", 0, record).await.error_code, 0);
}

#[tokio::test]
async fn offsets_by_time() {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 1, &[]).unwrap();
    let start = BatchBuilder::DEFAULT_TIMESTAMP_MS;
    let at = |delta| Record { timestamp_delta_ms: delta, ..Record::new("k", "v") };
    cluster.append("t", 0, &batch([at(0), at(50), at(20)]).build()).unwrap();
    cluster.append("t", 0, &batch([at(30), at(10)]).build()).unwrap();
    let open = batch([at(40)]).producer(7, 0, 0).transactional().build();
    cluster.append("t", 0, &open).unwrap();
    cluster.delete_records("t", 0, 1).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    let ask = async |client: &mut Client, version, timestamp, isolation| {
        let partition =
            ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
        let topics = vec![ListOffsetsTopic::default().with_name(topic("t")).with_partitions(vec![partition])];
        let request = ListOffsetsRequest::default().with_isolation_level(isolation).with_topics(topics);
        let found = client.call(version, &request).await.topics.remove(0).partitions.remove(0);
        assert_eq!(found.error_code, 0);
        (found.offset, found.timestamp)
    };
    for version in 1..=10 {
        assert_eq!(ask(&mut client, version, -1, 0).await, (6, -1));
        assert_eq!(ask(&mut client, version, -2, 0).await, (1, -1));
        assert_eq!(ask(&mut client, version, start, 0).await, (1, start + 50));
        assert_eq!(ask(&mut client, version, start + 51, 0).await, (-1, -1));
    }
    assert_eq!(ask(&mut client, 5, -1, 1).await, (5, -1), "the last stable offset");
    assert_eq!(ask(&mut client, 7, -3, 0).await, (1, start + 50));
}

#[tokio::test]
async fn records_are_deleted_by_request() {
    let cluster = TestCluster::builder().start_memory();
    cluster.create_topic("t", 1, &[]).unwrap();
    cluster.append("t", 0, &batch((0..5).map(|_| ("k", "v"))).build()).unwrap();
    let mut client = Client::connect(&cluster, 1).await;
    for (version, offset, expected) in [(0, 3, (0, 3)), (1, 6, (1, -1)), (1, 2, (0, 3)), (2, -1, (0, 5))] {
        let partition = DeleteRecordsPartition::default().with_offset(offset);
        let topics =
            vec![DeleteRecordsTopic::default().with_name(topic("t")).with_partitions(vec![partition])];
        let response = client.call(version, &DeleteRecordsRequest::default().with_topics(topics)).await;
        let result = &response.topics[0].partitions[0];
        assert_eq!((result.error_code, result.low_watermark), expected);
    }
    assert_eq!(cluster.log("t", 0).unwrap().len(), 0);
    cluster.create_topic("compacted", 1, &[("cleanup.policy", "compact")]).unwrap();
    let partition = DeleteRecordsPartition::default().with_offset(0);
    let topics =
        vec![DeleteRecordsTopic::default().with_name(topic("compacted")).with_partitions(vec![partition])];
    let response = client.call(2, &DeleteRecordsRequest::default().with_topics(topics)).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 44);
    assert_eq!(cluster.append("t", 0, &batch([("k", "v")]).build()), Ok(5));
    assert_eq!(
        cluster.append("nobody", 0, &batch([("k", "v")]).build()),
        Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    );
}
