//! What the user of `verbatim run` sees while all is well: new topics and partitions are taken up, Ctrl-C ends it in order, TLS
//! works. The clusters are shared, each test has a flow of its own; see `refusals` for what goes wrong.

use std::fs;
use std::time::{Duration, Instant};

use verbatim_tests::TestResult;
use verbatim_tests::java::Mix;
use verbatim_tests::oracle::{BatchBuilder, Client, NewTopic, compare};
use verbatim_tests::scene::{Scene, start};
use verbatim_tests::tls::Authority;
use verbatim_tests::verbatim::PATIENCE;
use verbatim_tests::waiting::wait_until;
use xtask::kafka::{Cluster, Options};

fn hello() -> Vec<u8> {
    BatchBuilder::new().key_value(1_700_000_000_000, b"hello", b"world").build()
}

fn wait_for_end(client: &mut Client, topic: &str, partition: i32, end: i64) -> TestResult {
    wait_until(&format!("{topic}-{partition} to reach {end}"), PATIENCE, || {
        // Asked for a topic that is not there yet, the oracle would wait for it longer than we want to measure.
        Ok(client.topics()?.iter().any(|found| found == topic) && client.end(topic, partition)? >= end)
    })
}

/// A topic created while `verbatim run` runs is created on the target and copied, with nobody's help.
#[test]
fn a_new_topic_is_taken_up() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let mut verbatim = scene.start("new", "new-.*", &[])?;
    verbatim.logs("no topic of the source cluster matches --topics new-.* yet; waiting for one")?;
    for topic in ["new-1", "new-2"] {
        let created = Instant::now();
        scene.create(&NewTopic::new(topic, 2))?;
        scene.at_source().produce(topic, 1, &hello())?;
        wait_for_end(&mut scene.at_target(), topic, 1, 1)?;
        println!(
            "{topic}: first record on the target {} ms after its creation",
            created.elapsed().as_millis()
        );
        verbatim.logs(&format!("also copying {topic}"))?;
    }
    verbatim.signal("INT")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    for topic in ["new-1", "new-2"] {
        let report = compare(&scene.source(), &scene.target(), topic)?;
        assert!(report.is_equal() && report.records() == 1, "{report}");
    }
    Ok(())
}

/// A topic that grows on the source grows on the target, and the new partitions are copied from their start.
#[test]
fn a_topic_that_grows() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    scene.create(&NewTopic::new("growing", 1))?;
    scene.at_source().produce("growing", 0, &hello())?;
    let mut verbatim = scene.start("growing", "growing", &[])?;
    wait_for_end(&mut scene.at_target(), "growing", 0, 1)?;
    println!("first record on the target {} ms after the start", verbatim.started().elapsed().as_millis());

    scene.at_source().grow_topic("growing", 3)?;
    scene.at_source().produce("growing", 2, &hello())?;
    verbatim.logs("topic growing has 3 partitions on the target now, as on the source")?;
    scene.at_source().produce("growing", 0, &hello())?;
    wait_for_end(&mut scene.at_target(), "growing", 0, 2)?;
    wait_for_end(&mut scene.at_target(), "growing", 2, 1)?;
    verbatim.signal("INT")?;
    verbatim.ended(PATIENCE)?.expect(0)?;
    let report = compare(&scene.source(), &scene.target(), "growing")?;
    assert!(report.is_equal() && report.records() == 3, "{report}");
    Ok(())
}

/// Ctrl-C, and what a service manager sends: what is under way is finished, the summary is printed, the exit code is 0.
#[test]
fn ended_in_order() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    scene.create(&NewTopic::new("ending", 4))?;
    let mix = Mix { partitions: 4, rate: 500, records: None, ..Mix::default() };
    let load = scene.programs.start_producing(&scene.source(), "ending", &mix)?;
    for signal in ["INT", "TERM"] {
        let verbatim = scene.start("ending", "ending", &[])?;
        let begun = scene.at_source().end("ending", 0)?;
        wait_for_end(&mut scene.at_target(), "ending", 0, begun + 1)?;
        verbatim.signal(signal)?;
        let asked = Instant::now();
        let ended = verbatim.ended(PATIENCE)?.expect(0)?;
        println!("SIG{signal}: over after {} ms; {}", asked.elapsed().as_millis(), ended.stdout.trim());
        assert!(ended.stdout.starts_with("copied ") && ended.stdout.lines().count() == 1, "{}", ended.stdout);
        assert!(ended.stderr.contains("Ctrl-C again ends at once"), "{}", ended.stderr);
        assert_eq!(ended.complaint(), "");
    }
    load.finish()?;
    // It goes on where it was.
    scene.copy("ending", "ending")?;
    let report = compare(&scene.source(), &scene.target(), "ending")?;
    assert!(report.is_equal() && report.records() > 100, "{report}");
    Ok(())
}

