//! The smaller requests to a cluster, asked by the product of the test broker and of real Kafka: both answer the same, so what is
//! tested on the one holds for the other.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use verbatim_testbroker::{Record, TestCluster, batch};
use verbatim_tests::oracle::{Acl, AclResource, Client, Operation};
use verbatim_tests::scenario::{now_ms, numbered};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::{Failure, TestResult, kafka};
use verbatim_wire::cluster::{
    AbortMarkers, BrokerError, Cluster, ClusterConfig, ClusterError, CommittedOffset, NewTopic, OffsetAt,
    PartitionMetadata,
};
use verbatim_wire::fetch::TopicIdentity;
use xtask::kafka::{Cluster as Kafka, Options};

/// What one cluster answered, question by question.
struct Answers {
    cluster: Cluster,
    bootstrap: String,
    said: Vec<(String, String)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn both_answer_the_product_the_same() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let fake = TestCluster::builder().cluster_id("fake").start_tcp().await?;
    let real =
        tokio::task::spawn_blocking(move || Kafka::start(&distribution, Options::new("admin"))).await??;
    let said = answers(&fake.bootstrap()).await?;
    let expected = answers(&real.bootstrap()).await?;
    let differences: Vec<_> =
        said.iter().zip(&expected).filter(|(said, expected)| said != expected).collect();
    assert!(differences.is_empty(), "test broker, then Kafka: {differences:#?}");
    assert_eq!(said.len(), expected.len());
    Ok(())
}

async fn answers(bootstrap: &str) -> TestResult<Vec<(String, String)>> {
    let cluster = Cluster::connect(ClusterConfig::new(bootstrap)?).await?;
    let mut answers = Answers { cluster, bootstrap: bootstrap.to_owned(), said: Vec::new() };
    answers.markers().await?;
    answers.log_bounds().await?;
    answers.last_batches().await?;
    answers.commits().await?;
    answers.configs_and_partitions().await?;
    answers.empty_transactions().await?;
    Ok(answers.said)
}

fn code(outcome: &Result<(), ClusterError>) -> Option<i16> {
    outcome.as_ref().err().map(|error| error.broker_error().map_or(i16::MIN, |code| code.0))
}

impl Answers {
    fn note(&mut self, question: &str, answer: impl Debug) {
        self.said.push((question.to_owned(), format!("{answer:?}")));
    }

