//! What arrives is what was there: copies on real Kafka, judged by the oracle and by Kafka's own consumers.
//!
//! The clusters are shared, each test has topics and a flow of its own; where all codecs are copied the target has three brokers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use verbatim_tests::gaps::Gap;
use verbatim_tests::java::{Mix, MixMode, Programs};
use verbatim_tests::oracle::{
    BatchBuilder, Client, Comparison, Isolation, LogReader, NewTopic, RawBatch, RawRecord, compare_batches,
    read_log,
};
use verbatim_tests::scene::{self, Scene, consumers_agree, start};
use verbatim_tests::verbatim::Ended;
use verbatim_tests::waiting::wait_until;
use verbatim_tests::workload::{is_clean, now_ms};
use verbatim_tests::{TestResult, kafka};
use xtask::kafka::{Cluster, Distribution, Options};

const OLD_KAFKA: &str = "3.9.1";
const CODECS: [(&str, i32); 5] = [("none", 1), ("gzip", 4), ("snappy", 12), ("lz4", 4), ("zstd", 12)];
const PATIENCE: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// A target of three brokers, for whoever copies to it now: leaders are spread, as in the field. It ends with the last of them, because
/// brokers that nobody uses cost others their time.
fn three_brokers(distribution: &Distribution) -> TestResult<Arc<Cluster>> {
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = cluster.upgrade() {
        return Ok(running);
    }
    let started = Arc::new(Cluster::start(distribution, Options::new("copy-target").brokers(3))?);
    *cluster = Arc::downgrade(&started);
    Ok(started)
}

/// Five codecs, one to twelve partitions, records of 100 bytes to 900 KiB, all that a record can be: every batch arrives as it was.
#[test]
fn every_codec() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let volume = if kafka::is_long() { 2048 * MIB } else { 160 * MIB };
    let target = three_brokers(scene.distribution())?;
    codecs(&scene.source(), &target.bootstrap(), &scene.programs, "codec", volume)
}

/// The same from the last version with another metadata format and older defaults.
#[test]
fn every_codec_from_an_older_kafka() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let Some(old) = kafka::distribution_of(OLD_KAFKA)? else { return Ok(()) };
    let source = Cluster::start(&old, Options::new("copy-old"))?;
    let target = three_brokers(scene.distribution())?;
    codecs(&source.bootstrap(), &target.bootstrap(), &scene.programs, "old", 50 * MIB)
}

/// What Kafka 3.9 takes and 4.1 refuses: segments below a mebibyte, and records from tomorrow. Both topics are copied, what was left out
/// is named.
#[test]
fn what_only_an_older_kafka_takes_is_no_reason_not_to_copy() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let Some(old) = kafka::distribution_of(OLD_KAFKA)? else { return Ok(()) };
    let source = Cluster::start(&old, Options::new("copy-lenient"))?;
    let from = source.bootstrap();
    let mut client = Client::new(&from);
    client.create_topic(&NewTopic::new("lenient-plain", 1))?;
    client.create_topic(&NewTopic::new("lenient-small", 1).config("segment.bytes", "100000"))?;
    let tomorrow = BatchBuilder::new().key_value(now_ms() + 86_400_000, b"key", b"value").build();
    for topic in ["lenient-plain", "lenient-small"] {
        client.produce(topic, 0, &tomorrow)?;
    }
    let ended = scene::copy(&from, &scene.target(), "lenient", "lenient-.*", 0)?;
    let named = "topic lenient-small is created without segment.bytes=100000";
    assert!(ended.stderr.contains(named), "{}", ended.stderr);
    for topic in ["lenient-plain", "lenient-small"] {
        let report = Comparison::new(&from, &scene.target(), topic).same_offsets().run()?;
        assert!(report.is_equal() && report.records() == 1, "{report}");
    }
    Ok(())
}

