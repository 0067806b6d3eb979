//! Promise: whoever comes from MirrorMaker 2 changes one command. Its configuration files run, and beside it on the same source the
//! same topics come out, with the same partitions, configs and records; its Java clients find what they look for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use verbatim_tests::java::{Mix, MixMode, Programs};
use verbatim_tests::kafka::{self, TemporaryDirectory};
use verbatim_tests::oracle::{Client, Isolation, NewTopic};
use verbatim_tests::scene::consumers_agree;
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_for;
use verbatim_tests::{Failure, TestResult};
use xtask::kafka::{Cluster, Options};

/// The examples, as their users have them.
const EXAMPLES: [(&str, &str); 3] = [
    ("active-active", include_str!("../../../crates/mirror/examples/active-active.mm2.properties")),
    ("active-passive", include_str!("../../../crates/mirror/examples/active-passive.mm2.properties")),
    ("identity", include_str!("../../../crates/mirror/examples/identity.mm2.properties")),
];

fn written(folder: &TemporaryDirectory, name: &str, text: &str) -> TestResult<PathBuf> {
    let path = folder.path().join(format!("{name}.properties"));
    fs::write(&path, text)?;
    Ok(path)
}

fn run(config: &Path) -> TestResult<Verbatim> {
    Ok(Verbatim::start(&["run", &config.display().to_string()])?)
}

/// Topics that users see.
fn user_topics(client: &mut Client) -> TestResult<BTreeSet<String>> {
    let is_users = |topic: &String| {
        !["__", "mm2-"].iter().any(|own| topic.starts_with(own)) && !topic.ends_with(".checkpoints.internal")
    };
    Ok(client.topics()?.into_iter().filter(is_users).collect())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Waits until the target has at least as many records in each partition of `topic` as `counts` says.
fn copied(target: &mut Client, topic: &str, counts: &BTreeMap<i32, u64>) -> TestResult {
    for (partition, count) in counts {
        wait_for(&format!("{topic}-{partition} has {count} records"), PATIENCE, || {
            let end = target.end(topic, *partition).unwrap_or(0);
            Ok((u64::try_from(end).unwrap_or(0) >= *count).then_some(()))
        })?;
    }
    Ok(())
}

/// The examples run with nothing but the addresses changed.
#[test]
fn the_examples_run() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let programs = Programs::compile(&distribution)?;
    for (name, text) in EXAMPLES {
        let clusters = kafka::start_two(&distribution, Options::new("source"), Options::new("target"))?;
        let (source, target) = (clusters.source.bootstrap(), clusters.target.bootstrap());
        let folder = TemporaryDirectory::new("examples")?;
        let text = text.replace("127.0.0.1:19092", &source).replace("127.0.0.1:29092", &target);
        let config = written(&folder, name, &text)?;
        let (mut at_source, mut at_target) = (Client::new(&source), Client::new(&target));
        for topic in ["orders", "users"] {
            at_source.create_topic(&NewTopic::new(topic, 2))?;
        }
        let mix = Mix { partitions: 2, ..Mix::default() };
        let produced = programs.produce(&source, "orders", &mix)?;
        let mut verbatim = run(&config)?;
        let is_identity = name == "identity";
        let remote = match name {
            "active-active" => "us-east.orders",
            "active-passive" => "primary.orders",
            _ => "orders",
        };
        copied(&mut at_target, remote, &produced.acked)?;
        if name == "active-active" {
            at_target.create_topic(&NewTopic::new("payments", 1))?;
            let produced = programs.produce(&target, "payments", &Mix::default())?;
            copied(&mut at_source, "us-west.payments", &produced.acked)?;
            // Twice the interval in which new topics are found: nothing comes back.
            std::thread::sleep(Duration::from_secs(4));
            let expected = ["heartbeats", "orders", "us-west.heartbeats", "us-west.payments", "users"];
            assert_eq!(user_topics(&mut at_source)?, set(&expected));
            let expected =
                ["heartbeats", "payments", "us-east.heartbeats", "us-east.orders", "us-east.users"];
            assert_eq!(user_topics(&mut at_target)?, set(&expected));
        } else {
            wait_for("heartbeats", PATIENCE, || {
                Ok((at_target.end("heartbeats", 0).unwrap_or(0) > 0).then_some(()))
            })?;
        }
        if is_identity {
            for key in ["checkpoints.topic", "heartbeats.topic"] {
                verbatim.logs(&format!("{key}: this key is not known"))?;
            }
        }
        verbatim.signal("INT")?;
        let ended = verbatim.ended(PATIENCE)?.expect(0)?;
        println!("{name}: {}", ended.stdout.trim());
    }
    Ok(())
}

