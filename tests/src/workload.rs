//! Java producers at work on topics of every kind while something goes wrong, and what has to be true of the copies afterwards.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::TestResult;
use crate::java::{Mix, MixMode, Running};
use crate::likeness::{Compacted, Likeness, compare_seen};
use crate::oracle::{Client, Comparison, Isolation, LogReader, NewTopic};
use crate::scene::Scene;

/// Broker setting that makes the cleaner look often, so that a compacted topic is compacted while a test runs.
pub const EAGER_CLEANER: (&str, &str) = ("log.cleaner.backoff.ms", "100");
const DAY_MS: i64 = 86_400_000;

/// What kind of topic it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Without transactions: the copy has the same batches at the same offsets.
    Log,
    /// With transactions, some of them aborted.
    Transactions,
    /// Compacted on the source only, so that on the target nothing hides.
    Compacted,
    /// Compacted on both sides.
    CompactedTwice,
}

/// A topic and what is written to it.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The topic.
    pub topic: String,
    /// What kind it is.
    pub kind: Kind,
    /// What is written.
    pub mix: Mix,
    never_cleaned: bool,
}

impl Stream {
    /// A topic with records of the present.
    pub fn new(topic: &str, kind: Kind, partitions: u32, rate: u32) -> Self {
        let is_compacted = matches!(kind, Kind::Compacted | Kind::CompactedTwice);
        let mode = match kind {
            Kind::Transactions => MixMode::Transactional { records: 40, abort_every: 3 },
            _ => MixMode::Idempotent,
        };
        let seed = topic.bytes().fold(0u64, |seed, byte| (seed * 31 + u64::from(byte)) % 1_000_003);
        let mix = Mix {
            partitions,
            rate,
            mode,
            seed,
            records: None,
            linger_ms: 20,
            size_bytes: if is_compacted { (1_000, 4_000) } else { (10, 1_500) },
            always_keyed: is_compacted,
            numbered: true,
            timestamp: Some(now_ms()),
            ..Mix::default()
        };
        Self { topic: topic.to_owned(), kind, mix, never_cleaned: false }
    }

    /// Compresses with another codec than none.
    pub fn codec(mut self, codec: &'static str) -> Self {
        self.mix.codec = codec;
        self
    }

    /// Records without a producer id. Their numbers are left out: nothing keeps such records in order.
    pub fn plain(mut self) -> Self {
        self.mix.mode = MixMode::Plain;
        self.mix.numbered = false;
        self
    }

    /// Records of last month: a broker soon forgets who wrote them.
    pub fn old(mut self) -> Self {
        self.mix.timestamp = Some(now_ms() - 30 * DAY_MS);
        self
    }

    /// Compacted by its settings, but all of it in the segment that is never cleaned.
    pub fn never_cleaned(mut self) -> Self {
        self.never_cleaned = true;
        self
    }

    fn is_compacted(&self) -> bool {
        matches!(self.kind, Kind::Compacted | Kind::CompactedTwice)
    }

    fn is_cleaned(&self) -> bool {
        self.is_compacted() && !self.never_cleaned
    }

    fn create(&self, scene: &Scene) -> TestResult {
        let partitions = i32::try_from(self.mix.partitions)?;
        let mut topic = NewTopic::new(&self.topic, partitions);
        topic = match self.is_compacted() {
            true if self.never_cleaned => topic.config("cleanup.policy", "compact"),
            true => compacted(topic),
            false => topic,
        };
        scene.create(&topic)?;
        if self.kind == Kind::Compacted {
            scene.at_target().create_topic(&NewTopic::new(&self.topic, partitions))?;
        }
        Ok(())
    }
}

/// A topic whose cleaner has work after every mebibyte, the smallest segment there is.
pub fn compacted(topic: NewTopic) -> NewTopic {
    topic
        .config("cleanup.policy", "compact")
        .config("segment.bytes", "1048576")
        .config("min.cleanable.dirty.ratio", "0.01")
}

/// Streams that flow until told to end.
#[derive(Debug)]
pub struct Workload {
    streams: Vec<(Stream, Option<Running>)>,
    /// Only records are compared.
    pub batches_may_differ: bool,
}

impl Workload {
    /// Creates the topics, each with `name` before its own, and starts the producers.
    pub fn begin(scene: &Scene, name: &str, streams: Vec<Stream>) -> TestResult<Self> {
        let mut begun = Vec::new();
        for mut stream in streams {
            stream.topic = format!("{name}-{}", stream.topic);
            stream.create(scene)?;
            let running = scene.programs.start_producing(&scene.source(), &stream.topic, &stream.mix)?;
            begun.push((stream, Some(running)));
        }
        Ok(Self { streams: begun, batches_may_differ: false })
    }

    /// What `--topics` has to be.
    pub fn pattern(&self) -> String {
        self.streams.iter().map(|(stream, _)| stream.topic.as_str()).collect::<Vec<_>>().join(",")
    }

    /// How many records all partitions of all topics hold that exist in a cluster.
    pub fn ends(&self, client: &mut Client) -> TestResult<i64> {
        let mut sum = 0;
        let existing = client.topics()?;
        for (stream, _) in self.streams.iter().filter(|(stream, _)| existing.contains(&stream.topic)) {
            for partition in 0..i32::try_from(stream.mix.partitions)? {
                sum += client.end(&stream.topic, partition)?;
            }
        }
        Ok(sum)
    }