/// A transaction that nobody ends: the copy has not caught up, waits, and says who holds it back; once it is aborted the rest is there.
#[test]
fn a_hanging_transaction_is_waited_for_and_named() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "copied-hanging";
    scene.create(&NewTopic::new(topic, 1))?;
    let mut source = scene.at_source();
    let producer = source.init_transactions("hanging")?;
    source.add_to_transaction("hanging", producer, topic, 0)?;
    Gap::new(1).aborted_by("hanging", producer).write(&mut source, topic, 0)?;
    let record = |value: &[u8]| BatchBuilder::new().key_value(now_ms(), b"key", value);
    for _ in 0..10 {
        source.produce(topic, 0, &record(b"behind").build())?;
    }
    let mut verbatim = scene.start("hanging", topic, &["--until-caught-up"])?;
    verbatim
        .logs("a transaction that is open on the source cluster holds back 11 offsets from offset 0 on")?;
    verbatim.logs(&format!("producer id {}", producer.0))?;
    assert!(verbatim.is_running(), "eleven records are missing");
    source.end_transaction("hanging", producer, false)?;
    let ended = verbatim.ended(verbatim_tests::verbatim::PATIENCE)?.expect(0)?;
    assert_eq!(copied_records(&ended), 10, "{}", ended.stdout);
    Ok(())
}

fn codecs(from: &str, to: &str, programs: &Programs, prefix: &str, volume: u64) -> TestResult {
    let share = volume / (2 * CODECS.len() as u64);
    let mut client = Client::new(from);
    for (seed, (codec, partitions)) in (1..).zip(CODECS) {
        let topic = &format!("{prefix}-{codec}");
        client.create_topic(&NewTopic::new(topic, partitions))?;
        let (partitions, total_bytes) = (partitions.unsigned_abs(), Some(share));
        let small = Mix { codec, partitions, seed, records: None, total_bytes, ..Mix::default() };
        let small = Mix { size_bytes: (100, 1024), ..small };
        let large = Mix { size_bytes: (900 << 10, 900 << 10), batch_bytes: 1 << 20, ..small.clone() };
        std::thread::scope(|scope| {
            let small = scope.spawn(|| programs.produce(from, topic, &small));
            let large = programs.produce(from, topic, &large);
            small.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(large)
        })?;
        // What no Java client can send.
        let headers =
            vec![(vec![0xff, 0xfe], None), (b"twice".to_vec(), Some(vec![0])), (b"twice".to_vec(), None)];
        let odd = RawRecord { timestamp: 1_700_000_000_000, headers, ..RawRecord::default() };
        client.produce(topic, 0, &BatchBuilder::new().record(odd).build())?;
    }

    let running = start(from, to, prefix, &format!("{prefix}-.*"), &["--until-caught-up", "--log", "debug"])?;
    let mut resident = 0;
    let mut running = Some(running);
    wait_until("the end of the copy", PATIENCE, || {
        let still = running.as_mut().is_some_and(|running| running.is_running());
        resident =
            running.as_ref().and_then(|running| running.resident_kib()).map_or(resident, |(_, most)| most);
        Ok(!still)
    })?;
    let Some(running) = running else { return Ok(()) };
    let ended = running.ended(PATIENCE)?.expect(0)?;
    println!("{prefix}: {}; at most {} MiB resident", ended.stdout.trim(), resident / 1024);

    let mut total = 0;
    for (codec, _) in CODECS {
        let topic = &format!("{prefix}-{codec}");
        let report = Comparison::new(from, to, topic).same_offsets().run()?;
        assert!(report.is_equal(), "{report}");
        assert!(report.payload_bytes() > share / 4, "{report}");
        total += report.records();
        let everything = Isolation::Uncommitted;
        let seen = consumers_agree(programs, (from, everything), (to, everything), topic)?;
        assert_eq!(seen, report.records(), "{topic}");
    }
    assert_eq!(copied_records(&ended), total);
    assert!(!ended.stdout.contains("repacked"), "{}", ended.stdout);
    Ok(())
}

