//! Promise: payload bytes are handed to the target's socket from where the source's socket put them, and a
//! record costs nothing, a batch next to nothing.
//!
//! The transport between the flow and the brokers is ours here: it notes every address that bytes are read
//! into and written from.

use allocation_counter::measure;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use verbatim_pipeline::{Cluster, ClusterConfig, Flow, FlowConfig, FlowHandle};
use verbatim_testbroker::{TestCluster, batch};
use verbatim_tests::TestResult;
use verbatim_wire::transport::{Connector, Opening, Stream, TransportError};

const LARGE_BYTES: usize = 64 << 10;
const SMALL_BYTES: usize = 1 << 10;

/// Addresses that bytes were read into, and written from.
#[derive(Debug, Default)]
struct Seen {
    read: Vec<Range<usize>>,
    written: Vec<Range<usize>>,
}

#[derive(Debug, Clone, Default)]
struct Watching(Arc<Mutex<Seen>>);

struct WatchedStream {
    inner: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

fn noting(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn addresses(bytes: &[u8]) -> Range<usize> {
    let start = bytes.as_ptr().addr();
    start..start + bytes.len()
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = addresses(&buf.filled()[before..]);
        noting(&self.seen).read.push(read);
        outcome
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        noting(&self.seen).written.push(addresses(buf));
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        noting(&self.seen).written.extend(bufs.iter().map(|slice| addresses(slice)));
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Connector for Watching {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Opening<'a> {
        Box::pin(async move {
            let inner = TcpStream::connect((host, port)).await.map_err(TransportError::Connect)?;
            Ok(Box::new(WatchedStream { inner, seen: self.0.clone() }) as Box<dyn Stream>)
        })
    }
}

/// What there is to copy: so many batches of so many records, each batch of so many bytes.
#[derive(Debug, Clone, Copy)]
struct Load {
    batches: usize,
    records: usize,
    bytes: usize,
}

/// A source with `load`, and an empty target.
async fn clusters(load: Load) -> TestResult<(TestCluster, TestCluster)> {
    let Load { batches, records, bytes } = load;
    let source = TestCluster::builder().cluster_id("source").start_tcp().await?;
    let target = TestCluster::builder().cluster_id("target").start_tcp().await?;
    for cluster in [&source, &target] {
        cluster.create_topic("orders", 2, &[]).map_err(|code| format!("{code:?}"))?;
    }
    let value = vec![7; bytes / records];
    // Of today: old records go one batch at a time.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let records = (0..records).map(|n| (format!("{n}"), value.clone()));
    let batch = batch(records).timestamp_ms(i64::try_from(now_ms)?).build();
    for n in 0..batches {
        source.append("orders", i32::try_from(n % 2)?, &batch).map_err(|code| format!("{code:?}"))?;
    }
    Ok((source, target))
}

async fn started(source: &str, target: &str, through: &Watching) -> TestResult<FlowHandle> {
    let connect = async |address: &str| {
        let config = ClusterConfig::new(address)?;
        TestResult::Ok(Cluster::connect_through(config, Arc::new(through.clone())).await?)
    };
    Ok(Flow::new(connect(source).await?, connect(target).await?).topic("orders").start().await?)
}

#[tokio::test]
async fn payloads_are_written_from_where_they_were_read() -> TestResult {
    let (source, target) = clusters(Load { batches: 40, records: 64, bytes: LARGE_BYTES }).await?;
    let watching = Watching::default();
    let flow = started(&source.bootstrap(), &target.bootstrap(), &watching).await?;
    flow.caught_up().await?;
    flow.shutdown().await?;

    let seen = noting(&watching.0);
    let payloads: Vec<_> = seen.written.iter().filter(|written| written.len() > 1024).collect();
    let bytes: usize = payloads.iter().map(|payload| payload.len()).sum();
    assert!(bytes >= 40 * LARGE_BYTES, "only {bytes} bytes were written in large pieces");
    for payload in payloads {
        // A payload may have come in several reads, one behind the other in the same frame.
        let mut at = payload.start;
        while at < payload.end {
            let read = seen.read.iter().find(|read| read.contains(&at));
            at = read
                .map(|read| read.end)
                .ok_or_else(|| format!("written from {at:#x}, where nothing was read"))?;
        }
    }
    Ok(())
}

/// Allocations of the flow's own thread while it copies; the brokers run in another.
fn allocations(load: Load, splice: bool) -> TestResult<u64> {
    let brokers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (source, target) = brokers.block_on(clusters(load))?;
    let (from, to) = (source.bootstrap(), target.bootstrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut outcome = Ok(());
    let info = measure(|| {
        outcome = runtime.block_on(async {
            let connect =
                async |address: &str| TestResult::Ok(Cluster::connect(ClusterConfig::new(address)?).await?);
            let flow = Flow::new(connect(&from).await?, connect(&to).await?).topic("orders");
            let flow = flow.config(FlowConfig { splice, ..FlowConfig::default() }).start().await?;
            flow.caught_up().await?;
            let copied = flow.status().await?.total();
            assert_eq!(copied.forwarded_batches, load.batches as u64);
            assert_eq!(copied.records, (load.batches * load.records) as u64);
            let is_piped = splice && load.bytes == LARGE_BYTES && cfg!(target_os = "linux");
            assert_eq!(copied.spliced_batches > 0, is_piped, "{copied:?}");
            flow.shutdown().await?;
            Ok(())
        });
    });
    outcome.map(|()| info.count_total)
}

/// With batches of `bytes`, of `few` or of `many` records: none for a record, and at most two for a batch.
fn assert_cheap(bytes: usize, few: usize, many: usize, splice: bool) -> TestResult {
    let load = |batches, records| Load { batches, records, bytes };
    let few_records = allocations(load(500, few), splice)?;
    let many_records = allocations(load(500, many), splice)?;
    let many_batches = allocations(load(2500, few), splice)?;
    println!(
        "allocations: {few_records} for 500 batches of {few}, {many_records} of {many}; {many_batches} for 2500 of {few}"
    );
    // Timing decides how many requests the batches travel in, so the counts vary a little.
    let times = many / few;
    assert!(
        many_records < few_records + 1000,
        "{times} times the records: {few_records} became {many_records}"
    );
    // Two lanes, two partitions: every batch travels in a Produce request of its own, which is the worst case.
    let more = many_batches.saturating_sub(few_records);
    println!("allocations per batch: {}", more as f64 / 2000.0);
    assert!(more <= 2 * 2000, "{more} allocations for 2000 batches");
    Ok(())
}

#[test]
fn a_record_costs_no_allocation_and_a_batch_hardly_any() -> TestResult {
    assert_cheap(LARGE_BYTES, 8, 1024, true)
}

#[test]
fn nor_do_they_through_memory() -> TestResult {
    assert_cheap(LARGE_BYTES, 8, 1024, false)
}

#[test]
fn nor_do_small_batches() -> TestResult {
    assert_cheap(SMALL_BYTES, 2, 64, true)
}
