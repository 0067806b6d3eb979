//! The writing half of a connection's task.

use super::buffers::BufferPool;
use super::driver::{InFlight, Outgoing, Waiting};
use super::reply::Payloads;
use crate::fetch;
use crate::frame::Sealed;
use crate::pipe::is_refused;
use crate::transport::Half;
use bytes::Buf;
use smallvec::SmallVec;
use socket2::SockRef;
use std::io::{self, IoSlice};
use tokio::io::{AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Writes until every handle is gone.
pub(super) async fn write_requests(
    mut writer: impl AsyncWrite + Half,
    queued: &mut mpsc::Receiver<Outgoing>,
    in_flight: &InFlight,
    pool: &BufferPool,
) -> io::Result<()> {
    let mut correlation_id = 0i32;
    let mut rest = Rest::new();
    loop {
        let next = queued.try_recv().ok();
        if next.is_none() && !rest.is_empty() {
            writer.write_all(&std::mem::take(&mut rest)).await?;
        }
        let next = match next {
            Some(next) => Some(next),
            None => queued.recv().await,
        };
        let Some(Outgoing { frame, timeout, payloads, reply }) = next else { return Ok(()) };
        correlation_id = correlation_id.wrapping_add(1);
        let (api_key, api_version) = (frame.api_key(), frame.api_version());
        let may_leave_out =
            api_key == fetch::API_KEY && payloads == Payloads::InKernel && writer.tcp().is_some();
        let deadline = Instant::now() + timeout;
        // Noted before the first byte is written, so that no answer can find it missing.
        in_flight.lock().push_back(Waiting {
            correlation_id,
            api_key,
            scan_as: may_leave_out.then_some(api_version),
            request_bytes: frame.wire_bytes(),
            least_answer_bytes: frame.least_answer_bytes(),
            timeout,
            deadline,
            reply,
        });
        let mut sealed = frame.seal(correlation_id);
        if !sealed.is_complete() {
            return Err(io::Error::other("a payload was to be sent that had been sent before"));
        }
        let piped_bytes = sealed.piped_bytes();
        pool.copied(sealed.remaining() - piped_bytes);
        if let Some(tcp) = writer.tcp().filter(|_| piped_bytes > 0) {
            write_piped(tcp, &rest, &mut sealed).await?;
            rest.clear();
            if sealed.remaining() <= rest.inline_size() {
                while sealed.has_remaining() {
                    let bytes = sealed.chunk();
                    rest.extend_from_slice(bytes);
                    sealed.advance(bytes.len());
                }
                continue;
            }
        } else {
            writer.write_all(&std::mem::take(&mut rest)).await?;
            sealed.gather()?;
            pool.copied(2 * piped_bytes);
        }
        writer.write_all_buf(&mut sealed).await?;
        writer.flush().await?;
    }
}

/// The end of a frame behind its last pipe, some bytes: goes with the beginning of the next frame, if that is there already.
type Rest = SmallVec<[u8; 16]>;

/// Pieces written at once.
const PIECES: usize = 16;

/// Writes `before` and a frame up to its last pipe.
async fn write_piped(tcp: &TcpStream, before: &[u8], frame: &mut Sealed) -> io::Result<()> {
    let mut before = before;
    while frame.has_pipe() {
        if before.is_empty() && frame.next_pipe().is_some() {
            let pour = || frame.next_pipe().map_or(Ok(0), |(piped, more)| piped.pour(tcp, more));
            match when_writable(tcp, pour).await {
                Ok(count) => frame.poured(count),
                // What is left in the pipe is still there.
                Err(error) if is_refused(&error) => frame.gather()?,
                Err(error) => return Err(error),
            }
            continue;
        }
        let socket = SockRef::from(tcp);
        let count = match frame.head_before_pipe().filter(|_| before.is_empty()) {
            Some(head) => when_writable(tcp, || socket.send_with_flags(head, MORE)).await?,
            None => {
                let send = || {
                    let mut slices = [IoSlice::new(&[]); PIECES];
                    let [first, others @ ..] = &mut slices;
                    *first = IoSlice::new(before);
                    let filled = frame.chunks_vectored(others);
                    socket.send_vectored_with_flags(slices.get(..=filled).unwrap_or_default(), MORE)
                };
                when_writable(tcp, send).await?
            }
        };
        let of_before = count.min(before.len());
        before = before.get(of_before..).unwrap_or_default();
        frame.advance(count - of_before);
    }
    Ok(())
}

/// Writes at once if there is room, which there mostly is, and waits for it otherwise.
async fn when_writable(tcp: &TcpStream, mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match tcp.try_io(Interest::WRITABLE, &mut write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tcp.writable().await?,
            outcome => return outcome,
        }
    }
}

/// The system waits for what follows before it sends the rest of a packet (`MSG_MORE` of `man 2 send`).
const MORE: i32 = if cfg!(target_os = "linux") { 0x8000 } else { 0 };