/// Two transactional producers, interleaved, and one that is not: aborted records and markers stay behind.
#[test]
fn committed_records_only() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "copied-transactions";
    scene.create(&NewTopic::new(topic, 3))?;
    let mode = MixMode::Transactional { records: 40, abort_every: 3 };
    let mix =
        |seed, mode| Mix { codec: "zstd", partitions: 3, records: Some(1_500), seed, mode, ..Mix::default() };
    let from = scene.source();
    let produced = std::thread::scope(|scope| {
        let modes = [mode, mode, MixMode::Idempotent];
        let producers: Vec<_> = (1..)
            .zip(modes)
            .map(|(seed, mode)| {
                scope.spawn({
                    let (from, mix) = (from.clone(), mix(seed, mode));
                    move || scene.programs.produce(&from, topic, &mix)
                })
            })
            .collect();
        let joined =
            producers.into_iter().map(|p| p.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let mut committed = BTreeMap::new();
    for (partition, count) in produced.iter().flat_map(|produced| &produced.committed) {
        *committed.entry(*partition).or_insert(0) += count;
    }
    scene.copy("copied-transactions", topic)?;

    let report = Comparison::new(&from, &scene.target(), topic).committed().run()?;
    assert!(report.is_equal(), "{report}");
    for (partition, expected) in committed {
        let log = read_log(&scene.target(), topic, partition)?;
        // Abort markers stand where the source has its own; nothing else is transactional, nothing but the codec is kept.
        let (markers, log): (Vec<_>, Vec<_>) = log.into_iter().partition(RawBatch::is_control);
        assert!(markers.iter().all(RawBatch::is_abort_marker), "{topic}-{partition}");
        assert!(log.iter().all(|batch| batch.attributes == batch.codec()), "{topic}-{partition}");
        assert_eq!(records(&log), expected, "{topic}-{partition}");
    }
    let everything = scene.consumers_agree(topic, Isolation::Committed)?;
    let (all, only) = (Isolation::Uncommitted, Isolation::Committed);
    let target = &scene.target();
    assert_eq!(consumers_agree(&scene.programs, (&from, only), (target, all), topic)?, everything);
    Ok(())
}

/// Batches that compaction took records out of are repacked: the same records, in batches without holes.
#[test]
fn a_compacted_topic() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "copied-compacted";
    let compacted = NewTopic::new(topic, 2)
        .config("cleanup.policy", "compact")
        .config("segment.ms", "500")
        .config("min.cleanable.dirty.ratio", "0.001");
    scene.create(&compacted)?;
    // So that the target's log is not compacted while we look.
    scene.at_target().create_topic(&NewTopic::new(topic, 2))?;
    let from = scene.source();
    for (seed, codec) in (1..).zip(["none", "zstd", "lz4", "gzip", "snappy"]) {
        let mix = Mix { codec, partitions: 2, seed, data: "text", always_keyed: true, ..Mix::default() };
        scene.programs.produce(&from, topic, &mix)?;
    }
    wait_until("the cleaner to be done", PATIENCE, || is_clean(scene.source_logs(), topic, 2))?;
    let mut holes = 0;
    for partition in 0..2 {
        let log = read_log(&from, topic, partition)?;
        let thinned =
            log.iter().filter(|batch| batch.count != batch.last_offset_delta + 1 && batch.count > 0);
        holes += thinned.count();
    }
    assert!(holes > 10, "{holes} thinned batches");
    let ended = scene.copy("copied-compacted", topic)?;
    assert!(ended.stdout.contains("of them repacked"), "{}", ended.stdout);

    for partition in 0..2 {
        let (original, copied) =
            (read_log(&from, topic, partition)?, read_log(&scene.target(), topic, partition)?);
        assert!(copied.iter().all(|batch| batch.crc_ok && batch.count == batch.last_offset_delta + 1));
        assert_eq!(records(&copied), records(&original));
        // Batch for batch the same codec and count, whether repacked or not.
        let shape = |log: &[RawBatch]| -> Vec<(i16, i32)> {
            log.iter().filter(|batch| batch.count > 0).map(|batch| (batch.codec(), batch.count)).collect()
        };
        assert_eq!(shape(&copied), shape(&original));
    }
    scene.consumers_agree(topic, Isolation::Uncommitted)?;
    assert!(is_clean(scene.source_logs(), topic, 2)?, "the source was compacted again meanwhile");
    println!("compacted: {holes} thinned batches; {}", ended.stdout.trim());
    Ok(())
}

/// Append times are the source log's own; the copy has the same bytes, and with them the times the producers gave.
#[test]
fn a_topic_with_append_times() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "copied-append-time";
    scene.create(&NewTopic::new(topic, 1).config("message.timestamp.type", "LogAppendTime"))?;
    let first = 1_600_000_000_000;
    for codec in ["none", "lz4"] {
        let mix = Mix { codec, timestamp: Some(first), records: Some(500), ..Mix::default() };
        scene.programs.produce(&scene.source(), topic, &mix)?;
    }
    scene.copy("copied-append-time", topic)?;
    let (original, copied) = (read_log(&scene.source(), topic, 0)?, read_log(&scene.target(), topic, 0)?);
    assert_eq!(original.len(), copied.len());
    for (original, copied) in original.iter().zip(&copied) {
        assert!(original.is_append_time() && !copied.is_append_time() && copied.crc_ok);
        assert_eq!(original.payload, copied.payload);
        assert_eq!((original.count, original.base_timestamp), (copied.count, copied.base_timestamp));
        assert!((first..first + 200).contains(&copied.max_timestamp), "{}", copied.max_timestamp);
    }
    let consumed = scene.programs.consume(&scene.target(), topic, Isolation::Uncommitted)?;
    assert_eq!(consumed.records(), 1_000);
    Ok(())
}

