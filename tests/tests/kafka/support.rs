//! The support library end to end on real Kafka: clusters, Kafka's own clients and the oracle agree with each other.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use verbatim_tests::TestResult;
use verbatim_tests::java::{Mix, MixMode, Produced, Programs};
use verbatim_tests::kafka;
use verbatim_tests::oracle::{
    BatchBuilder, Client, Comparison, Difference, Isolation, LogReader, NewTopic, RawRecord, compare,
    read_log,
};
use verbatim_tests::scene::Scene;
use xtask::kafka::{Cluster, Options};

/// Kafka's own producer writes with each codec; the oracle and Kafka's own consumer find what it says it wrote.
#[test]
fn producer_oracle_and_consumer_agree_for_every_codec() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let (programs, bootstrap) = (&scene.programs, scene.source());
    let mut client = scene.at_source();
    for (number, codec) in (0i16..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let topic = &format!("agreed-{codec}");
        client.create_topic(&NewTopic::new(topic, 2))?;
        let mix = Mix { codec, partitions: 2, records: Some(2_000), data: "text", ..Mix::default() };
        let produced = programs.produce(&bootstrap, topic, &mix)?;
        assert_eq!(produced.acked.values().sum::<u64>(), 2_000);

        let mut read = BTreeMap::new();
        for partition in client.partitions(topic)? {
            let log = read_log(&bootstrap, topic, partition)?;
            assert!(log.iter().all(|batch| batch.crc_ok && batch.codec() == number), "{codec}");
            assert!(log.iter().all(|batch| batch.producer_id >= 0 && batch.base_sequence >= 0));
            read.insert(
                partition,
                log.iter().map(|batch| u64::from(batch.count.unsigned_abs())).sum::<u64>(),
            );
        }
        assert_eq!(read, produced.acked, "{codec}");

        let consumed = programs.consume(&bootstrap, topic, Isolation::Uncommitted)?;
        let counts: BTreeMap<i32, u64> =
            consumed.partitions.iter().map(|(partition, found)| (*partition, found.records)).collect();
        assert_eq!(counts, produced.acked, "{codec}");
        let report = compare(&bootstrap, &bootstrap, topic)?;
        assert!(report.is_equal() && report.records() == 2_000, "{report}");
    }
    Ok(())
}

/// Aborted transactions: the oracle and Kafka's own consumer leave out the same records.
#[test]
fn committed_records_are_the_same_for_all() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let (programs, bootstrap, topic) = (&scene.programs, scene.source(), "agreed-transactions");
    scene.create(&NewTopic::new(topic, 3))?;
    let mode = MixMode::Transactional { records: 50, abort_every: 3 };
    let mix = Mix { codec: "zstd", partitions: 3, records: Some(1_000), mode, ..Mix::default() };
    let produced = programs.produce(&bootstrap, topic, &mix)?;
    assert!(produced.committed.values().sum::<u64>() < produced.acked.values().sum());

    let consumed = programs.consume(&bootstrap, topic, Isolation::Committed)?;
    for (partition, committed) in &produced.committed {
        let mut visible = 0;
        for batch in LogReader::open(&bootstrap, topic, *partition, Isolation::Committed)? {
            let batch = batch?;
            if !batch.is_control() && !batch.aborted {
                visible += u64::from(batch.count.unsigned_abs());
            }
        }
        assert_eq!(visible, *committed);
        assert_eq!(consumed.partitions[partition].records, *committed);
    }
    Ok(())
}

/// Batches made by hand reach the log as they were made, and a copy with one byte less is found out.
#[test]
fn hand_made_batches_and_a_difference_on_two_clusters() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let (source, target) = (scene.source(), scene.target());
    let headers = vec![(b"same".to_vec(), Some(vec![1])), (b"same".to_vec(), None), (vec![0xff, 0xfe], None)];
    let record =
        RawRecord { timestamp: 1_000, value: Some(b"value".to_vec()), headers, ..RawRecord::default() };
    let odd = BatchBuilder::new().record(record.clone()).build();
    for bootstrap in [&source, &target] {
        let mut client = Client::new(bootstrap);
        client
            .create_topic(&NewTopic::new("agreed-odd", 1).config("message.timestamp.type", "CreateTime"))?;
        assert_eq!(client.produce("agreed-odd", 0, &odd)?, 0);
        let log = read_log(bootstrap, "agreed-odd", 0)?;
        assert_eq!(log[0].records()?, std::slice::from_ref(&record));
        assert!(log[0].crc_ok);
    }
    assert!(Comparison::new(&source, &target, "agreed-odd").same_offsets().run()?.is_equal());

    // A batch with a hole is refused, by an error with a code.
    let holed = BatchBuilder::new().record(record).last_offset_delta(4).build();
    let refusal = Client::new(&source).produce("agreed-odd", 0, &holed).unwrap_err();
    assert_eq!(refusal.code(), Some(87), "INVALID_RECORD: {refusal}");

    let more = |value: &[u8]| BatchBuilder::new().key_value(2_000, b"key", value).build();
    Client::new(&source).produce("agreed-odd", 0, &more(b"hello"))?;
    Client::new(&target).produce("agreed-odd", 0, &more(b"hellp"))?;
    let report = compare(&source, &target, "agreed-odd")?;
    let difference = report.partitions[0].difference.as_ref();
    assert!(
        matches!(difference, Some(Difference::Changed(_, _, fields)) if fields == &["payload"]),
        "{report}"
    );
    Ok(())
}

