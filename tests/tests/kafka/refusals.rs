//! What the user of `verbatim run` sees when something is wrong: one sentence that names it, an exit code, and nothing half done;
//! where only some partitions are concerned, the others are copied all the same.
//!
//! The clusters are shared; tests that have to hurt a cluster, or take rights away, have one of their own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use verbatim_tests::TestResult;
use verbatim_tests::java::Mix;
use verbatim_tests::oracle::{
    Acl, AclResource, BatchBuilder, Client, NewTopic, Operation, compare, parse_batches, read_log,
};
use verbatim_tests::scene::{Scene, copy};
use verbatim_tests::verbatim::Verbatim;
use xtask::kafka::{Cluster, Options};

fn hello() -> Vec<u8> {
    BatchBuilder::new().key_value(1_700_000_000_000, b"hello", b"world").build()
}

/// Runs and expects exit code `code` and one line on stderr that begins with `verbatim: ` and has all `words` in it.
fn refused(arguments: &[&str], code: i32, words: &[&str]) -> TestResult {
    let ended = Verbatim::run(arguments)?;
    let complaint = ended.complaint().to_owned();
    println!("{code} after {} ms: {complaint}", ended.took.as_millis());
    let ended = ended.expect(code)?;
    let lines = complaint.lines().count();
    for word in words {
        if !complaint.contains(word) || lines != 1 {
            return Err(format!("{word:?} is not in the one line of {:?}", ended.stderr).into());
        }
    }
    assert_eq!(ended.stdout, "", "stdout is for answers");
    Ok(())
}

/// Addresses with no Kafka behind them.
#[test]
fn wrong_addresses() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let (source, target) = (scene.source(), scene.target());
    scene.create(&NewTopic::new("addresses", 1))?;
    // A port that was free a moment ago; nobody is given it again so soon.
    let silent = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let web = TcpListener::bind("127.0.0.1:0")?;
    let http = web.local_addr()?.to_string();
    std::thread::spawn(move || {
        for mut peer in web.incoming().map_while(Result::ok) {
            let _ = peer.read(&mut [0; 1024]);
            let _ = peer.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let run = |from: &str, to: &str, code, words: &[&str]| -> TestResult {
        let arguments = ["run", "--from", from, "--to", to, "--topics", "addresses", "--name", "addresses"];
        refused(&[&arguments[..], &["--until-caught-up"]].concat(), code, words)
    };
    let unknown = "no-such-host.invalid:9092";
    run(unknown, &target, 1, &["--from", unknown, "no such host"])?;
    run(&source, unknown, 1, &["--to", unknown, "no such host"])?;
    run(&silent, &target, 1, &["--from", &silent, "nothing is listening"])?;
    run(&source, &silent, 1, &["--to", &silent, "nothing is listening"])?;
    run(&http, &target, 1, &["--from", &http, "this is an HTTP server, not a Kafka broker"])?;
    run("nonsense", &target, 64, &["--from", "nonsense"])?;
    run(&source, "localhost:port", 64, &["--to", "localhost:port"])?;
    run(&source, &source, 64, &["source and target are the same cluster"])?;
    let found = scene.at_target().topics()?;
    assert!(!found.iter().any(|topic| topic.contains("addresses")), "{found:?}");
    assert!(!scene.at_source().topics()?.iter().any(|topic| topic.starts_with("__verbatim.")));
    Ok(())
}

/// Options that cannot be meant.
#[test]
fn wrong_options() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let (source, target) = (scene.source(), scene.target());
    let run = |more: &[&str], code, words: &[&str]| -> TestResult {
        let arguments = ["run", "--from", &source, "--to", &target, "--until-caught-up"];
        refused(&[&arguments[..], more].concat(), code, words)
    };
    let nothing = "no topic of the source cluster matches";
    run(&["--topics", "nothing-.*", "--name", "options"], 1, &["--topics nothing-.*", nothing])?;
    run(
        &["--topics", "orders("],
        64,
        &["--topics", "`orders(`", "Opening parenthesis without closing parenthesis"],
    )?;
    run(&["--topics", ","], 64, &["--topics", "no topic pattern"])?;
    run(&["--topics", "x", "--name", "a/b"], 64, &["--name", "`a/b`"])?;
    let from_ca = ["--topics", "x", "--from-ca-file", "/nowhere/ca.pem"];
    let arguments = ["run", "--from", &format!("tls://{source}"), "--to", &target];
    refused(&[&arguments[..], &from_ca].concat(), 64, &["/nowhere/ca.pem"])?;
    // clap's own words, over several lines.
    for wrong in [&["--no-such-option"][..], &["--topics", "x", "--memory", "0"], &[]] {
        let ended =
            Verbatim::run(&[&["run", "--from", &source, "--to", &target], wrong].concat())?.expect(64)?;
        let named = wrong.iter().rev().find(|word| word.starts_with("--")).unwrap_or(&"--topics");
        assert!(ended.stderr.contains(named) && ended.stdout.is_empty(), "{}", ended.stderr);
    }
    let found = scene.at_target().topics()?;
    assert!(!found.iter().any(|topic| topic == "__verbatim.options"), "{found:?}");
    Ok(())
}

/// A batch that the target does not take for its size: its partition stops there, the others are copied.
#[test]
fn a_batch_too_large_for_the_target() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    scene.create(&NewTopic::new("large", 2))?;
    scene.create(&NewTopic::new("large-other", 1))?;
    let large = BatchBuilder::new().key_value(1_700_000_000_000, b"k", &vec![7; 200_000]).build();
    let mut source = scene.at_source();
    for batch in [&hello(), &large, &hello()] {
        source.produce("large", 0, batch)?;
        source.produce("large-other", 0, batch)?;
        source.produce("large", 1, &hello())?;
    }
    scene.at_target().create_topic(&NewTopic::new("large", 2).config("max.message.bytes", "100000"))?;
    let ended = copy(&scene.source(), &scene.target(), "large", "large.*", 1)?;
    println!("1: {}", ended.complaint());
    for words in [
        "partition 0 of topic large stopped",
        "source offset 1",
        &large.len().to_string(),
        "max.message.bytes",
    ] {
        assert!(ended.complaint().contains(words), "{words:?} is not in {}", ended.stderr);
    }
    assert_eq!(ended.complaint().lines().count(), 1, "{}", ended.complaint());
    let mut target = scene.at_target();
    assert_eq!((target.end("large", 0)?, target.end("large", 1)?, target.end("large-other", 0)?), (1, 3, 3));

    // Mended as the sentence says, it goes on.
    target.set_topic_config("large", "max.message.bytes", "300000")?;
    scene.copy("large", "large.*")?;
    for topic in ["large", "large-other"] {
        let report = compare(&scene.source(), &scene.target(), topic)?;
        assert!(report.is_equal(), "{report}");
    }
    Ok(())
}