/// A log whose start was moved into the middle of a batch: only what may still be read arrives.
#[test]
fn a_log_that_starts_inside_a_batch() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "copied-deleted-records";
    scene.create(&NewTopic::new(topic, 2))?;
    let from = scene.source();
    scene.programs.produce(
        &from,
        topic,
        &Mix { codec: "zstd", partitions: 2, linger_ms: 50, ..Mix::default() },
    )?;
    let mut expected = BTreeMap::new();
    for partition in 0..2 {
        let log = read_log(&from, topic, partition)?;
        let cut = log.iter().skip(1).find(|batch| batch.count >= 4).ok_or("no batch of four records")?;
        let offset = cut.base_offset + i64::from(cut.count / 2);
        assert_eq!(scene.at_source().delete_records(topic, partition, offset)?, offset);
        expected.insert(partition, (cut.count - cut.count / 2, cut.last_offset() + 1));
    }
    scene.copy("copied-deleted-records", topic)?;

    scene.consumers_agree(topic, Isolation::Uncommitted)?;
    for (partition, (count, rest)) in expected {
        let log = read_log(&scene.target(), topic, partition)?;
        assert_eq!(log[0].count, count, "the rest of the batch that the log starts in");
        let original = LogReader::open(&from, topic, partition, Isolation::Uncommitted)?.from(rest);
        let report = compare_batches(partition, original, log.into_iter().skip(1).map(Ok), false)?;
        assert_eq!(report.difference, None);
        assert!(report.batches > 0);
    }
    Ok(())
}