/// The target is frozen, so the orderly end has to wait; the second Ctrl-C does not.
#[test]
fn a_second_interrupt_ends_at_once() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let mut target = Cluster::start(scene.distribution(), Options::new("run-frozen"))?;
    scene.create(&NewTopic::new("frozen", 1))?;
    scene.at_source().produce("frozen", 0, &hello())?;
    let mut verbatim = start(&scene.source(), &target.bootstrap(), "frozen", "frozen", &["--log", "debug"])?;
    wait_for_end(&mut Client::new(&target.bootstrap()), "frozen", 0, 1)?;
    target.pause(1)?;
    scene.at_source().produce("frozen", 0, &hello())?;
    verbatim.signal("INT")?;
    verbatim.logs("Ctrl-C again ends at once")?;
    assert!(verbatim.is_running());
    let again = Instant::now();
    // Within half a second of the first it would be one with it.
    wait_until("its end", PATIENCE, || {
        verbatim.signal("INT")?;
        Ok(!verbatim.is_running())
    })?;
    let ended = verbatim.ended(PATIENCE)?.expect(130)?;
    assert!(again.elapsed() < Duration::from_secs(5), "{:?}", again.elapsed());
    assert_eq!(
        ended.complaint(),
        "verbatim: ended at once; what was under way is looked up at the next start"
    );
    // And so it is.
    target.resume(1)?;
    start(&scene.source(), &target.bootstrap(), "frozen", "frozen", &["--until-caught-up"])?
        .ended(PATIENCE)?
        .expect(0)?;
    let report = compare(&scene.source(), &target.bootstrap(), "frozen")?;
    assert!(report.is_equal() && report.records() == 2, "{report}");
    Ok(())
}

/// Over TLS, out of a cluster and into it, with an authority that the system does not know; without it, a sentence about that.
#[test]
fn over_tls() -> TestResult {
    let Some(scene) = Scene::shared()? else { return Ok(()) };
    let authority = Authority::new("run-tls")?;
    let options = authority.listener(Options::new("run-tls"));
    let mut cluster = Cluster::start(scene.distribution(), options)?;
    // The certificate has to name an address that is known only now.
    authority.certify(cluster.address(1)?.ip())?;
    cluster.restart(1)?;
    let (plain, secure) = (cluster.bootstrap(), format!("tls://{}", cluster.secure_bootstrap()));
    let ca_file = authority.ca_file().display().to_string();

    scene.create(&NewTopic::new("secure-in", 2))?;
    let mix = Mix { partitions: 2, codec: "lz4", ..Mix::default() };
    scene.programs.produce(&scene.source(), "secure-in", &mix)?;
    let more = ["--until-caught-up", "--to-ca-file", &ca_file];
    start(&scene.source(), &secure, "tls", "secure-in", &more)?.ended(PATIENCE)?.expect(0)?;
    let report = compare(&scene.source(), &plain, "secure-in")?;
    assert!(report.is_equal() && report.records() == 1_000, "{report}");

    let more = ["--until-caught-up", "--from-ca-file", &ca_file];
    start(&secure, &scene.target(), "tls", "secure-in", &more)?.ended(PATIENCE)?.expect(0)?;
    let report = compare(&plain, &scene.target(), "secure-in")?;
    assert!(report.is_equal() && report.records() == 1_000, "{report}");

    let from_tls = |address: &str, more: &[&str]| -> TestResult<String> {
        let topics = scene.at_target().topics()?;
        let more = [&["--until-caught-up"], more].concat();
        let ended = start(address, &scene.target(), "tls-refused", "secure-in", &more)?.ended(PATIENCE)?;
        let complaint = ended.complaint().to_owned();
        println!("exit code {:?}: {complaint}", ended.code);
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(complaint.contains("--from") && !complaint.contains("--from-ca-file is"), "{complaint}");
        assert!(!scene.at_target().topics()?.iter().any(|topic| topic == "__verbatim.tls-refused"));
        assert!(scene.at_target().topics()?.len() >= topics.len());
        ended.expect(1)?;
        Ok(complaint)
    };
    // Nobody the system knows has signed this certificate.
    let unknown = from_tls(&secure, &[])?;
    assert!(unknown.contains(&cluster.secure_bootstrap()) && unknown.contains("certificate"), "{unknown}");
    let plain_to_tls = from_tls(&cluster.secure_bootstrap(), &[])?;
    assert!(
        plain_to_tls.contains("this listener speaks TLS; put tls:// in front of the address"),
        "{plain_to_tls}"
    );
    let tls_to_plain = from_tls(&format!("tls://{plain}"), &["--from-ca-file", &ca_file])?;
    assert!(tls_to_plain.contains(&plain) && tls_to_plain.to_lowercase().contains("tls"), "{tls_to_plain}");
    fs::metadata(&ca_file)?;
    Ok(())
}