    async fn topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> TestResult<TopicIdentity> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let configs = configs.iter().map(own).collect();
        self.cluster.create_topic(NewTopic { configs, ..NewTopic::new(name, partitions) }).await?;
        // The metadata name a leader before the broker knows that it is the one.
        for partition in 0..partitions {
            let mut attempts = 0;
            while self.log_end(name, partition).await?.1 != 0 {
                attempts += 1;
                if attempts > 500 {
                    return Err(format!("partition {partition} of topic {name} has no leader").into());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let topics: [Arc<str>; 1] = [name.into()];
        let metadata = self.cluster.metadata(Some(&topics)).await?;
        Ok(metadata.topic(name).ok_or("no topic")?.identity.clone())
    }

    async fn leader(&self, topic: &str, partition: i32) -> TestResult<PartitionMetadata> {
        let topics: [Arc<str>; 1] = [topic.into()];
        let metadata = self.cluster.metadata(Some(&topics)).await?;
        Ok(*metadata.partition(topic, partition).ok_or("no partition")?)
    }

    async fn log_end(&self, topic: &str, partition: i32) -> TestResult<(i64, i16)> {
        let known = self.leader(topic, partition).await?;
        let asked = [(topic.into(), partition, known.leader_epoch)];
        let end = self.cluster.log_ends(known.leader, &asked).await?.remove(0);
        Ok((end.offset, end.error.0))
    }

    async fn markers(&mut self) -> TestResult {
        let markers = self.topic("markers", 3, &[]).await?;
        let leader = self.leader("markers", 0).await?.leader;
        self.note("offered", {
            let mut offered = Vec::new();
            for api in [8, 10, 20, 21, 23, 24, 26, 27, 37, 44, 61, 999] {
                offered.push(self.cluster.supports(leader, api).await?);
            }
            offered
        });
        for (round, counts) in [[1, 0, 10], [10, 2, 988], [0, 1000, 0], [0, 0, 0]].into_iter().enumerate() {
            let asked: Vec<_> = (0..3).zip(counts).map(|(p, count)| entry(p, count, 0)).collect();
            let written = self.cluster.write_abort_markers(leader, &asked).await?;
            let mut ends = Vec::new();
            for partition in 0..3 {
                ends.push(self.log_end("markers", partition).await?);
            }
            self.note(&format!("markers, round {round}"), (written, ends));
        }
        let asked = [entry(0, 2, 7), entry(9, 1, 7), entry(2, 1, 7)];
        let written = self.cluster.write_abort_markers(leader, &asked).await?;
        self.note("markers to a partition that does not exist", written);
        let written = self.cluster.write_abort_markers(leader, &[entry(0, 2, 6), entry(1, 2, 6)]).await?;
        self.note("markers of an older coordinator", written);
        for sequence in [0, 2] {
            let data = numbered("data", 2).producer(77, 0, sequence).build();
            let appended = self.cluster.append(leader, &markers, 0, &data).await?;
            self.note("data among markers", appended);
            self.cluster.write_abort_markers(leader, &[entry(0, 1, 7)]).await?;
        }
        let asked = [("markers".into(), 0), ("markers".into(), 1)];
        let described = self.cluster.describe_producers(leader, &asked).await?.ok_or("not offered")?;
        let known: Vec<_> = described
            .iter()
            .flat_map(|it| &it.producers)
            .map(|it| {
                let epochs = (it.producer_epoch, it.coordinator_epoch);
                (it.producer_id, epochs, it.last_sequence, it.current_txn_start_offset)
            })
            .collect();
        self.note("producers", known);
        Ok(())
    }

    async fn log_bounds(&mut self) -> TestResult {
        let stamped = self.topic("stamped", 1, &[("message.timestamp.type", "LogAppendTime")]).await?;
        let known = self.leader("stamped", 0).await?;
        let before = now_ms();
        let appended = self.cluster.append(known.leader, &stamped, 0, &numbered("a", 3).build()).await?;
        let is_now = (before - 1000..before + 60_000).contains(&appended.log_append_time_ms);
        self.note("appended with append time", (appended.base_offset, is_now));
        for at in
            [OffsetAt::Earliest, OffsetAt::Latest, OffsetAt::Timestamp(5), OffsetAt::Timestamp(i64::MAX)]
        {
            let found = self.cluster.list_offsets(known.leader, &[("stamped".into(), 0)], at).await?;
            self.note(&format!("offset at {at:?}"), found);
        }
        let epoch = known.leader_epoch;
        self.note("the first leader epoch", epoch);
        for (current, wanted) in
            [(epoch, epoch), (-1, epoch), (epoch + 1, epoch), (epoch, epoch + 1), (-1, -1)]
        {
            let asked = [("stamped".into(), 0, current, wanted), ("stamped".into(), 4, -1, 0)];
            let found = self.cluster.end_offsets_for_epochs(known.leader, &asked).await?;
            self.note(&format!("end of epoch {wanted} for one who knows {current}"), found);
        }
        let found = self.cluster.log_ends(known.leader, &[("stamped".into(), 0, epoch + 3)]).await?;
        self.note("log end in an unknown epoch", found);
        let policies = [("kept", "compact"), ("both", "compact,delete"), ("dropped", "delete")];
        for (name, policy) in policies {
            let topic = self.topic(name, 1, &[("cleanup.policy", policy)]).await?;
            self.cluster.append(known.leader, &topic, 0, &numbered(name, 5).build()).await?;
        }
        for before in [3, 1, 6, -1] {
            let mut asked: Vec<_> = policies.iter().map(|(name, _)| ((*name).into(), 0, before)).collect();
            asked.push(("dropped".into(), 7, before));
            let mut found = self.cluster.delete_records(known.leader, &asked).await?;
            found.sort_by_key(|it| (it.topic.clone(), it.partition));
            self.note(&format!("delete records before {before}"), found);
        }
        Ok(())
    }

    async fn last_batches(&mut self) -> TestResult {
        let wide = self.topic("wide", 30, &[("max.message.bytes", "8000000")]).await?;
        let gone = self.topic("gone", 2, &[]).await?;
        let leader = self.leader("wide", 0).await?.leader;
        for partition in 0..30 {
            self.cluster.append(leader, &wide, partition, &numbered("first", 3).build()).await?;
            let value = vec![7; if partition % 7 == 3 { 3_000_000 } else { 300 }];
            let last = batch([Record::new("k", &value), Record::new("l", "v")]).timestamp_ms(now_ms());
            self.cluster.append(leader, &wide, partition, &last.build()).await?;
        }
        for _ in 0..2 {
            self.cluster.append(leader, &gone, 0, &numbered("gone", 2).build()).await?;
        }
        self.cluster.delete_records(leader, &[("gone".into(), 0, 4)]).await?;
        let mut asked: Vec<_> = (0..30).map(|partition| (wide.clone(), partition, 5)).collect();
        asked.extend([(gone.clone(), 0, 4), (gone.clone(), 1, 0), (wide.clone(), 77, 3)]);
        let ends = [(wide.clone(), 0, 3), (wide.clone(), 1, 1), (gone.clone(), 1, 1), (gone, 0, 9)];
        for asked in [&asked[..], &ends[..]] {
            let found = self.cluster.read_last_batches(leader, asked).await?;
            let found: Vec<_> = found
                .into_iter()
                .map(|it| {
                    let range = it.batch.map(|batch| {
                        batch.map(|batch| {
                            (batch.header.base_offset, batch.header.next_offset(), batch.bytes.len())
                        })
                    });
                    (it.topic, it.partition, range)
                })
                .collect();
            self.note("last batches", found);
        }
        Ok(())
    }

    async fn commits(&mut self) -> TestResult {
        self.topic("read", 2, &[]).await?;
        let long = "m".repeat(4097);
        for metadata in ["", "noted", &long] {
            let offsets = [("read", 0, 17), ("read", 1, 0), ("read", 5, 1), ("none", 0, 1)];
            let offsets = offsets.map(|(topic, partition, offset)| CommittedOffset {
                metadata: metadata.to_owned(),
                ..CommittedOffset::new(topic, partition, offset)
            });
            let mut outcome = self.cluster.commit_offsets("readers", &offsets).await?;
            outcome.sort_by_key(|(topic, partition, _)| (topic.clone(), *partition));
            self.note(&format!("a commit with {} bytes of metadata", metadata.len()), outcome);
        }
        let bootstrap = self.bootstrap.clone();
        let committed = tokio::task::spawn_blocking(move || {
            let mut client = Client::new(&bootstrap);
            [0, 1].map(|partition| client.try_committed("readers", "read", partition).ok())
        });
        self.note("what is committed", committed.await?);
        Ok(())
    }

    async fn configs_and_partitions(&mut self) -> TestResult {
        self.topic("settings", 1, &[("retention.ms", "1000")]).await?;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let changes = [
            ("settings", vec![pair("cleanup.policy", "compact")], vec!["retention.ms".to_owned()]),
            ("settings", vec![pair("cleanup.policy", "compact,delete"), pair("segment.ms", "5")], vec![]),
            ("settings", vec![], vec!["segment.ms".to_owned(), "max.message.bytes".to_owned()]),
            ("settings", vec![pair("cleanup.policy", "burn")], vec![]),
            ("settings", vec![pair("no.such", "1")], vec![]),
            ("nowhere", vec![pair("cleanup.policy", "compact")], vec![]),
        ];
        for (topic, set, delete) in changes {
            let outcome = code(&self.cluster.alter_topic_configs(topic, &set, &delete).await);
            // A broker hears of a change some time after it was accepted.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let configs = self.cluster.topic_configs(&["settings".into()]).await?.remove(0)?;
            let own: Vec<_> = configs.into_iter().filter(|(_, config)| config.is_topic_override()).collect();
            self.note(&format!("configs of {topic}: {set:?}, without {delete:?}"), (outcome, own));
        }
        for total in [3, 3, 2, 0] {
            let outcome = code(&self.cluster.create_partitions("settings", total, false).await);
            self.cluster.topics_are_there(&["settings".into()]).await?;
            self.note(&format!("{total} partitions"), outcome);
        }
        let nowhere = code(&self.cluster.create_partitions("nowhere", 3, false).await);
        self.note("partitions of a topic that does not exist", nowhere);
        let outcome = self.cluster.delete_topics(&["nowhere".into(), "settings".into()]).await?;
        self.note("topics are deleted", outcome.iter().map(code).collect::<Vec<_>>());
        let node = self.cluster.brokers().brokers()[0].node;
        let configs = self.cluster.broker_configs(node).await?;
        let of_interest = ["producer.id.expiration.ms", "transaction.max.timeout.ms", "fetch.max.bytes"];
        self.note("configs of a broker", of_interest.map(|name| configs.get(name).cloned()));
        Ok(())
    }

    async fn empty_transactions(&mut self) -> TestResult {
        self.topic("empty", 3, &[]).await?;
        let first = self.cluster.init_transactional_producer_id("tx", 60_000).await?;
        let partitions = [("empty".into(), 0), ("empty".into(), 2)];
        for round in 1..=3 {
            self.cluster.abort_empty_transaction("tx", first, &partitions).await?;
            let mut ends = [0; 3];
            // Markers are written after the answer.
            for _ in 0..200 {
                for partition in 0..3i32 {
                    ends[partition.unsigned_abs() as usize] = self.log_end("empty", partition).await?.0;
                }
                if ends == [round, 0, round] {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.note("an empty transaction", ends);
        }
        let next = self.cluster.init_transactional_producer_id("tx", 60_000).await?;
        self.note("the id again", (first.1, next.0 == first.0, next.1));
        let fenced = self.cluster.abort_empty_transaction("tx", first, &partitions).await;
        self.note("the one before is fenced", code(&fenced));
        let timeout = self.cluster.init_transactional_producer_id("tx", i32::MAX).await;
        self.note("too long a timeout", timeout.err().and_then(|error| error.broker_error()));
        Ok(())
    }
}

fn entry(partition: i32, count: u32, coordinator_epoch: i32) -> AbortMarkers {
    let topic = "markers".into();
    AbortMarkers { topic, partition, count, producer_id: 77, producer_epoch: 0, coordinator_epoch }
}

/// A broker's restart begins a new leader epoch: the log end is told to those who know it, the others are fenced.
#[test]
fn a_restart_fences_the_epoch_before() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let mut real = Kafka::start(&distribution, Options::new("epochs"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bootstrap = real.bootstrap();
    let open = || -> TestResult<Answers> {
        let cluster = runtime.block_on(Cluster::connect(ClusterConfig::new(&bootstrap)?))?;
        Ok(Answers { cluster, bootstrap: bootstrap.clone(), said: Vec::new() })
    };
    let answers = open()?;
    let topic = runtime.block_on(answers.topic("t", 1, &[]))?;
    let before = runtime.block_on(answers.leader("t", 0))?;
    runtime.block_on(answers.cluster.append(before.leader, &topic, 0, &numbered("a", 5).build()))?;
    let node = real.node_ids()[0];
    real.stop(node)?;
    real.restart(node)?;
    let answers = open()?;
    let mut after = before;
    wait_until("the partition has a leader in a new epoch", Duration::from_secs(60), || {
        after = runtime.block_on(answers.leader("t", 0))?;
        Ok::<_, Failure>(after.leader >= 0 && after.leader_epoch > before.leader_epoch)
    })?;
    runtime.block_on(answers.cluster.append(after.leader, &topic, 0, &numbered("b", 2).build()))?;
    let end = |epoch: i32| -> TestResult<(i64, i16)> {
        let asked = [("t".into(), 0, epoch)];
        let end = runtime.block_on(answers.cluster.log_ends(after.leader, &asked))?.remove(0);
        Ok((end.offset, end.error.0))
    };
    assert_eq!(end(before.leader_epoch)?, (-1, 74));
    assert_eq!(end(after.leader_epoch)?, (7, 0));
    assert_eq!(end(after.leader_epoch + 1)?, (-1, 75));
    let asked = [("t".into(), 0, after.leader_epoch, before.leader_epoch)];
    let old = runtime.block_on(answers.cluster.end_offsets_for_epochs(after.leader, &asked))?.remove(0);
    assert_eq!((old.leader_epoch, old.end_offset, old.error.0), (before.leader_epoch, 5, 0));
    Ok(())
}

/// What the follower does not have yet is above the high watermark, but below the log end.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_end_is_told_before_replication() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    // The follower stays in sync, however long it takes.
    let options = Options::new("lagging")
        .brokers(2)
        .property("broker.session.timeout.ms", "120000")
        .property("replica.lag.time.max.ms", "120000");
    let mut real = tokio::task::spawn_blocking(move || Kafka::start(&distribution, options)).await??;
    let cluster = Cluster::connect(ClusterConfig::new(&real.bootstrap())?).await?;
    let answers = Answers { cluster: cluster.clone(), bootstrap: real.bootstrap(), said: Vec::new() };
    cluster.create_topic(NewTopic { replication_factor: 2, ..NewTopic::new("t", 1) }).await?;
    let topics: [Arc<str>; 1] = ["t".into()];
    let topic = cluster.metadata(Some(&topics)).await?.topic("t").ok_or("no topic")?.identity.clone();
    let known = answers.leader("t", 0).await?;
    while answers.log_end("t", 0).await?.1 != 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Over a connection of its own: its answer will be long in coming.
    let writer = Cluster::connect(cluster.config().clone()).await?;
    writer.append(known.leader, &topic, 0, &numbered("a", 5).build()).await?;
    let follower = real.node_ids().into_iter().find(|node| i64::from(*node) != i64::from(known.leader));
    let follower = follower.ok_or("no follower")?;
    real.pause(follower)?;
    let append = tokio::spawn({
        let topic = topic.clone();
        async move { writer.append(known.leader, &topic, 0, &numbered("b", 2).build()).await }
    });
    let mut ends = (0, 0);
    for _ in 0..200 {
        let asked = [("t".into(), 0, known.leader_epoch)];
        ends.0 = cluster.log_ends(known.leader, &asked).await?.remove(0).offset;
        ends.1 =
            cluster.list_offsets(known.leader, &[("t".into(), 0)], OffsetAt::Latest).await?.remove(0).offset;
        if ends.0 == 7 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let last = cluster.read_last_batches(known.leader, &[(topic, 0, 7)]).await?.remove(0);
    real.resume(follower)?;
    assert_eq!(ends, (7, 5), "log end, high watermark");
    assert_eq!(last.batch.err(), Some(BrokerError::OFFSET_NOT_AVAILABLE));
    assert_eq!(append.await??.base_offset, 5);
    Ok(())
}

/// Markers take CLUSTER_ACTION or (Kafka 3.8 and later) ALTER on the cluster; without either they are refused by partition.
#[tokio::test(flavor = "multi_thread")]
async fn markers_take_a_right_on_the_cluster() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let both = vec![Operation::ClusterAction, Operation::Alter];
    for (denied, expected) in [(vec![Operation::ClusterAction], 0), (both, 31)] {
        let options = Options::new("rights")
            .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .property("allow.everyone.if.no.acl.found", "true");
        let distribution = distribution.clone();
        let real = tokio::task::spawn_blocking(move || Kafka::start(&distribution, options)).await??;
        let cluster = Cluster::connect(ClusterConfig::new(&real.bootstrap())?).await?;
        let answers = Answers { cluster, bootstrap: real.bootstrap(), said: Vec::new() };
        answers.topic("markers", 2, &[]).await?;
        let leader = answers.leader("markers", 0).await?.leader;
        // Brokers are nobody else here: the cluster would not live long without that right, but long enough.
        let mut client = Client::new(&answers.bootstrap);
        let rule = |operation, allow| Acl { resource: AclResource::Cluster, operation, allow };
        let mut acls = vec![rule(Operation::All, true)];
        acls.extend(denied.into_iter().map(|operation| rule(operation, false)));
        tokio::task::spawn_blocking(move || client.create_acls(&acls)).await??;
        let mut codes = Vec::new();
        // A broker hears of its rules some time after the answer.
        for _ in 0..100 {
            let asked = [entry(0, 2, 0), entry(1, 1, 0)];
            let written = answers.cluster.write_abort_markers(leader, &asked).await?;
            codes = written.iter().map(|it| it.error.0).collect();
            if codes != [0, 0] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(codes, [expected, expected]);
    }
    Ok(())
}
