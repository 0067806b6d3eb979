//! Promise: the rates that the user of `verbatim run` gives hold, on the command line and in a file, and those of a file may be changed
//! while it runs.
//!
//! Processes, sockets and time are real. A slow machine only makes a copy slower: what is asserted of time is how much has been copied at
//! most; how much has to come has all the time there is.
#![cfg(unix)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use verbatim_testbroker::{TestCluster, opaque_batch};
use verbatim_tests::TestResult;
use verbatim_tests::kafka::TemporaryDirectory;
use verbatim_tests::scenario::now_ms;
use verbatim_tests::scene;
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;

const MIB: u64 = 1 << 20;
const PARTITIONS: i32 = 4;
const BATCH_BYTES: usize = 20_000;
/// What is sent at once is what a rate allows in a twentieth of a second.
const BURSTS_PER_SECOND: u64 = 20;
/// Requests that may be under way: what comes after a change may have been sent before.
const UNDER_WAY: u64 = 10;

/// Two clusters, and more to copy than any test waits for.
struct Field {
    source: TestCluster,
    target: TestCluster,
    directory: TemporaryDirectory,
    _runtime: Runtime,
}

impl Field {
    fn new(topics: &[&str]) -> TestResult<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let start = async |id: &str| TestCluster::builder().cluster_id(id).start_tcp().await;
        let (source, target) = (runtime.block_on(start("source"))?, runtime.block_on(start("target"))?);
        let batch = opaque_batch(vec![1; BATCH_BYTES].into(), 1, 1).timestamp_ms(now_ms()).build();
        for topic in topics {
            source.create_topic(topic, PARTITIONS, &[]).map_err(|code| code.to_string())?;
            for at in 0..8_000 {
                source.append(topic, at % PARTITIONS, &batch).map_err(|code| code.to_string())?;
            }
        }
        Ok(Self { source, target, directory: TemporaryDirectory::new("rates")?, _runtime: runtime })
    }

    fn copied(&self, topic: &str) -> u64 {
        (0..PARTITIONS).map(|at| self.target.log_bytes(topic, at).unwrap_or(0) as u64).sum()
    }

    /// Writes the file of a flow with `above` above it and `keys` in it.
    fn file(&self, above: &str, keys: &str) -> TestResult<PathBuf> {
        let (source, target) = (self.source.bootstrap(), self.target.bootstrap());
        let text = format!(
            "{above}\n[clusters.a]\nbootstrap = \"{source}\"\n[clusters.b]\nbootstrap = \"{target}\"\n\
             [[flows]]\nfrom = \"a\"\nto = \"b\"\ntopics = [\".*\"]\nnaming = \"identity\"\n{keys}\n"
        );
        let path = self.directory.path().join("flows.toml");
        fs::write(&path, text)?;
        Ok(path)
    }

    fn run(&self, above: &str, keys: &str) -> TestResult<Verbatim> {
        let path = self.file(above, keys)?;
        Ok(Verbatim::start(&["run", &path.display().to_string()])?)
    }

    /// Changes the file and waits until the process has read it, for the `nth` time.
    fn change(&self, running: &Verbatim, nth: usize, above: &str, keys: &str) -> TestResult {
        self.file(above, keys)?;
        running.signal("HUP")?;
        wait_until("the file to be read again", PATIENCE, || {
            Ok(running.log().matches("read again; its rates hold now").count() >= nth)
        })
    }

    /// Waits until what `rate` allows in `seconds` has come of `topic`, and asserts that no more comes than it allows, beside `spare`
    /// bytes, since `before` bytes were there at `since`.
    fn assert_keeps_to(
        &self,
        topic: &str,
        rate: u64,
        seconds: u64,
        (since, before, spare): (Instant, u64, u64),
    ) -> TestResult {
        wait_until(&format!("{topic} to be copied at {rate} bytes per second"), PATIENCE, || {
            let copied = self.copied(topic) - before;
            let allowed = 1.2 * rate as f64 * since.elapsed().as_secs_f64() + spare as f64;
            assert!(copied as f64 <= allowed, "{copied} bytes of {topic} in {:?}", since.elapsed());
            Ok(copied >= rate * seconds)
        })?;
        let seconds = since.elapsed().as_secs_f64();
        let rate = rate as f64;
        println!(
            "{topic}: {:.3} of {rate} in {seconds:.1} s",
            (self.copied(topic) - before) as f64 / seconds / rate
        );
        Ok(())
    }

    /// Waits until `topic` has come faster than `rate` for a second, the first of which begins when and where `window` says.
    fn assert_exceeds(&self, topic: &str, rate: u64, mut window: (Instant, u64)) -> TestResult {
        wait_until(&format!("{topic} to come faster than {rate} bytes per second"), PATIENCE, || {
            let (since, before) = window;
            if since.elapsed() < Duration::from_secs(1) {
                return Ok(false);
            }
            let copied = self.copied(topic) - before;
            let found = copied as f64 / since.elapsed().as_secs_f64();
            window = (Instant::now(), self.copied(topic));
            Ok(found > rate as f64)
        })
    }
}

