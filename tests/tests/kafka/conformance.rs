//! The test broker answers as Kafka does: both are asked the same questions, through the oracle's own client, and every answer is
//! compared: error codes, offsets, what a fetch cuts, aborted transactions, what is remembered of producers.

mod markers;
mod positions;

use std::fmt::Debug;

use verbatim_testbroker::TestCluster;
use verbatim_tests::TestResult;
use verbatim_tests::kafka;
use verbatim_tests::oracle::{BatchBuilder, Client, Error, Isolation, NewTopic, RawRecord, Slice, Wanted};
use verbatim_tests::scenario::now_ms;
use xtask::kafka::{Cluster, Options};

use Isolation::{Committed, Uncommitted};

/// Questions and answers of one cluster.
struct Interview {
    client: Client,
    answers: Vec<(String, String)>,
    /// The time all records are written at: the same for both.
    now: i64,
}

impl Interview {
    fn note(&mut self, question: impl Into<String>, answer: impl Debug) {
        self.answers.push((question.into(), format!("{answer:?}")));
    }

    fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<(), Error> {
        let new = NewTopic::new(name, partitions);
        let new = configs.iter().fold(new, |new, (name, value)| new.config(*name, *value));
        self.client.create_topic(&new)?;
        // The metadata name a leader before the broker knows that it is the one; this waits until it does.
        (0..partitions).try_for_each(|partition| self.client.end(name, partition).map(drop))
    }

    fn batch(&self, records: i32) -> BatchBuilder {
        (0..records).fold(BatchBuilder::new(), |batch, number| {
            batch.key_value(self.now + i64::from(number), b"key", format!("value {number}").as_bytes())
        })
    }