/// A byte on the source broker's disk has changed: the batch is never forwarded, nor what follows it in its partition; the others are.
#[test]
fn a_batch_damaged_on_disk() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let mut source = Cluster::start(scene.distribution(), Options::new("refuse-damaged"))?;
    let from = source.bootstrap();
    Client::new(&from).create_topic(&NewTopic::new("damaged", 3))?;
    let mix = Mix { codec: "zstd", partitions: 3, records: Some(3_000), ..Mix::default() };
    scene.programs.produce(&from, "damaged", &mix)?;
    source.stop(1)?;
    let file = source.log_dir(1)?.join("damaged-1/00000000000000000000.log");
    let mut log = fs::read(&file)?;
    let batches = parse_batches(&log)?;
    assert!(batches.len() > 4, "{} batches", batches.len());
    let victim = batches.len() / 2;
    // A header of 61 bytes before each payload.
    let start: usize = batches.iter().take(victim).map(|batch| 61 + batch.payload.len()).sum();
    log[start + 61 + batches[victim].payload.len() / 2] ^= 0x10;
    fs::write(&file, log)?;
    source.restart(1)?;
    let damaged = read_log(&from, "damaged", 1)?;
    assert!(!damaged[victim].crc_ok && damaged.iter().filter(|batch| !batch.crc_ok).count() == 1);

    for _ in 0..2 {
        let ended = copy(&from, &scene.target(), "damaged", "damaged", 1)?;
        println!("1: {}", ended.complaint());
        let offset = format!("the batch at source offset {} is damaged", damaged[victim].base_offset);
        for words in ["partition 1 of topic damaged stopped", &offset, "checksum", "not forwarded"] {
            assert!(ended.complaint().contains(words), "{words:?} is not in {}", ended.stderr);
        }
        let copied = read_log(&scene.target(), "damaged", 1)?;
        assert!(copied.iter().all(|batch| batch.crc_ok));
        let payloads = |log: &[_]| -> Vec<Vec<u8>> {
            log.iter().map(|batch: &verbatim_tests::oracle::RawBatch| batch.payload.clone()).collect()
        };
        assert_eq!(payloads(&copied), payloads(&damaged[..victim]));
    }
    let report = compare(&from, &scene.target(), "damaged")?;
    assert!(report.partitions[0].difference.is_none() && report.partitions[0].batches > 0, "{report}");
    assert!(report.partitions[2].difference.is_none() && report.partitions[2].batches > 0, "{report}");
    Ok(())
}