fn burst(rate: u64) -> u64 {
    rate / BURSTS_PER_SECOND + BATCH_BYTES as u64
}

fn ended(running: Verbatim) -> TestResult {
    running.signal("INT")?;
    running.ended(PATIENCE)?.expect(0)?;
    Ok(())
}

#[test]
fn the_rate_of_the_command_line_holds() -> TestResult {
    let field = Field::new(&["t"])?;
    for (rate, text) in [(2 * MIB, "2MiB"), (300_000, "300000")] {
        let before = field.copied("t");
        let (from, to) = (field.source.bootstrap(), field.target.bootstrap());
        let running = scene::start(&from, &to, "rates", "t", &["--max-rate", text])?;
        field.assert_keeps_to("t", rate, 3, (running.started(), before, burst(rate)))?;
        ended(running)?;
    }
    Ok(())
}

/// A rate that a file has for all flows, and one for a flow.
#[test]
fn a_rate_changed_in_the_file_holds_from_then_on() -> TestResult {
    for is_above in [true, false] {
        let field = Field::new(&["t"])?;
        let keys = |rate: &str| {
            let line = format!("max_rate = \"{rate}\"");
            if is_above { (line, String::new()) } else { (String::new(), line) }
        };
        let (above, of_flow) = keys("1MiB");
        let running = field.run(&above, &of_flow)?;
        field.assert_keeps_to("t", MIB, 2, (running.started(), 0, burst(MIB)))?;

        let (above, of_flow) = keys("4MiB");
        let (since, before) = (Instant::now(), field.copied("t"));
        field.change(&running, 1, &above, &of_flow)?;
        field.assert_exceeds("t", 2 * MIB, (since, before))?;
        field.assert_keeps_to("t", 4 * MIB, 2, (since, before, burst(4 * MIB) * UNDER_WAY))?;

        // Down again, for so long that what was under way does not explain more.
        let (above, of_flow) = keys("1MiB");
        field.change(&running, 2, &above, &of_flow)?;
        let (since, before) = (Instant::now(), field.copied("t"));
        field.assert_keeps_to("t", MIB, 4, (since, before, burst(4 * MIB) * UNDER_WAY))?;
        ended(running)?;
    }
    Ok(())
}

#[test]
fn a_topics_rate_holds_and_may_be_changed() -> TestResult {
    let field = Field::new(&["slow", "free"])?;
    let running = field.run("", "topic_max_rate = [\"slow=1MiB\"]")?;
    field.assert_exceeds("free", 2 * MIB, (running.started(), 0))?;
    field.assert_keeps_to("slow", MIB, 2, (running.started(), 0, burst(MIB)))?;

    let (since, before) = (Instant::now(), field.copied("slow"));
    field.change(&running, 1, "", "topic_max_rate = [\"nothing=1\", \"s.*=5MiB\", \"slow=1MiB\"]")?;
    field.assert_exceeds("slow", 5 * MIB / 2, (since, before))?;
    field.assert_keeps_to("slow", 5 * MIB, 2, (since, before, burst(5 * MIB) * UNDER_WAY))?;
    ended(running)
}
