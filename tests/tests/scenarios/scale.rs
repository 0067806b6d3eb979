//! Promise: what a partition costs is known and small, however many there are. Ten thousand of them on a hundred brokers in the
//! long form; the brokers are simulated, `verbatim run` and its sockets are real.
//!
//! The figures are printed; asserted is what does not depend on the machine's speed: every record is on the target exactly once,
//! at its offset, and memory stays below a ceiling. Figures worth keeping come from an optimised build of both:
//!
//! ```sh
//! cargo build --release -p verbatim
//! VERBATIM_LONG=1 VERBATIM_EXECUTABLE=target/release/verbatim cargo test --release -p verbatim-tests --test scale -- --nocapture
//! ```
//!
//! `VERBATIM_SCALE=TOPICS,SOURCES,TARGETS,SECONDS` measures that instead: topics of ten partitions, brokers, and how long each
//! window is.

use std::fmt;
use std::time::{Duration, Instant};

use kafka_protocol::messages::ApiKey;
use tokio::runtime::Runtime;
use verbatim_testbroker::{TestCluster, Traffic, batch};
use verbatim_tests::TestResult;
use verbatim_tests::sameness::seen;
use verbatim_tests::scene;
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::workload::now_ms;

/// Partitions of each topic.
const WIDTH: usize = 10;
/// Parts a second is cut into while records trickle in: in each, as many brokers as can be get a record.
const TICKS: usize = 100;
/// Resident memory may be this, in KiB: what a flow takes without partitions, and for each partition. Generous: a debug build,
/// and what the allocator keeps from starting.
const CEILING_KIB: (u64, u64) = (96 << 10, 16);

#[derive(Clone, Copy)]
struct Shape {
    topics: usize,
    sources: usize,
    targets: usize,
    /// How long is measured.
    window: Duration,
}

impl Shape {
    fn partitions(self) -> usize {
        self.topics * WIDTH
    }

    /// All partitions. Neighbours are led by different brokers.
    fn places(self) -> impl Iterator<Item = (String, i32)> {
        (0..WIDTH as i32)
            .flat_map(move |partition| (0..self.topics).map(move |topic| (name(topic), partition)))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sources, targets, .. } = self;
        write!(f, "{} partitions, {sources} brokers to {targets}", self.partitions())
    }
}

fn shape(topics: usize, sources: usize, targets: usize, seconds: u64) -> Shape {
    Shape { topics, sources, targets, window: Duration::from_secs(seconds) }
}

/// A shape of one's own, as a profiler wants it, beside a smaller one on the same brokers.
fn wished(text: &str) -> Option<[Shape; 2]> {
    let numbers: Vec<usize> =
        text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    let &[topics, sources, targets, seconds] = numbers.as_slice() else { return None };
    let is_sane = topics > 1 && sources > 0 && targets > 0 && seconds > 0;
    is_sane.then(|| {
        [sources.min(topics - 1), topics].map(|topics| shape(topics, sources, targets, seconds as u64))
    })
}

fn name(topic: usize) -> String {
    format!("scale-{topic:05}")
}

#[test]
fn thousands_of_partitions_on_many_brokers() -> TestResult {
    // As many topics as brokers: each leads something, so that connections are in both columns and fall out of the last one.
    let rows = match std::env::var("VERBATIM_SCALE") {
        Ok(wanted) => vec![wished(&wanted).ok_or("VERBATIM_SCALE is TOPICS,SOURCES,TARGETS,SECONDS")?],
        Err(_) if std::env::var_os("VERBATIM_LONG").is_some() => {
            vec![
                [shape(100, 100, 10, 20), shape(1000, 100, 10, 20)],
                [shape(100, 100, 100, 20), shape(1000, 100, 100, 20)],
            ]
        }
        Err(_) => vec![[shape(20, 20, 5, 2), shape(100, 20, 5, 2)]],
    };
    for [small, large] in rows {
        enough_files(large)?;
        let (base, full) = (measured(small)?, measured(large)?);
        println!("{}", Table { small, base, large, full });
    }
    Ok(())
}

/// Sockets of all brokers and both ends of all connections may be open in this process at once.
fn enough_files(shape: Shape) -> TestResult {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().next()).unwrap_or("unlimited");
    // A broker holds its port and listens; fetches and questions come over one connection each, batches over two.
    let needed = shape.sources * 4 + shape.targets * 5 + 100;
    match limit.parse::<usize>() {
        Ok(limit) if limit < needed => Err(format!(
            "{shape}: only {limit} files may be open at once here, and {needed} are needed: raise it, as with `ulimit -n {needed}`"
        )
        .into()),
        _ => Ok(()),
    }
}

/// What a flow cost.
struct Figures {
    copied: Duration,
    resident_kib: u64,
    peak_kib: u64,
    idle: Window,
    refresh: Window,
    trickle: Window,
}

/// What was used within a while.
#[derive(Clone, Copy)]
struct Window {
    seconds: f64,
    cpu_seconds: f64,
    fetches: u64,
    produces: u64,
    /// Of the source.
    metadata: Traffic,
}

