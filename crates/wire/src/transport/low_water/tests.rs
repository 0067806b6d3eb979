//! The marks, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::system::release;
use super::{Due, LowWater, MARKS, SLACK_BYTES};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uapi::c;

/// How long what has to happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn pair() -> (LowWater, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (writer, _) = listener.accept().await.unwrap();
    (LowWater::new(reader), writer)
}

fn mark_of(reader: &LowWater) -> usize {
    let mut mark: c::c_int = 0;
    uapi::getsockopt(reader.tcp.as_raw_fd(), c::SOL_SOCKET, c::SO_RCVLOWAT, &mut mark).unwrap();
    usize::try_from(mark).unwrap()
}

#[test]
fn nothing_is_waited_for_that_may_be_there() {
    let due = Due::default();
    for bytes in [0, 1, SLACK_BYTES, SLACK_BYTES + MARKS[2] - 1] {
        due.set(bytes);
        assert_eq!(due.mark(), 1, "{bytes}");
    }
    for bytes in [SLACK_BYTES + MARKS[2], SLACK_BYTES + MARKS[0] - 1, SLACK_BYTES + MARKS[0], usize::MAX] {
        due.set(bytes);
        let mark = due.mark();
        assert!(MARKS.contains(&mark) && mark + SLACK_BYTES <= bytes, "{mark} of {bytes}");
    }
}

#[test]
fn releases_of_kernels() {
    assert_eq!(release("6.18.44-generic"), Some((6, 18)));
    assert_eq!(release("4.18.0-553.el8_10.x86_64"), Some((4, 18)));
    assert_eq!(release("5.4"), Some((5, 4)));
    assert_eq!(release("unknown"), None);
    assert!(release("3.10.0-1160.el7").unwrap() < (4, 18));
}

/// A megabyte in small pieces, each of which would have woken the reader.
#[tokio::test]
async fn all_arrives_with_fewer_reads() {
    let (mut reader, mut writer) = pair().await;
    let due = reader.due();
    let (pieces, piece) = (256, [7; 4096]);
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
            due.set(len - have);
            have += reader.read(&mut bytes[have..]).await.unwrap();
            reads += 1;
        }
        assert!(bytes.iter().all(|byte| *byte == 7));
        reads
    };
    let (reads, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(read, write) }).await.unwrap();
    // What remains after the last mark comes piece by piece: a half of it is waited for at most.
    let without_marks = (SLACK_BYTES + MARKS[2]) / piece.len();
    assert!(reads < without_marks + 2 * len / MARKS[2], "{reads} reads");
}

/// The mark of one answer does not hold up the next, smaller one, be it there already or not.
#[tokio::test]
async fn a_mark_is_lowered_in_time() {
    for is_there_already in [true, false] {
        let (mut reader, mut writer) = pair().await;
        let due = reader.due();
        due.set(10 << 20);
        let mut bytes = [0; 100];
        let first = tokio::time::timeout(Duration::from_millis(50), reader.read(&mut bytes)).await;
        assert!(first.is_err());
        assert_eq!(mark_of(&reader), MARKS[0]);
        let few = async {
            writer.write_all(&[1; 60]).await.unwrap();
        };
        if is_there_already {
            few.await;
            due.set(60);
            let read = tokio::time::timeout(PATIENCE, reader.read(&mut bytes)).await.unwrap();
            assert_eq!(read.unwrap(), 60);
        } else {
            due.set(60);
            let read = tokio::time::timeout(PATIENCE, async { tokio::join!(reader.read(&mut bytes), few).0 });
            assert_eq!(read.await.unwrap().unwrap(), 60);
        }
        assert_eq!(mark_of(&reader), 1);
    }
}

/// Whoever waits for much hears of the end, and of a window that is full.
#[tokio::test]
async fn a_mark_is_a_hint() {
    let (mut reader, mut writer) = pair().await;
    reader.due().set(usize::MAX);
    writer.write_all(&[1; 1_000]).await.unwrap();
    drop(writer);
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(read.unwrap(), 1_000);

    // A buffer that the mark does not fit.
    let (mut reader, mut writer) = pair().await;
    socket2::SockRef::from(&reader.tcp).set_recv_buffer_size(16 << 10).unwrap();
    reader.due().set(usize::MAX);
    let len = 1 << 20;
    let write = async { writer.write_all(&vec![3; len]).await.unwrap() };
    let read = async {
        let mut bytes = vec![0; len];
        reader.read_exact(&mut bytes).await.unwrap();
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(read, write) }).await.unwrap();
}
