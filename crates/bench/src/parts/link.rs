//! A line of 1 Gbit/s and some delay, in user space: a proxy in front of one broker.
//!
//! Each direction has a rate that all connections share, and a delay. Every piece that is read gets the time at which its last bit
//! would have left a line that sends one piece after the other, and is written that time plus the delay later. Times are computed,
//! not slept, so what a timer is late does not add up. Reading stops while more than a router's queue waits for the line: so TCP
//! tells the sender. Nothing is lost, and TCP's own growth of windows is not modelled; a new connection waits one round trip.

use super::part;
use super::stream::{drain, feed};
use crate::process::{Nursery, Running};
use bytes::{Bytes, BytesMut};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use xtask::command::Failure;
use xtask::command::arguments::Arguments;

/// 1 Gbit/s.
pub(in super::super) const BYTES_PER_SECOND: u64 = 125_000_000;
/// What a read takes at most: half a millisecond of the line.
const PIECE_BYTES: usize = 64 << 10;
/// What may wait for the line, as in a router's queue.
const QUEUE: Duration = Duration::from_millis(20);
/// What this process may be late by.
const LATE: Duration = Duration::from_millis(2);
/// Pieces under way in one direction of a connection: more than the line and its queue hold at the longest delay.
const PIECES: usize = 1 << 16;

/// A link process.
#[derive(Debug)]
pub(in super::super) struct Link {
    running: Running,
    /// Where clients connect to.
    pub(in super::super) address: SocketAddr,
}

impl Link {
    /// Starts one that leads nowhere yet.
    pub(in super::super) fn start(nursery: &Nursery) -> Result<Self, Failure> {
        let mut running = nursery.start(part("link"), true)?;
        let mut said = String::new();
        if let Some(stdout) = running.child.stdout.take() {
            let read = BufReader::new(stdout).read_line(&mut said);
            read.map_err(Failure::while_doing("wait for the link"))?;
        }
        match said.trim().parse() {
            Ok(address) => Ok(Self { running, address }),
            Err(_) => Err(running.failure("does not say where it listens")),
        }
    }

    /// New connections lead to `address` and back in `round_trip`.
    pub(in super::super) fn lead(&mut self, to: SocketAddr, round_trip: Duration) -> Result<(), Failure> {
        let micros = round_trip.as_micros();
        let stdin = self.running.child.stdin.as_mut();
        let told = stdin.map(|stdin| writeln!(stdin, "{to} {micros}").and_then(|()| stdin.flush()));
        told.transpose().map(|_| ()).map_err(Failure::while_doing("tell the link"))
    }

    /// What the line itself carries, in bytes per second: `bytes` bytes blasted through it, from the first to the last.
    pub(in super::super) fn blasted(&mut self, round_trip: Duration, bytes: u64) -> Result<f64, Failure> {
        let doing = || Failure::while_doing::<std::io::Error>("blast through the link");
        let sink = TcpListener::bind("127.0.0.1:0").map_err(doing())?;
        self.lead(sink.local_addr().map_err(doing())?, round_trip)?;
        // The link reads our word on a thread of its own; a connection made before it has leads elsewhere and is ended.
        sink.set_nonblocking(true).map_err(doing())?;
        let begin = Instant::now();
        let (sender, receiver) = loop {
            let sender = TcpStream::connect(self.address).map_err(doing())?;
            let attempt = Instant::now();
            let accepted = loop {
                match sink.accept() {
                    Ok((accepted, _)) => break Some(accepted),
                    Err(_) if attempt.elapsed() > round_trip * 10 => break None,
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            };
            match accepted {
                Some(accepted) => break (sender, accepted),
                None if begin.elapsed() > Duration::from_secs(20) => {
                    return Err(Failure::Failed("the link leads nowhere".to_owned()));
                }
                None => {}
            }
        };
        receiver.set_nonblocking(false).map_err(doing())?;
        let feeding = thread::spawn(move || feed(sender, bytes));
        let (first, last) = drain(receiver, bytes).map_err(doing())?;
        let joined =
            feeding.join().map_err(|_| Failure::Failed("the feeding thread ended early".to_owned()))?;
        joined.map_err(doing())?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let rate = bytes as f64 / (last - first).as_secs_f64().max(1e-6);
        Ok(rate)
    }
}

/// Where it leads, and how long there and back takes.
type Way = Arc<Mutex<Option<(SocketAddr, Duration)>>>;

/// `part link`: prints the address it listens on; reads lines `ADDRESS MICROSECONDS`; ends with its input.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    arguments.nothing()?;
    let listener =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(Failure::while_doing("listen"))?;
    let address = listener.local_addr().map_err(Failure::while_doing("listen"))?;
    println!("{address}");
    std::io::stdout().flush().map_err(Failure::while_doing("say so"))?;
    let way = Way::default();
    let (ended, mut end) = mpsc::channel::<()>(1);
    let told = way.clone();
    thread::spawn(move || {
        listen(&told);
        drop(ended);
    });
    let (there, back) = (Rc::new(Line::new()), Rc::new(Line::new()));
    let local = LocalSet::new();
    let accepting = local.run_until(async {
        loop {
            let (client, _) = listener.accept().await.map_err(Failure::while_doing("accept"))?;
            let leads = *way.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((to, round_trip)) = leads {
                let (there, back) = (there.clone(), back.clone());
                tokio::task::spawn_local(async move {
                    // One that fails ends by itself, as it would without us.
                    let _ = carry(client, to, round_trip, &there, &back).await;
                });
            }
        }
    });
    tokio::select! {
        outcome = accepting => outcome,
        _ = end.recv() => Ok(()),
    }
}