/// Topics are created as they are on the source: partitions and those settings that concern the data.
#[test]
fn topics_are_created_with_their_settings() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    // With append times the copy is not deleted by age: see the test after this one.
    let carried =
        [("cleanup.policy", "compact,delete"), ("segment.ms", "123456789"), ("max.message.bytes", "2000000")];
    let left = [
        ("compression.type", "gzip"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "1"),
    ];
    for partitions in [1, 4, 12] {
        let mut topic = NewTopic::new(format!("settings-{partitions}"), partitions);
        for (name, value) in carried.iter().chain(&left) {
            topic = topic.config(*name, *value);
        }
        scene.create(&topic)?;
    }
    scene.create(&NewTopic::new("settings-none", 2))?;
    scene.copy("settings", "settings-.*")?;
    let mut target = scene.at_target();
    for partitions in [1, 4, 12] {
        let topic = format!("settings-{partitions}");
        assert_eq!(target.partitions(&topic)?, (0..partitions).collect::<Vec<_>>());
        let found = target.topic_configs(&topic)?;
        for (name, value) in carried {
            assert_eq!(found[name], (value.to_owned(), true), "{name}");
        }
        for (name, _) in left {
            assert!(!found[name].1, "{name} is {:?}", found[name]);
        }
    }
    assert!(target.topic_configs("settings-none")?.values().all(|(_, is_set)| !is_set));
    Ok(())
}

/// Append times on the source, the producers' times on the target, a retention between the two: the source keeps all records, and so
/// must the target, whose broker looks for what to delete every second.
#[test]
fn a_copy_of_append_times_outlives_its_retention() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let eager = Options::new("copy-retention").property("log.retention.check.interval.ms", "1000");
    let target = Cluster::start(scene.distribution(), eager)?;
    let topic = "copied-late";
    let late = NewTopic::new(topic, 1)
        .config("message.timestamp.type", "LogAppendTime")
        .config("retention.ms", "3600000")
        .config("segment.bytes", "1048576");
    scene.create(&late)?;
    let ten_days_ago = now_ms() - 10 * 86_400_000;
    let mix = Mix {
        timestamp: Some(ten_days_ago),
        records: Some(3_000),
        size_bytes: (900, 1_100),
        data: "random",
        ..Mix::default()
    };
    scene.programs.produce(&scene.source(), topic, &mix)?;
    scene::copy(&scene.source(), &target.bootstrap(), "copied-late", topic, 0)?;
    // A topic of the same records with the source's retention shows that the broker has looked.
    let mut client = Client::new(&target.bootstrap());
    client.create_topic(
        &NewTopic::new("bait", 1).config("retention.ms", "3600000").config("segment.bytes", "1048576"),
    )?;
    scene.programs.produce(&target.bootstrap(), "bait", &mix)?;
    wait_until("the target to delete by age", PATIENCE, || Ok(client.offsets("bait", 0)?.log_start > 0))?;
    let (source, copy) = (scene.at_source().offsets(topic, 0)?, client.offsets(topic, 0)?);
    assert_eq!((copy.log_start, copy.end), (source.log_start, source.end));
    Ok(())
}

/// A second run has nothing to do, and does nothing; a third copies what was added, and no more.
#[test]
fn running_again_copies_what_was_added() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let topic = "copied-again";
    scene.create(&NewTopic::new(topic, 4))?;
    let mix = |seed| Mix { codec: "snappy", partitions: 4, seed, ..Mix::default() };
    scene.programs.produce(&scene.source(), topic, &mix(1))?;
    assert_eq!(copied_records(&scene.copy("copied-again", topic)?), 1_000);
    let start = Instant::now();
    assert_eq!(copied_records(&scene.copy("copied-again", topic)?), 0);
    println!("again: a run with nothing to do took {} ms", start.elapsed().as_millis());
    scene.programs.produce(&scene.source(), topic, &mix(2))?;
    assert_eq!(copied_records(&scene.copy("copied-again", topic)?), 1_000);
    let report = Comparison::new(&scene.source(), &scene.target(), topic).same_offsets().run()?;
    assert!(report.is_equal() && report.records() == 2_000, "{report}");
    Ok(())
}

fn records(log: &[RawBatch]) -> u64 {
    log.iter().map(|batch| u64::from(batch.count.unsigned_abs())).sum()
}

/// What the summary says: `copied 1,234 records in ...`.
fn copied_records(ended: &Ended) -> u64 {
    let words = ended.stdout.trim().strip_prefix("copied ").unwrap_or_default();
    words.split(' ').next().unwrap_or_default().replace(',', "").parse().unwrap_or(u64::MAX)
}
