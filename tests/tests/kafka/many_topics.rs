//! Promise: a thousand topics of ten partitions are found, made and copied from within seconds, and looking for more costs next to
//! nothing. In its long form only: brokers take minutes with so many partitions.

use std::fs;
use std::time::{Duration, Instant};

use verbatim_tests::TestResult;
use verbatim_tests::kafka::{self, TemporaryDirectory};
use verbatim_tests::oracle::{BatchBuilder, Client, NewTopic};
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::workload::now_ms;
use xtask::kafka::Options;

const TOPICS: usize = 1000;
const PARTITIONS: i32 = 10;

#[test]
fn a_thousand_topics() -> TestResult {
    if !kafka::long() {
        return Ok(());
    }
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let large = |name: &str| Options::new(name).heap_mib(3000);
    let clusters = kafka::start_two(&distribution, large("many-source"), large("many-target"))?;
    let (source, target) = (clusters.source.bootstrap(), clusters.target.bootstrap());
    let (mut at_source, mut at_target) = (Client::new(&source), Client::new(&target));
    let hello = BatchBuilder::new().key_value(now_ms(), b"hello", b"world").build();
    let start = Instant::now();
    for number in 0..TOPICS {
        let topic = format!("topic-{number:04}");
        at_source.create_topic(&NewTopic::new(&topic, PARTITIONS))?;
        at_source.produce(&topic, 7, &hello)?;
    }
    println!("{TOPICS} topics created on the source in {} s", start.elapsed().as_secs());

    let folder = TemporaryDirectory::new("many")?;
    let path = folder.path().join("flows.toml");
    let text = format!(
        "[clusters.a]\nbootstrap = \"{source}\"\n[clusters.b]\nbootstrap = \"{target}\"\n[[flows]]\nfrom = \"a\"\nto = \"b\"\n"
    );
    fs::write(&path, text)?;
    let verbatim = Verbatim::start(&["run", &path.display().to_string()])?;
    let last = format!("a.topic-{:04}", TOPICS - 1);
    wait_until("the last topic to be copied", Duration::from_secs(900), || {
        Ok(at_target.topics()?.contains(&last) && at_target.end(&last, 7)? == 1)
    })?;
    println!("the last of {TOPICS} new topics copied after {} ms", verbatim.started().elapsed().as_millis());
    for number in (0..TOPICS).step_by(37) {
        wait_until("all to be copied", PATIENCE, || {
            Ok(at_target.end(&format!("a.topic-{number:04}"), 7)? == 1)
        })?;
    }
    verbatim.signal("TERM")?;
    let ended = verbatim.ended(PATIENCE)?.expect(0)?;
    println!("with topics to create: {}", ended.stdout.trim());

    // Again, with everything there.
    for number in 0..TOPICS {
        at_source.produce(&format!("topic-{number:04}"), 7, &hello)?;
    }
    let verbatim = Verbatim::start(&["run", &path.display().to_string()])?;
    wait_until(
        "the last topic to be copied",
        Duration::from_secs(300),
        || Ok(at_target.end(&last, 7)? == 2),
    )?;
    println!(
        "all there: the last of {TOPICS} topics copied after {} ms",
        verbatim.started().elapsed().as_millis()
    );

    // At rest.
    std::thread::sleep(Duration::from_secs(10));
    let (begin, before) = (Instant::now(), verbatim.cpu_time()?);
    std::thread::sleep(Duration::from_secs(60));
    let used = verbatim.cpu_time()? - before;
    let share = 100.0 * used.as_secs_f64() / begin.elapsed().as_secs_f64();
    println!(
        "at rest: {share:.2} % of a core; {} MiB resident",
        verbatim.resident_kib().map_or(0, |(now, _)| now >> 10)
    );

    at_source.create_topic(&NewTopic::new("later", PARTITIONS))?;
    at_source.produce("later", 3, &hello)?;
    let created = Instant::now();
    wait_until("the later topic", PATIENCE, || {
        Ok(at_target.topics()?.iter().any(|topic| topic == "a.later") && at_target.end("a.later", 3)? == 1)
    })?;
    println!("a topic created later is copied after {} ms", created.elapsed().as_millis());
    verbatim.signal("TERM")?;
    let ended = verbatim.ended(PATIENCE)?.expect(0)?;
    println!("{}", ended.stdout.trim());
    Ok(())
}