    /// Whether the cleaner has taken records out of every topic that it is to compact on the source.
    pub fn is_thinned(&self, scene: &Scene) -> TestResult<bool> {
        for (stream, _) in self.streams.iter().filter(|(stream, _)| stream.is_cleaned()) {
            if thinned_batches(&scene.source(), &stream.topic)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends the producers; an error if one of them failed.
    pub fn finish(&mut self) -> TestResult {
        for (_, running) in &mut self.streams {
            if let Some(running) = running.take() {
                running.finish()?;
            }
        }
        Ok(())
    }

    /// Compares all topics, batch by batch where those stay as they are and record by record as consumers see them. With
    /// `same_offsets` every record has to be where it was; else only those of topics without transactions and compaction.
    pub fn compare(&self, scene: &Scene, same_offsets: bool) -> TestResult<Tally> {
        let (from, to) = (scene.source(), scene.target());
        let mut tally = Tally::default();
        for (stream, _) in &self.streams {
            let topic = stream.topic.as_str();
            let comparison = Comparison::new(&from, &to, topic);
            let comparison = match stream.kind {
                _ if stream.is_cleaned() || self.batches_may_differ => None,
                Kind::Transactions if same_offsets => Some(comparison.committed().same_offsets()),
                Kind::Transactions => Some(comparison.committed()),
                _ => Some(comparison.same_offsets()),
            };
            if let Some(comparison) = comparison {
                let report = comparison.run()?;
                tally.bytes += report.payload_bytes();
                if !report.is_equal() {
                    tally.violations.push(report.to_string());
                }
            } else if stream.is_cleaned() {
                tally.thinned += thinned_batches(&from, topic)?;
            }
            let likeness =
                Likeness { same_offsets: same_offsets || stream.has_no_holes(), ..stream.likeness() };
            let original = scene.programs.records(&from, topic, Isolation::Committed)?;
            for isolation in [Isolation::Committed, Isolation::Uncommitted] {
                let copy = scene.programs.records(&to, topic, isolation)?;
                let found = compare_seen(&original, &copy, likeness);
                if isolation == Isolation::Committed {
                    tally.records += found.records;
                }
                if !found.is_equal() {
                    tally.violations.push(format!("{topic}, a consumer of {isolation:?} records: {found}"));
                }
            }
        }
        Ok(tally)
    }
}

impl Stream {
    fn likeness(&self) -> Likeness {
        Likeness::RECORDS.compacted(match self.kind {
            Kind::Compacted if self.is_cleaned() => Compacted::Source,
            Kind::CompactedTwice if self.is_cleaned() => Compacted::Both,
            _ => Compacted::Neither,
        })
    }

    /// Whether each of its offsets is a record that is to be copied.
    fn has_no_holes(&self) -> bool {
        self.kind != Kind::Transactions && !self.is_cleaned()
    }
}

/// Batches of a topic that compaction took records out of.
pub fn thinned_batches(bootstrap: &str, topic: &str) -> TestResult<u64> {
    let mut thinned = 0;
    for partition in Client::new(bootstrap).partitions(topic)? {
        for batch in LogReader::open(bootstrap, topic, partition, Isolation::Uncommitted)? {
            let batch = batch?;
            thinned += u64::from(batch.count != batch.last_offset_delta + 1);
        }
    }
    Ok(thinned)
}

/// Whether the cleaner has been through all closed segments of a topic's partitions, whose logs are in `directory`.
pub fn is_clean(directory: &Path, topic: &str, partitions: i32) -> TestResult<bool> {
    let checkpoint = fs::read_to_string(directory.join("cleaner-offset-checkpoint")).unwrap_or_default();
    for partition in 0..partitions {
        let segments = fs::read_dir(directory.join(format!("{topic}-{partition}")))?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".log")?.parse::<i64>().ok());
        let active = segments.max().unwrap_or(0);
        let line = format!("{topic} {partition} {active}");
        if active == 0 || !checkpoint.lines().any(|found| found == line) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records of the source that were compared.
    pub records: u64,
    /// Bytes of payload that were compared byte by byte.
    pub bytes: u64,
    /// Batches of the source that the cleaner took records out of.
    pub thinned: u64,
    /// What is not as it has to be.
    pub violations: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, bytes, thinned, violations: _ } = self;
        write!(f, "{records} records, {} MB, {thinned} batches thinned by the cleaner", bytes / 1_000_000)
    }
}

/// The present, in Kafka's terms.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What decides at random in a test: `VERBATIM_SEED`, or the time; printed.
pub fn seed() -> TestResult<u64> {
    let seed = match std::env::var("VERBATIM_SEED") {
        Ok(given) => given.parse()?,
        Err(_) => now_ms().unsigned_abs(),
    };
    println!("VERBATIM_SEED={seed}");
    Ok(seed)
}

/// Writes a log that is too long for a message to a file in the target directory; returns where it is.
pub fn keep_log(name: &str, log: &str) -> TestResult<String> {
    let directory = xtask::kafka::target_directory().join("failed");
    fs::create_dir_all(&directory)?;
    let path = directory.join(name);
    fs::write(&path, log)?;
    Ok(path.display().to_string())
}