/// Reads what we are told until there is no more.
fn listen(way: &Way) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let mut words = line.split(' ');
        let to = words.next().and_then(|word| word.parse().ok());
        let micros = words.next().and_then(|word| word.parse().ok());
        if let (Some(to), Some(micros)) = (to, micros) {
            let new = Some((to, Duration::from_micros(micros)));
            *way.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }
}

/// One connection, both directions, until both have ended.
async fn carry(
    client: tokio::net::TcpStream,
    to: SocketAddr,
    round_trip: Duration,
    there: &Rc<Line>,
    back: &Rc<Line>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    tokio::time::sleep(round_trip).await;
    let broker = tokio::net::TcpStream::connect(to).await?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let delay = round_trip / 2;
    tokio::join!(there.carry(from_client, to_broker, delay), back.carry(from_broker, to_client, delay));
    Ok(())
}

/// One direction: the time at which all that was given to it will have left.
struct Line {
    free: Cell<Instant>,
}

impl Line {
    fn new() -> Self {
        Self { free: Cell::new(Instant::now()) }
    }

    /// When a piece of so many bytes that comes at `now` has left.
    fn leaves(&self, now: Instant, bytes: usize) -> Instant {
        let nanos = bytes as u64 * 1_000_000_000 / BYTES_PER_SECOND;
        // A process that ran late may make good for that, a line that was idle may not: what is allowed is what timers are late.
        let begins = self.free.get().max(now.checked_sub(LATE).unwrap_or(now));
        let leaves = begins + Duration::from_nanos(nanos);
        self.free.set(leaves);
        leaves
    }

    /// Carries one connection's bytes until their end.
    async fn carry(&self, from: OwnedReadHalf, to: OwnedWriteHalf, delay: Duration) {
        let (pieces, arriving) = mpsc::channel(PIECES);
        tokio::join!(self.take(from, pieces, delay), deliver(arriving, to));
    }

    async fn take(&self, mut from: OwnedReadHalf, pieces: mpsc::Sender<(Instant, Bytes)>, delay: Duration) {
        let mut buffer = BytesMut::new();
        loop {
            let full = self.free.get().checked_sub(QUEUE).filter(|until| *until > Instant::now());
            if let Some(until) = full {
                tokio::time::sleep_until(until.into()).await;
                continue;
            }
            // Small pieces share a buffer.
            if buffer.capacity() < PIECE_BYTES / 4 {
                buffer.reserve(PIECE_BYTES);
            }
            match from.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    let arrives = self.leaves(Instant::now(), read) + delay;
                    if pieces.send((arrives, buffer.split().freeze())).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn deliver(mut arriving: mpsc::Receiver<(Instant, Bytes)>, mut to: OwnedWriteHalf) {
    while let Some((arrives, piece)) = arriving.recv().await {
        if arrives > Instant::now() {
            tokio::time::sleep_until(arrives.into()).await;
        }
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_sends_one_piece_after_the_other_and_keeps_little_credit() {
        let (line, now) = (Line::new(), Instant::now() + Duration::from_secs(1));
        // What it may be late by is used up first.
        line.leaves(now, 250_000);
        let piece = Duration::from_micros(500);
        assert_eq!(line.leaves(now, 62_500), now + piece);
        assert_eq!(line.leaves(now, 62_500), now + 2 * piece);
        let later = now + Duration::from_secs(1);
        assert_eq!(line.leaves(later, 62_500), later - LATE + piece);
    }
}