    fn produce(&mut self, question: &str, topic: &str, batch: &[u8]) -> Result<(), Error> {
        let answer = self.client.try_produce(topic, 0, None, batch)?;
        let stamped = answer.append_time >= 0;
        self.note(question, (answer.code, answer.base_offset, stamped, answer.log_start));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_broker_answers_as_kafka_does() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let fake = TestCluster::builder().cluster_id("fake").start_tcp().await?;
    let now = now_ms();
    let bootstrap = fake.bootstrap();
    let said = tokio::task::spawn_blocking(move || interview(&bootstrap, now)).await??;
    let expected = tokio::task::spawn_blocking(move || {
        let real = Cluster::start(&distribution, Options::new("real"))?;
        Ok::<_, verbatim_tests::Failure>(interview(&real.bootstrap(), now)?)
    });
    let expected = expected.await??;
    assert_eq!(said.len(), expected.len());
    assert!(said.len() > 500, "{} questions", said.len());
    let differences: Vec<String> = said
        .iter()
        .zip(&expected)
        .filter(|(said, expected)| said != expected)
        .map(|((question, said), (_, expected))| {
            format!("{question}\n  test broker: {said}\n  Kafka:       {expected}")
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {} answers differ:\n{}",
        differences.len(),
        said.len(),
        differences.join("\n")
    );
    Ok(())
}

fn interview(bootstrap: &str, now: i64) -> Result<Vec<(String, String)>, Error> {
    let mut interview = Interview { client: Client::new(bootstrap), answers: Vec::new(), now };
    batches_no_client_should_send(&mut interview)?;
    what_a_topic_refuses(&mut interview)?;
    sequence_numbers(&mut interview)?;
    what_a_fetch_returns(&mut interview)?;
    offsets_by_time(&mut interview)?;
    transactions(&mut interview)?;
    topics(&mut interview)?;
    markers::markers(&mut interview)?;
    positions::ends_of_epochs(&mut interview)?;
    positions::deleting_by_policy(&mut interview)?;
    positions::committed_offsets(&mut interview)?;
    positions::a_topic_again(&mut interview)?;
    Ok(interview.answers)
}

fn batches_no_client_should_send(it: &mut Interview) -> Result<(), Error> {
    it.topic("bad", 1, &[])?;
    let good = it.batch(3).build();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let record = |offset_delta| RawRecord {
        offset_delta,
        timestamp: it.now,
        key: Some(b"k".to_vec()),
        value: Some(b"v".to_vec()),
        ..RawRecord::default()
    };
    let twice = [&good[..], &good[..]].concat();
    let cut_second = [&good[..], &good[..40]].concat();
    let mut trailing = it.batch(1).build();
    trailing.extend([0; 5]);
    let payload = it.batch(1).build().split_off(61);
    let garbage = BatchBuilder::new().payload(vec![0x7e, 0, 0, 0]).count(1).timestamps(it.now, it.now);
    let longer =
        BatchBuilder::new().payload([&payload[..], &[0; 7]].concat()).count(1).timestamps(it.now, it.now);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("CRC", changed(17, good[17] ^ 1)),
        ("payload byte", changed(70, good[70] ^ 1)),
        ("two batches", twice),
        ("a batch and a cut one", cut_second),
        ("bytes behind the batch", trailing),
        ("cut", good[..good.len() - 1].to_vec()),
        ("cut in the header", good[..30].to_vec()),
        ("cut in the length", good[..10].to_vec()),
        ("nothing", Vec::new()),
        ("length too small", {
            let mut bytes = good.clone();
            bytes[8..12].copy_from_slice(&10i32.to_be_bytes());
            bytes
        }),
        ("base offset 5", it.batch(3).base_offset(5).build()),
        ("negative base offset", it.batch(3).base_offset(-1).build()),
        ("format 0", changed(16, 0)),
        ("format 1", changed(16, 1)),
        ("format 3", changed(16, 3)),
        ("count too large", it.batch(3).count(4).build()),
        ("count too small", it.batch(3).count(2).build()),
        ("count 0", it.batch(3).count(0).build()),
        ("count -1", it.batch(3).count(-1).build()),
        ("both counts too large", it.batch(3).count(4).last_offset_delta(3).build()),
        ("last offset delta too large", it.batch(3).last_offset_delta(9).build()),
        ("last offset delta too small", it.batch(3).last_offset_delta(1).build()),
        ("a hole in the deltas", BatchBuilder::new().record(record(0)).record(record(2)).build()),
        ("deltas do not begin at 0", BatchBuilder::new().record(record(1)).record(record(2)).build()),
        ("control bit", it.batch(1).attributes(0x20).build()),
        ("control and transactional", it.batch(1).attributes(0x30).producer(5000, 0, 0).build()),
        ("transactional without a producer", it.batch(1).attributes(0x10).build()),
        ("delete horizon bit", it.batch(1).attributes(0x40).build()),
        ("unused bit", it.batch(1).attributes(0x80).build()),
        ("codec 5", it.batch(1).attributes(5).build()),
        ("codec 7", it.batch(1).attributes(7).build()),
        ("garbage for records", garbage.build()),
        ("bytes behind the records", longer.build()),
        ("producer without a sequence", it.batch(1).producer(5001, 0, -1).build()),
        ("wrong largest timestamp", it.batch(3).timestamps(it.now, it.now + 1000).build()),
        ("good", good.clone()),
        ("good once more", good),
    ];
    for (what, batch) in cases {
        it.produce(&format!("produce: {what}"), "bad", &batch)?;
    }
    // What the broker made of those it took.
    let log = it.client.fetch("bad", 0, 0, Uncommitted, 1 << 20)?;
    let kept: Vec<_> = log
        .batches
        .iter()
        .map(|batch| {
            (batch.base_offset, batch.count, batch.attributes, batch.max_timestamp - it.now, batch.crc_ok)
        })
        .collect();
    it.note("what was taken", kept);
    Ok(())
}

fn what_a_topic_refuses(it: &mut Interview) -> Result<(), Error> {
    let day = 86_400_000;
    it.topic("small", 1, &[("max.message.bytes", "200")])?;
    let now = it.now;
    let sized = |bytes: usize| BatchBuilder::new().key_value(now, b"", &vec![0; bytes]).build();
    let overhead = sized(100).len() - 100;
    for size in [199, 200, 201, 5000] {
        let batch = sized(size - overhead);
        let size = batch.len();
        it.produce(&format!("{size} bytes where 200 are allowed"), "small", &batch)?;
    }
    it.topic("segmented", 1, &[("segment.bytes", "1048576"), ("max.message.bytes", "3000000")])?;
    let batch = it.batch(0).key_value(it.now, b"k", &vec![0; 2_000_000]).build();
    it.produce("larger than a segment", "segmented", &batch)?;

    it.topic("compacted", 1, &[("cleanup.policy", "compact")])?;
    let record = RawRecord { timestamp: it.now, value: Some(vec![1]), ..RawRecord::default() };
    let batch = BatchBuilder::new().record(record).build();
    it.produce("no key on a compacted topic", "compacted", &batch)?;

    let limits =
        [("message.timestamp.before.max.ms", "3600000"), ("message.timestamp.after.max.ms", "3600000")];
    it.topic("timely", 1, &limits)?;
    it.topic("untimely", 1, &[])?;
    for (what, offset) in [("a day old", -day), ("from tomorrow", day), ("now", 0)] {
        let batch = BatchBuilder::new().key_value(it.now + offset, b"k", b"v").build();
        it.produce(&format!("{what}, narrow limits"), "timely", &batch)?;
        it.produce(&format!("{what}, default limits"), "untimely", &batch)?;
    }
    let without_time = BatchBuilder::new().key_value(-1, b"k", b"v").build();
    it.produce("without a time", "timely", &without_time)?;

    it.topic("stamping", 1, &[("message.timestamp.type", "LogAppendTime")])?;
    let batch = it.batch(2).build();
    it.produce("append time by the topic", "stamping", &batch)?;
    let batch = it.batch(2).attributes(8).build();
    it.produce("append time by the client, topic stamps", "stamping", &batch)?;
    it.produce("append time by the client, topic does not", "untimely", &batch)?;
    let stamped = it.client.fetch("stamping", 0, 0, Uncommitted, 1 << 20)?.batches;
    let kept: Vec<_> =
        stamped.iter().map(|batch| (batch.attributes, batch.base_timestamp - it.now, batch.crc_ok)).collect();
    it.note("a stamped batch", kept);
    Ok(())
}

/// Producer id, epoch, first sequence number, records.
type Step = (i64, i16, i32, i32);

fn sequence_numbers(it: &mut Interview) -> Result<(), Error> {
    const MAX: i32 = i32::MAX;
    it.topic("sequences", 1, &[])?;
    let steps: &[(&str, Step)] = &[
        ("an unknown producer may begin anywhere", (600, 0, 5, 3)),
        ("next", (600, 0, 8, 2)),
        ("next", (600, 0, 10, 1)),
        ("next", (600, 0, 11, 1)),
        ("next", (600, 0, 12, 1)),
        ("next", (600, 0, 13, 4)),
        ("the last again", (600, 0, 13, 4)),
        ("the last but four again", (600, 0, 8, 2)),
        ("the last but five again", (600, 0, 5, 3)),
        ("a part of the last", (600, 0, 13, 2)),
        ("over the end of the last", (600, 0, 15, 4)),
        ("two batches as one", (600, 0, 11, 2)),
        ("a gap", (600, 0, 20, 1)),
        ("next after all that", (600, 0, 17, 1)),
        ("a newer epoch not from 0", (600, 1, 18, 1)),
        ("a newer epoch from 0", (600, 1, 0, 1)),
        ("the older epoch", (600, 0, 18, 1)),
        ("a duplicate of the older epoch", (600, 0, 17, 1)),
        ("the newer epoch goes on", (600, 1, 1, 1)),
        ("at the end of the numbers", (601, 3, MAX - 1, 1)),
        ("one before the last", (601, 3, MAX, 1)),
        ("from the first again", (601, 3, 0, 1)),
        ("the one across the end again", (601, 3, MAX, 1)),
        ("a batch across the end", (602, 0, MAX - 1, 4)),
        ("after it", (602, 0, 2, 1)),
        ("the batch across the end again", (602, 0, MAX - 1, 4)),
        ("an unknown producer with epoch 7", (603, 7, 0, 1)),
    ];
    for (what, (id, epoch, sequence, records)) in steps {
        let batch = it.batch(*records).producer(*id, *epoch, *sequence).build();
        it.produce(
            &format!("{what}: {id} epoch {epoch} sequence {sequence}, {records} records"),
            "sequences",
            &batch,
        )?;
        let (code, producers) = it.client.producers("sequences", 0)?;
        let known: Vec<_> = producers
            .iter()
            .map(|p| {
                (
                    p.id,
                    p.epoch,
                    p.last_sequence,
                    p.last_timestamp - it.now,
                    p.coordinator_epoch,
                    p.transaction_start,
                )
            })
            .collect();
        it.note(format!("what is remembered after {what}"), (code, known));
    }
    Ok(())
}

fn what_a_fetch_returns(it: &mut Interview) -> Result<(), Error> {
    it.topic("log", 2, &[])?;
    let mut sizes = Vec::new();
    for number in 0..10usize {
        let batch = it.batch(3).key_value(it.now, b"k", &vec![7; number * 50]).build();
        sizes.push(i32::try_from(batch.len()).unwrap_or(0));
        for partition in 0..2 {
            it.client.produce("log", partition, &batch)?;
        }
    }
    let (first, second) = (sizes[0], sizes[1]);
    let wanted = |partition, offset, max_bytes| Wanted {
        topic: "log".to_owned(),
        partition,
        offset,
        max_bytes,
        leader_epoch: -1,
    };
    let short = |slice: &Slice| {
        let offsets: Vec<i64> = slice.batches.iter().map(|batch| batch.base_offset).collect();
        (slice.code, slice.high_watermark, slice.last_stable, slice.log_start, slice.bytes, offsets)
    };
    const PLENTY: i32 = 1 << 20;
    for max in
        [0, 1, 11, first - 1, first, first + 1, first + 30, first + second, first + second + 61, PLENTY]
    {
        for offset in [0, 2, 4, 39, 40] {
            let (code, _, slices) =
                it.client.try_fetch(&[wanted(0, offset, max)], PLENTY, Uncommitted, (0, -1))?;
            it.note(format!("at {offset}, at most {max} of the partition"), (code, short(&slices[0])));
            let (code, _, slices) =
                it.client.try_fetch(&[wanted(0, offset, PLENTY)], max, Uncommitted, (0, -1))?;
            it.note(format!("at {offset}, at most {max} in all"), (code, short(&slices[0])));
        }
        let both = [wanted(0, 0, PLENTY), wanted(1, 0, PLENTY)];
        let (code, _, slices) = it.client.try_fetch(&both, max, Uncommitted, (0, -1))?;
        it.note(
            format!("two partitions, at most {max} in all"),
            (code, slices.iter().map(short).collect::<Vec<_>>()),
        );
        let both = [wanted(0, 40, max), wanted(1, 4, max)];
        let (code, _, slices) = it.client.try_fetch(&both, PLENTY, Uncommitted, (0, -1))?;
        it.note(
            format!("the first at its end, at most {max} of each"),
            (code, slices.iter().map(short).collect::<Vec<_>>()),
        );
    }
    for offset in [-1, 41, 1000] {
        let (code, _, slices) =
            it.client.try_fetch(&[wanted(0, offset, PLENTY)], PLENTY, Uncommitted, (0, -1))?;
        it.note(format!("at {offset}, outside of the log"), (code, short(&slices[0])));
    }
    for leader_epoch in [0, 5] {
        let epoch = Wanted { leader_epoch, ..wanted(0, 0, PLENTY) };
        let (code, _, slices) = it.client.try_fetch(&[epoch], PLENTY, Uncommitted, (0, -1))?;
        it.note(format!("in leader epoch {leader_epoch}"), (code, short(&slices[0])));
    }
    let nowhere = Wanted { partition: 9, ..wanted(0, 0, PLENTY) };
    let (code, _, slices) =
        it.client.try_fetch(&[wanted(0, 0, first), nowhere], PLENTY, Uncommitted, (0, -1))?;
    it.note(
        "a partition that does not exist",
        (code, slices.iter().map(|slice| slice.code).collect::<Vec<_>>()),
    );

    let (code, session, slices) =
        it.client.try_fetch(&[wanted(0, 40, PLENTY)], PLENTY, Uncommitted, (0, 0))?;
    it.note("a session is opened", (code, session != 0, slices.len()));
    let (code, same, slices) =
        it.client.try_fetch(&[wanted(1, 40, PLENTY)], PLENTY, Uncommitted, (session, 1))?;
    it.note("a partition is added", (code, same == session, slices.iter().map(short).collect::<Vec<_>>()));
    let (code, _, slices) = it.client.try_fetch(&[wanted(1, 4, first)], PLENTY, Uncommitted, (session, 2))?;
    it.note("a partition is changed", (code, slices.iter().map(short).collect::<Vec<_>>()));
    let (code, same, slices) =
        it.client.try_fetch(&[wanted(1, 4, first)], PLENTY, Uncommitted, (session, 7))?;
    it.note("the session's epoch is wrong", (code, same, slices.len()));
    let (code, same, slices) =
        it.client.try_fetch(&[wanted(1, 4, first)], PLENTY, Uncommitted, (12345, 1))?;
    it.note("a session nobody knows", (code, same, slices.len()));

    for before in [0, 6, 5, 17, 41, -1] {
        let outcome = it.client.try_delete_records("log", 0, before)?;
        it.note(format!("delete records before {before}"), outcome);
        for offset in [0, 5, 6, 16, 17, 20, 40] {
            let (_, _, slices) =
                it.client.try_fetch(&[wanted(0, offset, first)], PLENTY, Uncommitted, (0, -1))?;
            it.note(format!("at {offset} after deleting before {before}"), short(&slices[0]));
        }
    }
    Ok(())
}

fn offsets_by_time(it: &mut Interview) -> Result<(), Error> {
    it.topic("times", 1, &[])?;
    for times in [[0, 10], [10, 5], [30, 20], [20, 20]] {
        let batch =
            times.iter().fold(BatchBuilder::new(), |batch, time| batch.key_value(it.now + time, b"k", b"v"));
        it.client.produce("times", 0, &batch.build())?;
    }
    for time in [-100, 0, 1, 5, 10, 11, 20, 21, 30, 31] {
        let (code, found, offset) = it.client.try_list_offset("times", 0, it.now + time, Uncommitted)?;
        let found = if found < 0 { found } else { found - it.now };
        it.note(format!("the first record from {time} on"), (code, found, offset));
    }
    for time in [-1, -2] {
        let answer = it.client.try_list_offset("times", 0, time, Uncommitted)?;
        it.note(format!("offset at {time}"), answer);
    }
    it.client.try_delete_records("times", 0, 3)?;
    let answer = it.client.try_list_offset("times", 0, -2, Uncommitted)?;
    it.note("the log start, inside a batch", answer);
    let (code, found, offset) = it.client.try_list_offset("times", 0, it.now, Uncommitted)?;
    it.note("by time, the log start inside a batch", (code, found - it.now, offset));
    Ok(())
}

fn transactions(it: &mut Interview) -> Result<(), Error> {
    it.topic("transactional", 1, &[])?;
    let (a, b) = (it.client.init_transactions("a")?, it.client.init_transactions("b")?);
    it.note("epochs of new transactional ids", (a.1, b.1));
    let write = |it: &mut Interview, name: &str, producer: (i64, i16), sequence: i32, records: i32| {
        let batch = it.batch(records).attributes(0x10).producer(producer.0, producer.1, sequence).build();
        let answer = it.client.try_produce("transactional", 0, Some(name), &batch)?;
        it.note(format!("{name} writes from {sequence}"), (answer.code, answer.base_offset));
        Ok::<_, Error>(())
    };
    it.client.add_to_transaction("a", a, "transactional", 0)?;
    write(it, "a", a, 0, 2)?;
    it.client.add_to_transaction("b", b, "transactional", 0)?;
    write(it, "b", b, 0, 3)?;
    write(it, "a", a, 2, 1)?;
    views(it, "two open", a, b)?;
    let plain = it.batch(1).build();
    it.produce("a plain batch among transactions", "transactional", &plain)?;
    let within = it.batch(1).producer(a.0, a.1, 3).build();
    it.produce("not transactional, by a producer inside a transaction", "transactional", &within)?;

    let end = it.client.offsets("transactional", 0)?.end;
    it.client.end_transaction("b", b, false)?;
    wait_for_end(it, end + 1)?;
    views(it, "b aborted", a, b)?;
    it.client.add_to_transaction("b", b, "transactional", 0)?;
    write(it, "b", b, 3, 2)?;
    it.client.end_transaction("a", a, true)?;
    wait_for_end(it, end + 4)?;
    views(it, "a committed, b open again", a, b)?;
    it.client.end_transaction("b", b, true)?;
    wait_for_end(it, end + 5)?;
    it.client.add_to_transaction("a", a, "transactional", 0)?;
    write(it, "a", a, 3, 2)?;
    it.client.end_transaction("a", a, false)?;
    wait_for_end(it, end + 8)?;
    views(it, "all ended", a, b)?;
    let again = it.client.init_transactions("a")?;
    it.note("the id again, a newer epoch", (again.0 == a.0, again.1));
    Ok(())
}

/// Markers are written after the end of a transaction was answered.
fn wait_for_end(it: &mut Interview, end: i64) -> Result<(), Error> {
    for _ in 0..200 {
        if it.client.offsets("transactional", 0)?.end >= end {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err(Error::Stuck { topic: "transactional".to_owned(), partition: 0, waiting_for: "a marker" })
}

/// The log from several offsets, for both kinds of reader, producer ids by name.
fn views(it: &mut Interview, when: &str, a: (i64, i16), b: (i64, i16)) -> Result<(), Error> {
    let name = |id: i64| match id {
        id if id == a.0 => "a",
        id if id == b.0 => "b",
        _ => "-",
    };
    for isolation in [Committed, Uncommitted] {
        for offset in 0..it.client.offsets("transactional", 0)?.end {
            let wanted = Wanted {
                topic: "transactional".to_owned(),
                partition: 0,
                offset,
                max_bytes: 1 << 20,
                leader_epoch: -1,
            };
            let (code, _, slices) = it.client.try_fetch(&[wanted], 1 << 20, isolation, (0, -1))?;
            let slice = &slices[0];
            let mut aborted: Vec<_> = slice.aborted.iter().map(|(id, first)| (*first, name(*id))).collect();
            aborted.sort_unstable();
            let batches: Vec<_> = slice
                .batches
                .iter()
                .map(|batch| {
                    (
                        batch.base_offset,
                        batch.count,
                        batch.attributes,
                        name(batch.producer_id),
                        batch.is_abort_marker(),
                    )
                })
                .collect();
            let bounds = (slice.high_watermark, slice.last_stable, slice.log_start);
            it.note(
                format!("{when}: {isolation:?} at {offset}"),
                (code, slice.code, bounds, aborted, batches),
            );
        }
        let ends = it.client.try_list_offset("transactional", 0, -1, isolation)?;
        it.note(format!("{when}: end for {isolation:?}"), ends);
    }
    let (code, producers) = it.client.producers("transactional", 0)?;
    let known: Vec<_> = producers
        .iter()
        .map(|p| (name(p.id), p.epoch, p.last_sequence, p.coordinator_epoch, p.transaction_start))
        .collect();
    it.note(format!("{when}: producers"), (code, known));
    Ok(())
}

fn topics(it: &mut Interview) -> Result<(), Error> {
    it.topic("there", 2, &[])?;
    let new = |name: &str, partitions, replicas| NewTopic::new(name, partitions).replication_factor(replicas);
    let cases = [
        ("one that exists", new("there", 1, 1)),
        ("no partitions", new("x", 0, 1)),
        ("-2 partitions", new("x", -2, 1)),
        ("more replicas than brokers", new("x", 1, 5)),
        ("no replicas", new("x", 1, 0)),
        ("a name with a slash", new("a/b", 1, 1)),
        ("no name", new("", 1, 1)),
        ("a name of one dot", new(".", 1, 1)),
        ("a name of 250 letters", new(&"n".repeat(250), 1, 1)),
        ("an unknown configuration", new("x", 1, 1).config("no.such", "1")),
        ("an impossible value", new("x", 1, 1).config("max.message.bytes", "many")),
        ("a negative size", new("x", 1, 1).config("max.message.bytes", "-5")),
        ("an unknown policy", new("x", 1, 1).config("cleanup.policy", "shred")),
        ("a good one", new("x", 1, 1).config("cleanup.policy", "compact,delete")),
    ];
    for (what, topic) in cases {
        let answer = it.client.try_create_topic(&topic, true)?;
        it.note(format!("may be created: {what}"), answer);
    }
    let set = it.client.try_topic_configs("there", &["cleanup.policy", "max.message.bytes", "segment.ms"])?;
    it.note("configurations by name", set);
    let all = it.client.try_topic_configs("there", &[])?;
    it.note("an empty list of names asks for all", all.len() > 20);
    let gone = it.client.delete_topic("nowhere").err().and_then(|error| error.code());
    it.note("a topic that does not exist is deleted", gone);
    Ok(())
}
