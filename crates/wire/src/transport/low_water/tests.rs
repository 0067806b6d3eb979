//! The marks, over real sockets: with TLS below, and without.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::under_tls::Records;
use super::{LowWater, MOST_BYTES, Plain};
use crate::transport::Half;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use uapi::c;

/// How long what has to happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what must not happen is given to happen.
const PAUSE: Duration = Duration::from_millis(50);

/// One of the two.
enum Reader<'a> {
    Plain(Plain<'a>),
    UnderTls(LowWater),
}

impl Reader<'_> {
    fn wants(&mut self, bytes: usize) {
        match self {
            Self::Plain(plain) => plain.wants(bytes),
            Self::UnderTls(tls) => tls.due().set(bytes),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(plain) => plain.tcp().unwrap(),
            Self::UnderTls(tls) => tls.tcp(),
        }
    }

    fn mark(&self) -> usize {
        let mut mark: c::c_int = 0;
        uapi::getsockopt(self.tcp().as_raw_fd(), c::SOL_SOCKET, c::SO_RCVLOWAT, &mut mark).unwrap();
        usize::try_from(mark).unwrap()
    }
}

impl AsyncRead for Reader<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
            Self::UnderTls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (reader, listener.accept().await.unwrap().0)
}

/// Runs `test` with both; what the writer sends are to be records.
macro_rules! with_both {
    (|$reader:ident, $writer:ident| $test:block) => {
        for with_tls in [false, true] {
            let (mut tcp, mut $writer) = pair().await;
            #[allow(unused_mut, reason = "not every test changes it")]
            let mut $reader = if with_tls {
                Reader::UnderTls(LowWater::new(tcp))
            } else {
                Reader::Plain(Plain::new(tcp.split().0))
            };
            $test
        }
    };
}

/// A record of `len` bytes.
fn record(len: usize) -> Vec<u8> {
    let mut record = vec![23, 3, 3];
    record.extend(u16::try_from(len).unwrap().to_be_bytes());
    record.resize(record.len() + len, 7);
    record
}

#[test]
fn it_is_known_how_much_of_a_record_was_read() {
    let lens = [1, 300, 0, 16_640, 17, 4_000, 0, 0, 65];
    let stream: Vec<u8> = lens.into_iter().flat_map(record).collect();
    let mut ends = vec![0];
    ends.extend(lens.iter().scan(0, |end, len| {
        *end += len + 5;
        Some(*end)
    }));
    for piece in [1, 2, 3, 4, 5, 6, 7, 70, 301, 5_000, stream.len()] {
        let mut records = Records::default();
        let mut have = 0;
        for bytes in stream.chunks(piece) {
            records.came(bytes);
            have += bytes.len();
            let begun = ends.iter().rev().find(|end| **end <= have).unwrap();
            assert_eq!(records.read(), have - begun, "{have} in pieces of {piece}");
        }
    }
}

/// A megabyte in small pieces, each of which would have woken the reader.
#[tokio::test]
async fn all_arrives_with_fewer_reads() {
    with_both!(|reader, writer| {
        let (pieces, piece) = (256, record(4091));
        let len = pieces * piece.len();
        let write = async {
            for _ in 0..pieces {
                writer.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let (mut have, mut reads) = (0, 0);
            let mut bytes = vec![0; len];
            while have < len {
                reader.wants(len - have);
                have += reader.read(&mut bytes[have..]).await.unwrap();
                reads += 1;
            }
            assert!(bytes == piece.repeat(pieces));
            reads
        };
        let (reads, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(read, write) }).await.unwrap();
        assert!(reads < pieces / 4, "{reads} reads");
    });
}

/// Whoever wants ten bytes is not woken for nine, and is for ten.
#[tokio::test]
async fn the_last_byte_wakes() {
    with_both!(|reader, writer| {
        let piece = record(5);
        let (first, last) = piece.split_at(piece.len() - 1);
        reader.wants(piece.len());
        let mut bytes = [0; 100];
        let early = async {
            // The reader waits by then.
            tokio::time::sleep(PAUSE).await;
            writer.write_all(first).await.unwrap();
        };
        let first_read = async { tokio::time::timeout(PAUSE * 4, reader.read(&mut bytes)).await };
        assert!(tokio::join!(first_read, early).0.is_err());
        writer.write_all(last).await.unwrap();
        let read = tokio::time::timeout(PATIENCE, reader.read(&mut bytes)).await.unwrap();
        assert_eq!(read.unwrap(), piece.len());
    });
}

/// The mark of one answer does not hold up the next, smaller one, be it there already or not.
#[tokio::test]
async fn a_mark_is_lowered_in_time() {
    for is_there_already in [true, false] {
        with_both!(|reader, writer| {
            reader.wants(10 << 20);
            let mut bytes = [0; 100];
            assert!(tokio::time::timeout(PAUSE, reader.read(&mut bytes)).await.is_err());
            assert_eq!(reader.mark(), MOST_BYTES);
            let piece = record(55);
            let few = async { writer.write_all(&piece).await.unwrap() };
            reader.wants(if is_there_already { 0 } else { piece.len() });
            let read = if is_there_already {
                few.await;
                tokio::time::timeout(PATIENCE, reader.read(&mut bytes)).await
            } else {
                tokio::time::timeout(PATIENCE, async { tokio::join!(reader.read(&mut bytes), few).0 }).await
            };
            assert_eq!(read.unwrap().unwrap(), piece.len());
            reader.wants(0);
            assert!(tokio::time::timeout(PAUSE, reader.read(&mut bytes)).await.is_err());
            assert_eq!(reader.mark(), 1);
        });
    }
}

/// Whoever waits for much hears of the end, and of a window that is full.
#[tokio::test]
async fn a_mark_is_a_hint() {
    with_both!(|reader, writer| {
        reader.wants(usize::MAX);
        writer.write_all(&record(1_000)).await.unwrap();
        drop(writer);
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut bytes)).await.unwrap();
        assert_eq!(read.unwrap(), 1_005);
    });
    // A buffer that the mark does not fit.
    with_both!(|reader, writer| {
        socket2::SockRef::from(reader.tcp()).set_recv_buffer_size(16 << 10).unwrap();
        reader.wants(usize::MAX);
        let all = record(16_000).repeat(64);
        let write = async { writer.write_all(&all).await.unwrap() };
        let read = async {
            let mut bytes = vec![0; all.len()];
            reader.read_exact(&mut bytes).await.unwrap();
        };
        tokio::time::timeout(PATIENCE, async { tokio::join!(read, write) }).await.unwrap();
    });
}