/// Three brokers: the cluster goes on when one is killed, comes back when it is restarted, and loses nothing.
#[test]
fn a_cluster_of_three_outlives_the_death_of_one() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let mut cluster = Cluster::start(&distribution, Options::new("three").brokers(3))?;
    let programs = Programs::compile(&distribution)?;
    let bootstrap = cluster.bootstrap();
    let mut client = Client::new(&bootstrap);
    let topic = NewTopic::new("orders", 3).replication_factor(3).config("min.insync.replicas", "2");
    client.create_topic(&topic)?;
    let mix = Mix { partitions: 3, records: None, rate: 500, ..Mix::default() };
    let load = programs.start_producing(&bootstrap, "orders", &mix)?;
    while Produced::parse_running(&load.lines()).values().sum::<u64>() < 100 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let victim = u32::try_from(client.leader("orders", 0)?)?;
    cluster.kill(victim)?;
    assert!(!cluster.is_running(victim));
    let before = Produced::parse_running(&load.lines()).values().sum::<u64>();
    while Produced::parse_running(&load.lines()).values().sum::<u64>() < before + 500 {
        std::thread::sleep(Duration::from_millis(20));
    }
    cluster.restart(victim)?;
    let produced = Produced::parse(&load.finish()?)?;
    for (partition, acked) in produced.acked {
        let log = read_log(&bootstrap, "orders", partition)?;
        assert_eq!(log.iter().map(|batch| u64::from(batch.count.unsigned_abs())).sum::<u64>(), acked);
    }
    Ok(())
}

/// The second listener asks for a password, the first does not.
#[test]
fn a_listener_with_sasl() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let options = Options::new("sasl")
        .secure("SASL_PLAINTEXT")
        .property("listener.name.client.sasl.enabled.mechanisms", "PLAIN")
        .property("listener.name.client.plain.sasl.jaas.config", format!("{module} user_alice=\"secret\";"));
    let cluster = Cluster::start(&distribution, options)?;
    Client::new(&cluster.bootstrap()).create_topic(&NewTopic::new("orders", 1))?;
    let programs = Programs::compile(&distribution)?;
    let settings = |password: &str| {
        let login = format!("{module} username=\"alice\" password=\"{password}\";");
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &login)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    };
    let mix = Mix { client: settings("secret"), ..Mix::default() };
    let produced = programs.produce(&cluster.secure_bootstrap(), "orders", &mix)?;
    assert_eq!(produced.acked[&0], 1000);
    let mix = Mix { client: settings("wrong"), ..Mix::default() };
    let refusal = programs.produce(&cluster.secure_bootstrap(), "orders", &mix).unwrap_err();
    assert!(refusal.to_string().contains("SaslAuthenticationException"), "{refusal}");
    Ok(())
}

/// A paused broker keeps its connections and says nothing; resumed, it answers.
#[test]
fn a_paused_broker_answers_once_resumed() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let mut cluster = Cluster::start(&distribution, Options::new("paused"))?;
    let mut client = Client::new(&cluster.bootstrap());
    client.create_topic(&NewTopic::new("orders", 1))?;
    cluster.pause(1)?;
    let (answer, answered) = sync_channel(1);
    let question = std::thread::spawn(move || answer.send(client.topics()));
    assert!(answered.recv_timeout(Duration::from_millis(300)).is_err());
    assert!(cluster.is_running(1));
    cluster.resume(1)?;
    assert_eq!(answered.recv()??, ["orders"]);
    assert!(question.join().is_ok());
    Ok(())
}