impl Window {
    /// In percent.
    fn core(&self) -> f64 {
        100.0 * self.cpu_seconds / self.seconds
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }
}

/// Two clusters, a flow, and where it stands.
struct Field {
    // In this order: the process goes before the brokers it talks to.
    verbatim: Verbatim,
    source: TestCluster,
    target: TestCluster,
    shape: Shape,
    /// Records each partition has been given.
    records: usize,
    _runtime: Runtime,
}

fn measured(shape: Shape) -> TestResult<Figures> {
    let mut field = Field::new(shape)?;
    field.wait_until_copied()?;
    let copied = field.verbatim.started().elapsed();
    let idle = field.window(|field| field.rest(shape.window))?;
    let (resident_kib, peak_kib) = field.verbatim.resident_kib().unwrap_or_default();
    let refresh = field.window(Field::refresh_leaders)?;
    let trickle = field.window(Field::trickle)?;
    field.wait_until_copied()?;
    let (resident_in_the_end, _) = field.verbatim.resident_kib().unwrap_or_default();
    let ceiling_kib = CEILING_KIB.0 + CEILING_KIB.1 * shape.partitions() as u64;
    for resident_kib in [resident_kib, resident_in_the_end] {
        assert!(resident_kib < ceiling_kib, "{shape}: {resident_kib} KiB resident, more than {ceiling_kib}");
    }
    field.end()?;
    Ok(Figures { copied, resident_kib, peak_kib, idle, refresh, trickle })
}

impl Field {
    /// With one record in every partition, and the flow just started.
    fn new(shape: Shape) -> TestResult<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (source, target) = runtime.block_on(async {
            let start = async |id: &str, brokers| {
                TestResult::Ok(TestCluster::builder().brokers(brokers).cluster_id(id).start_tcp().await?)
            };
            TestResult::Ok((start("source", shape.sources).await?, start("target", shape.targets).await?))
        })?;
        for topic in 0..shape.topics {
            source.create_topic(&name(topic), WIDTH as i32, &[]).map_err(|code| format!("{code:?}"))?;
        }
        for (topic, partition) in shape.places() {
            append(&source, &topic, partition, 0)?;
        }
        let (from, to) = (source.bootstrap(), target.bootstrap());
        let verbatim = scene::start(&from, &to, "scale", "scale-.*", &[])?;
        Ok(Self { verbatim, source, target, shape, records: 1, _runtime: runtime })
    }

    fn wait_until_copied(&mut self) -> TestResult {
        let (target, wanted) = (&self.target, self.records as i64);
        let mut left: Vec<_> = self.shape.places().collect();
        wait_until("every record to be copied", PATIENCE, || {
            left.retain(|(topic, partition)| target.log_end(topic, *partition).unwrap_or(0) < wanted);
            if !left.is_empty() && !self.verbatim.is_running() {
                return Err(format!("verbatim has ended:\n{}", self.verbatim.log()).into());
            }
            Ok(left.is_empty())
        })
    }

    /// Measures while `happens` does.
    fn window(&mut self, happens: impl FnOnce(&mut Self) -> TestResult) -> TestResult<Window> {
        let count = |field: &Self| {
            let fetches = field.source.traffic(ApiKey::Fetch).answers;
            let produces = field.target.traffic(ApiKey::Produce).answers;
            (fetches, produces, field.source.traffic(ApiKey::Metadata))
        };
        let (begin, cpu, before) = (Instant::now(), self.verbatim.cpu_time()?, count(self));
        happens(self)?;
        let (cpu, after) = (self.verbatim.cpu_time()?.saturating_sub(cpu), count(self));
        let (old, new) = (before.2, after.2);
        let metadata = Traffic {
            requests: new.requests - old.requests,
            request_bytes: new.request_bytes - old.request_bytes,
            answers: new.answers - old.answers,
            answer_bytes: new.answer_bytes - old.answer_bytes,
        };
        Ok(Window {
            seconds: begin.elapsed().as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            fetches: after.0 - before.0,
            produces: after.1 - before.1,
            metadata,
        })
    }

    /// Nothing happens: what that costs takes its time to be seen.
    fn rest(&mut self, window: Duration) -> TestResult {
        std::thread::sleep(window);
        Ok(())
    }

    /// A leader begins a new epoch, again and again: each time the flow asks who leads what.
    fn refresh_leaders(&mut self) -> TestResult {
        let begin = Instant::now();
        while begin.elapsed() < self.shape.window {
            let asked = self.source.traffic(ApiKey::Metadata).answers;
            self.source.bump_epoch(&name(0), 0).map_err(|code| format!("{code:?}"))?;
            let source = &self.source;
            wait_until("the leaders to be asked for", PATIENCE, || {
                Ok(source.traffic(ApiKey::Metadata).answers > asked)
            })?;
        }
        Ok(())
    }

    /// Every partition gets a record a second, evenly over brokers and time.
    fn trickle(&mut self) -> TestResult {
        let places: Vec<_> = self.shape.places().collect();
        let begin = Instant::now();
        for second in 0..self.shape.window.as_secs() {
            for tick in 0..TICKS {
                let due = Duration::from_secs(second) + Duration::from_secs(1) / TICKS as u32 * tick as u32;
                std::thread::sleep(due.saturating_sub(begin.elapsed()));
                let (first, next) = (places.len() * tick / TICKS, places.len() * (tick + 1) / TICKS);
                for (topic, partition) in places.get(first..next).unwrap_or_default() {
                    append(&self.source, topic, *partition, self.records)?;
                }
            }
            self.records += 1;
        }
        std::thread::sleep(self.shape.window.saturating_sub(begin.elapsed()));
        Ok(())
    }

    /// Ends the flow and compares the logs.
    fn end(self) -> TestResult {
        self.verbatim.signal("TERM")?;
        self.verbatim.ended(PATIENCE)?.expect(0)?;
        for (topic, partition) in self.shape.places() {
            let (source, copy) =
                (seen(&self.source, &topic, partition), seen(&self.target, &topic, partition));
            assert_eq!(source.len(), self.records, "{topic}-{partition}");
            assert_eq!(source, copy, "{topic}-{partition}");
        }
        Ok(())
    }
}

