//! How long records take: a producer at the source, and consumers at both ends, in one process and by one clock.
//!
//! Every record carries its number and when it was handed over; records are due at fixed times and count from then where the
//! producer is late, so that a slow replicator or broker cannot slow the clock down that it is measured by.

use super::fetch::{LIMITS, Reader};
use super::topic::Topic;
use super::word;
use bytes::Bytes;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use verbatim_wire::produce::{ProduceAnswer, ProduceBatch, encode};
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions};
use verbatim_wire::records::record::{Headers, Records};
use verbatim_wire::records::{Batch, HEADER_BYTES};
use xtask::command::Failure;
use xtask::command::arguments::Arguments;

/// How long the replicator may take until its first record.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// How long the last records may take.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// Records from the first one on the target to the first that counts, in seconds.
const WARM_UP_SECONDS: u64 = 5;
/// Number and time.
const STAMP_BYTES: usize = 16;
const TIMEOUT_MS: i32 = 30_000;
/// Requests that may be under way: fewer than a connection takes.
const UNANSWERED: usize = 60;
/// What a timer may be late.
const TIMER: Duration = Duration::from_millis(2);
const NEVER: u64 = u64::MAX;

/// What producer and consumers share.
struct Shared {
    began: Instant,
    /// Numbers that count: from here, to here; the end is known once the target has seen its first record.
    from: Cell<u64>,
    to: Cell<u64>,
    has_arrived: Cell<bool>,
    /// Since `began`, in microseconds, by number.
    sent: RefCell<Vec<u64>>,
}

/// `part probe FROM TO TOPIC RATE RECORD_BYTES SECONDS`: prints `measuring` when it begins to, and in the end for the source,
/// the target and the time between the two: p50, p99, p99.9 and the largest, in microseconds.
pub(super) async fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let (from, to) = (word(&mut arguments, "FROM")?, word(&mut arguments, "TO")?);
    let name = word(&mut arguments, "TOPIC")?;
    let mut number = |what: &str| {
        let text = word(&mut arguments, what)?;
        text.parse::<u64>().map_err(|_| Failure::Usage(format!("{what} cannot be {text:?}")))
    };
    let (rate, record_bytes, seconds) = (number("RATE")?, number("RECORD_BYTES")?, number("SECONDS")?);
    let source = Reader::open(Topic::open(&from, &name).await?, LIMITS).await?;
    let target = Reader::open(Topic::open(&to, &name).await?, LIMITS).await?;
    let producing = Topic::open(&from, &name).await?;
    let shared = Shared {
        began: Instant::now(),
        from: Cell::new(NEVER),
        to: Cell::new(NEVER),
        has_arrived: Cell::new(false),
        sent: RefCell::default(),
    };
    let record_bytes = usize::try_from(record_bytes).unwrap_or(0).max(STAMP_BYTES);
    let ((), at_source, at_target) = tokio::try_join!(
        shared.produce(producing, rate.max(1), record_bytes, seconds),
        shared.consume(source, false),
        shared.consume(target, true),
    )?;
    shared.print(&at_source, &at_target)
}