/// Rights that are missing, on a cluster that asks for them: to read on the source, to write and to create on the target.
#[test]
fn missing_rights() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let options = Options::new("refuse-rights")
        .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .property("allow.everyone.if.no.acl.found", "true");
    let cluster = Cluster::start(scene.distribution(), options)?;
    let guarded = cluster.bootstrap();
    let mut client = Client::new(&guarded);
    let all_but = |resource: AclResource, denied| {
        let acl = |operation, allow| Acl { resource: resource.clone(), operation, allow };
        [acl(Operation::All, true), acl(denied, false)]
    };
    let topic = |name: &str| AclResource::Topic(name.to_owned());

    // READ, on the source.
    for name in ["closed", "open"] {
        client.create_topic(&NewTopic::new(name, 2))?;
        client.produce(name, 0, &hello())?;
    }
    client.create_acls(&all_but(topic("closed"), Operation::Read))?;
    let ended = copy(&guarded, &scene.target(), "rights-read", "closed|open", 1)?;
    println!("1: {}", ended.complaint());
    for words in ["of topic closed stopped", "source cluster refuses", "TOPIC_AUTHORIZATION_FAILED", "READ"] {
        assert!(ended.complaint().contains(words), "{words:?} is not in {}", ended.stderr);
    }
    assert!(!ended.complaint().contains("topic open"), "{}", ended.complaint());
    assert_eq!((scene.at_target().end("open", 0)?, scene.at_target().end("closed", 0)?), (1, 0));

    // WRITE, on the target.
    for name in ["unwritable", "writable"] {
        scene.create(&NewTopic::new(name, 1))?;
        scene.at_source().produce(name, 0, &hello())?;
        client.create_topic(&NewTopic::new(name, 1))?;
    }
    client.create_acls(&all_but(topic("unwritable"), Operation::Write))?;
    let ended = copy(&scene.source(), &guarded, "rights-write", "(un)?writable", 1)?;
    println!("1: {}", ended.complaint());
    for words in
        ["of topic unwritable stopped", "target cluster refuses", "TOPIC_AUTHORIZATION_FAILED", "WRITE"]
    {
        assert!(ended.complaint().contains(words), "{words:?} is not in {}", ended.stderr);
    }
    assert_eq!((client.end("writable", 0)?, client.end("unwritable", 0)?), (1, 0));

    // CREATE, on the target: neither the topics nor the flow's own.
    for name in ["uncreated-a", "uncreated-b"] {
        scene.create(&NewTopic::new(name, 1))?;
    }
    client.create_acls(&all_but(AclResource::Cluster, Operation::Create))?;
    client.create_acls(&all_but(topic("*"), Operation::Create))?;
    let before = client.topics()?;
    let arguments = ["run", "--from", &scene.source(), "--to", &guarded, "--name", "rights-create"];
    let more = ["--topics", "uncreated-.*", "--until-caught-up"];
    let ended = Verbatim::run(&[&arguments[..], &more].concat())?.expect(1)?;
    println!("1: {}", ended.complaint());
    for words in ["target cluster", "uncreated-a", "uncreated-b", "AUTHORIZATION_FAILED", "grant CREATE"] {
        assert!(ended.complaint().contains(words), "{words:?} is not in {}", ended.stderr);
    }
    assert_eq!(client.topics()?, before);
    // Where the topics are there already, the flow's own is missed.
    let ended = copy(&scene.source(), &guarded, "rights-create", "(un)?writable", 1)?;
    println!("1: {}", ended.complaint());
    for words in ["target cluster", "__verbatim.rights-create", "AUTHORIZATION_FAILED", "CREATE"] {
        assert!(ended.complaint().contains(words), "{words:?} is not in {}", ended.stderr);
    }
    assert_eq!(client.topics()?, before);
    Ok(())
}