fn append(cluster: &TestCluster, topic: &str, partition: i32, number: usize) -> TestResult {
    let record = (format!("{topic}-{partition}"), format!("{number:0>100}"));
    let batch = batch([record]).timestamp_ms(now_ms()).build();
    cluster.append(topic, partition, &batch).map(drop).map_err(|code| format!("{code:?}").into())
}

/// The small row and the large one, and what the partitions between them cost.
struct Table {
    small: Shape,
    base: Figures,
    large: Shape,
    full: Figures,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { small, base, large, full } = self;
        let more = (large.partitions() - small.partitions()) as f64;
        let each = |full: f64, base: f64| (full - base) / more;
        writeln!(f, "| | {small} | {large} | each partition |\n|---|---|---|---|")?;
        let seconds = (base.copied.as_secs_f64(), full.copied.as_secs_f64());
        let per = each(seconds.1, seconds.0) * 1000.0;
        writeln!(f, "| start to all copied | {:.2} s | {:.2} s | {per:.2} ms |", seconds.0, seconds.1)?;
        let mib = |kib: u64| kib as f64 / 1024.0;
        for (what, base, full) in [
            ("resident", base.resident_kib, full.resident_kib),
            ("resident at most, while starting", base.peak_kib, full.peak_kib),
        ] {
            let per = each(full as f64, base as f64);
            writeln!(f, "| {what} | {:.1} MiB | {:.1} MiB | {per:.2} KiB |", mib(base), mib(full))?;
        }
        for (what, base, full) in
            [("idle", base.idle, full.idle), ("one record a second each", base.trickle, full.trickle)]
        {
            let per = each(full.core(), base.core()) * 10_000.0;
            let (base_core, full_core) = (base.core(), full.core());
            writeln!(f, "| {what} | {base_core:.2} % of a core | {full_core:.2} % | {per:.2} µs/s |")?;
            let rate = |window: Window| {
                let (fetches, produces) =
                    (window.per_second(window.fetches), window.per_second(window.produces));
                let metadata = window.per_second(window.metadata.answers);
                format!("{fetches:.0} Fetch, {produces:.0} Produce, {metadata:.1} Metadata")
            };
            writeln!(f, "| {what}: requests a second | {} | {} | |", rate(base), rate(full))?;
        }
        // The machine may have been too slow for that.
        let records = |shape: &Shape, figures: &Figures| {
            (shape.partitions() as u64 * shape.window.as_secs()) as f64 / figures.trickle.seconds
        };
        let (base_records, full_records) = (records(small, base), records(large, full));
        writeln!(f, "| records a second | {base_records:.0} | {full_records:.0} | |")?;
        let refreshed = |figures: &Figures| {
            let Figures { idle, refresh, .. } = figures;
            let idle_cpu = idle.cpu_seconds / idle.seconds * refresh.seconds;
            let idle_asked = idle.per_second(idle.metadata.answers) * refresh.seconds;
            let asked = refresh.metadata.answers as f64;
            let bytes = refresh.metadata.answer_bytes as f64 / asked;
            ((refresh.cpu_seconds - idle_cpu) * 1e3 / (asked - idle_asked), bytes)
        };
        let ((base_ms, base_bytes), (full_ms, full_bytes)) = (refreshed(base), refreshed(full));
        let per = each(full_ms, base_ms) * 1000.0;
        if base_ms.min(full_ms) > 0.0 {
            writeln!(f, "| leaders asked for once: CPU | {base_ms:.2} ms | {full_ms:.2} ms | {per:.2} µs |")?;
        } else {
            // The kernel counts in hundredths of a second.
            writeln!(
                f,
                "| leaders asked for once: CPU | too little to be seen within {:?} | | |",
                large.window
            )?;
        }
        let per = each(full_bytes, base_bytes);
        let kib = |bytes: f64| bytes / 1024.0;
        write!(f, "| its answer | {:.1} KiB | {:.1} KiB | {per:.0} bytes |", kib(base_bytes), kib(full_bytes))
    }
}