impl Shared {
    fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }

    async fn produce(
        &self,
        topic: Topic,
        rate: u64,
        record_bytes: usize,
        seconds: u64,
    ) -> Result<(), Failure> {
        let (connection, version) = topic.producing().await?;
        let (answered, mut answers) = mpsc::channel(UNANSWERED);
        let mut value = vec![0x5a; record_bytes];
        let mut unanswered = 0;
        for number in 0u64.. {
            if number == self.to.get() {
                break;
            }
            if number == self.from.get() {
                println!("measuring");
                std::io::stdout().flush().map_err(Failure::while_doing("say so"))?;
            }
            let due = self.began + Duration::from_nanos(number * 1_000_000_000 / rate);
            tokio::time::sleep_until(due.into()).await;
            if self.has_arrived.get() && self.from.get() == NEVER {
                self.from.set(number + WARM_UP_SECONDS * rate);
                self.to.set(number + (WARM_UP_SECONDS + seconds) * rate);
            } else if !self.has_arrived.get() && self.began.elapsed() > START_PATIENCE {
                return Err(Failure::Failed("no record has come to the target".to_owned()));
            }
            // One that had to wait for those before it counts from when it was due.
            let late = due.elapsed();
            let sent = if late > TIMER { self.now().saturating_sub(micros(late)) } else { self.now() };
            while let Ok(answer) = answers.try_recv() {
                accepted(version, answer)?;
                unanswered -= 1;
            }
            while unanswered >= UNANSWERED {
                let answer = answers.recv().await;
                accepted(version, answer.ok_or_else(|| Failure::Failed("no answer".to_owned()))?)?;
                unanswered -= 1;
            }
            self.sent.borrow_mut().push(sent);
            for (byte, stamp) in value.iter_mut().zip([number.to_be_bytes(), sent.to_be_bytes()].concat()) {
                *byte = stamp;
            }
            let batch = batch_of(&value)?;
            let Some((header, _)) = batch.split_first_chunk::<HEADER_BYTES>() else { continue };
            let partition = i32::try_from(number % u64::from(topic.partitions)).unwrap_or(0);
            let payload = batch.slice(HEADER_BYTES..);
            let batch = ProduceBatch::in_memory(&topic.identity, partition, header, &payload);
            let frame = encode(version, connection.client_id(), TIMEOUT_MS, std::iter::once(batch));
            let answered = answered.clone();
            unanswered += 1;
            connection.submit(frame, Duration::ZERO, move |answer| {
                let _ = answered.try_send(answer);
            });
        }
        // The connection closes with its last handle, whatever is still to be sent on it.
        while unanswered > 0 {
            let answer = answers.recv().await;
            accepted(version, answer.ok_or_else(|| Failure::Failed("no answer".to_owned()))?)?;
            unanswered -= 1;
        }
        Ok(())
    }

    /// When each record arrived, by number, up to the last that counts.
    async fn consume(&self, mut reader: Reader, is_target: bool) -> Result<Vec<u64>, Failure> {
        let mut arrived: Vec<u64> = Vec::new();
        let mut count = 0;
        let mut last_progress = Instant::now();
        while count < self.to.get() {
            let batches = reader.next().await?;
            let now = self.now();
            if batches.is_empty() {
                // Before the first record this waits for the producer, which knows when that takes too long.
                if self.to.get() != NEVER && last_progress.elapsed() > END_PATIENCE {
                    return Err(Failure::Failed(format!("{count} records have arrived, then none")));
                }
                continue;
            }
            last_progress = Instant::now();
            for (_, batch) in batches {
                for (number, sent) in stamps(&batch)? {
                    let at = usize::try_from(number).unwrap_or(usize::MAX);
                    if self.sent.borrow().get(at) != Some(&sent) {
                        return Err(Failure::Failed(format!("record {number} was never sent so")));
                    }
                    arrived.resize(arrived.len().max(at + 1), NEVER);
                    if let Some(arrival) = arrived.get_mut(at).filter(|arrival| **arrival == NEVER) {
                        *arrival = now;
                        count += 1;
                    }
                }
            }
            if is_target {
                self.has_arrived.set(true);
            }
        }
        Ok(arrived)
    }

    fn print(&self, at_source: &[u64], at_target: &[u64]) -> Result<(), Failure> {
        let histogram = || Histogram::<u64>::new(3).map_err(Failure::while_doing("make a histogram"));
        let (mut source, mut target, mut between) = (histogram()?, histogram()?, histogram()?);
        let sent = self.sent.borrow();
        let all = sent.iter().zip(at_source).zip(at_target);
        let skipped = usize::try_from(self.from.get()).unwrap_or(0);
        for ((sent, at_source), at_target) in all.skip(skipped) {
            // What we hear of first at the target was on its way at once.
            let taken = [at_source - sent, at_target - sent, at_target.saturating_sub(*at_source)];
            for (histogram, taken) in [&mut source, &mut target, &mut between].into_iter().zip(taken) {
                histogram.record(taken).map_err(Failure::while_doing("note a time"))?;
            }
        }
        for histogram in [source, target, between] {
            let quantiles = [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile));
            println!("{} {} {} {}", quantiles[0], quantiles[1], quantiles[2], histogram.max());
        }
        Ok(())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NEVER)
}

fn accepted(version: i16, answer: verbatim_wire::connection::Answer) -> Result<(), Failure> {
    let answer = answer.map_err(Failure::while_doing("produce"))?;
    let answer = ProduceAnswer::decode(version, &answer).map_err(Failure::while_doing("produce"))?;
    match answer.partitions.iter().find(|partition| partition.error_code != 0) {
        None => Ok(()),
        Some(refused) => {
            Err(Failure::Failed(format!("a record was refused with error {}", refused.error_code)))
        }
    }
}

fn batch_of(value: &[u8]) -> Result<Bytes, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let pushed = builder.push(now, None, Some(value), &Headers::none());
    pushed.map_err(Failure::while_doing("build a batch"))?;
    builder.finish().map_err(Failure::while_doing("build a batch"))
}

/// Numbers and times of the records of a batch, which nobody compresses here.
fn stamps(batch: &Batch) -> Result<Vec<(u64, u64)>, Failure> {
    let mut stamps = Vec::new();
    for record in Records::new(batch.payload(), batch.header.records_count) {
        let record = record.map_err(Failure::while_doing("read a record"))?;
        let value = record.value.unwrap_or_default();
        let number = value.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
        let sent =
            value.get(8..).and_then(|rest| rest.first_chunk::<8>()).map(|bytes| u64::from_be_bytes(*bytes));
        let (Some(number), Some(sent)) = (number, sent) else {
            return Err(Failure::Failed("a record without a stamp".to_owned()));
        };
        stamps.push((number, sent));
    }
    Ok(stamps)
}