/// Beside MirrorMaker 2 itself on the same source.
#[test]
fn side_by_side() -> TestResult {
    let Some(distribution) = kafka::distribution_with_mirror()? else { return Ok(()) };
    let programs = Programs::compile_with_mirror(&distribution)?;
    let guarded = |name: &str| {
        Options::new(name)
            .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .property("super.users", "User:ANONYMOUS")
    };
    let clusters = kafka::start_two(&distribution, guarded("source"), guarded("theirs"))?;
    let ours = Cluster::start(&distribution, guarded("ours"))?;
    let (source, theirs, ours) = (clusters.source.bootstrap(), clusters.target.bootstrap(), ours.bootstrap());
    let mut at_source = Client::new(&source);

    // Topics of every kind, and groups that have read a part of one.
    at_source.create_topic(&NewTopic::new("orders", 3).config("retention.ms", "86400000"))?;
    at_source.create_topic(
        &NewTopic::new("users", 2).config("cleanup.policy", "compact").config("max.message.bytes", "2000000"),
    )?;
    at_source.create_topic(&NewTopic::new("settled", 1).config("segment.bytes", "20000000"))?;
    at_source.create_topic(&NewTopic::new("read", 1))?;
    at_source.create_topic(&NewTopic::new("orders.B.x", 1))?;
    at_source.create_topic(&NewTopic::new("orders.replica", 1))?;
    at_source.create_topic(&NewTopic::new("orders.internal", 1))?;
    at_source.create_topic(&NewTopic::new("other", 1))?;
    let mut counts: BTreeMap<&str, BTreeMap<i32, u64>> = BTreeMap::new();
    for (topic, mix) in [
        ("orders", Mix { partitions: 3, codec: "lz4", records: Some(3000), ..Mix::default() }),
        ("users", Mix { partitions: 2, always_keyed: true, codec: "zstd", ..Mix::default() }),
        ("settled", Mix { mode: MixMode::Transactional { records: 20, abort_every: 3 }, ..Mix::default() }),
        ("read", Mix { records: Some(5000), ..Mix::default() }),
    ] {
        counts.insert(topic, programs.produce(&source, topic, &mix)?.acked);
    }
    let acls = [
        "User:alice orders LITERAL READ ALLOW",
        "User:bob orders LITERAL ALL ALLOW",
        "User:carol orders LITERAL WRITE ALLOW",
        "User:dave users LITERAL WRITE DENY",
        "User:erin users LITERAL DESCRIBE ALLOW",
        "User:frank other LITERAL READ ALLOW",
    ];
    programs.acls(&source, &acls, &[])?;
    let groups: BTreeMap<String, i64> =
        [("half", 2500), ("most", 4990)].map(|(group, offset)| (group.to_owned(), offset)).into();
    let committed = programs.commit_in_groups(&source, "read", &groups)?;

    let folder = TemporaryDirectory::new("side-by-side")?;
    let config = |target: &str| {
        format!(
            "clusters = A, B\nA.bootstrap.servers = {source}\nB.bootstrap.servers = {target}\nA->B.enabled = true\n\
             A->B.topics = orders.*, users, settled, read\nreplication.factor = 1\nconfig.storage.replication.factor = 1\n\
             offset.storage.replication.factor = 1\nstatus.storage.replication.factor = 1\n\
             offset-syncs.topic.replication.factor = 1\ncheckpoints.topic.replication.factor = 1\n\
             heartbeats.topic.replication.factor = 1\nrefresh.topics.interval.seconds = 2\n\
             sync.topic.configs.interval.seconds = 2\nsync.topic.acls.interval.seconds = 2\nrefresh.groups.interval.seconds = 2\n\
             emit.checkpoints.interval.seconds = 1\nsync.group.offsets.enabled = true\n\
             sync.group.offsets.interval.seconds = 1\noffset.lag.max = 0\n"
        )
    };
    let our_config = written(&folder, "ours", &config(&ours))?;
    let their_config = written(&folder, "theirs", &config(&theirs))?;
    let mut verbatim = run(&our_config)?;
    let maker = programs.start_mirror_maker(&their_config)?;
    let (mut at_ours, mut at_theirs) = (Client::new(&ours), Client::new(&theirs));
    for (topic, counts) in &counts {
        for client in [&mut at_ours, &mut at_theirs] {
            copied(client, &format!("A.{topic}"), counts)?;
        }
    }

    // What comes later: a topic that grows, and a config that changes.
    at_source.grow_topic("users", 4)?;
    at_source.set_topic_config("orders", "retention.ms", "99000000")?;
    for (name, client) in [("ours", &mut at_ours), ("theirs", &mut at_theirs)] {
        wait_for(&format!("{name}: growth and config"), PATIENCE, || {
            let has_grown = client.partitions("A.users").is_ok_and(|partitions| partitions.len() == 4);
            let configs = client.topic_configs("A.orders")?;
            let is_set = configs.get("retention.ms").is_some_and(|(value, _)| value == "99000000");
            Ok((has_grown && is_set).then_some(()))
        })?;
    }

    let topics = user_topics(&mut at_theirs)?;
    assert_eq!(user_topics(&mut at_ours)?, topics);
    println!("topics: {topics:?}");
    for topic in &topics {
        assert_eq!(at_ours.partitions(topic)?, at_theirs.partitions(topic)?, "{topic}");
        assert_eq!(at_ours.topic_configs(topic)?, at_theirs.topic_configs(topic)?, "{topic}");
        if !topic.ends_with("heartbeats") {
            let everything = Isolation::Uncommitted;
            let records = consumers_agree(&programs, (&theirs, everything), (&ours, everything), topic)?;
            println!("{topic}: {records} records");
        }
    }

    let their_acls = wait_for("their ACLs", PATIENCE, || {
        Ok(Some(programs.acls(&theirs, &[], &[])?).filter(|acls| acls.len() >= 4))
    })?;
    println!("ACLs: {their_acls:?}");
    verbatim.logs("ACLs created on the target")?;
    let our_acls = wait_for("our ACLs", PATIENCE, || {
        Ok(Some(programs.acls(&ours, &[], &[])?).filter(|acls| acls.len() >= 4))
    })?;
    assert_eq!(our_acls, their_acls);

    // Their own clients; theirs needs some time to have written down where the groups are.
    let names: Vec<&str> = committed.keys().map(String::as_str).collect();
    let answers = wait_for("checkpoints", PATIENCE, || {
        let ours = programs.ask_mirror(&ours, "A", &names)?;
        let theirs = programs.ask_mirror(&theirs, "A", &names)?;
        let has_all = |answers: &verbatim_tests::java::MirrorAnswers| {
            answers.groups.values().all(|offsets| !offsets.is_empty()) && answers.groups.len() == names.len()
        };
        Ok((has_all(&ours) && has_all(&theirs) && ours.answers == theirs.answers).then_some((ours, theirs)))
    });
    let (our_answers, their_answers) = match answers {
        Ok(answers) => answers,
        Err(error) => {
            let (ours, theirs) =
                (programs.ask_mirror(&ours, "A", &names)?, programs.ask_mirror(&theirs, "A", &names)?);
            return Err(Failure::from(format!("{error:?}\nours: {ours:?}\ntheirs: {theirs:?}")));
        }
    };
    println!("ours: {our_answers:?}\ntheirs: {their_answers:?}");
    for (group, offset) in &committed {
        let of = |answers: &BTreeMap<String, BTreeMap<String, i64>>| {
            answers.get(group).and_then(|offsets| offsets.get("A.read-0")).copied()
        };
        assert_eq!(of(&our_answers.groups), Some(*offset), "{group}: exact");
        assert!(of(&their_answers.groups) <= Some(*offset), "{group}");
        let carried = wait_for("the group is carried over", PATIENCE, || {
            Ok(at_ours.committed_offset(group, "A.read", 0).ok().flatten())
        })?;
        assert_eq!(carried, *offset, "{group}");
    }
    maker.kill();
    verbatim.signal("INT")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    Ok(())
}
