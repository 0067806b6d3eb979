//! The reading half of a connection's task.

use super::buffers::Buffer;
use super::driver::{Driver, InFlight, Oldest};
use super::error::Cause;
use super::inflow::{Inflow, read_some};
use super::reply::Received;
use crate::fetch::{self, Scan, Step};
use crate::pipe::{Cut, PIPED_BYTES, PipedBytes, Tail, is_refused};
use crate::transport::Half;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use tokio::io::AsyncRead;

/// What an answer begins with.
const CORRELATION_ID_BYTES: usize = 4;
/// Read at once where answers are small.
const EARLY_BYTES: usize = 4 << 10;
/// Room for many of them, taken at once.
const EARLY_ROOM_BYTES: usize = 32 << 10;
/// With less room left than this, more is taken.
const LEAST_ROOM_BYTES: usize = 1 << 10;
/// Read at once where payloads are to be left out: the fields before a payload, and as little of it as can be.
const FIELDS_BYTES: usize = 192;
/// The same while no payload comes.
const MOST_FIELDS_BYTES: usize = 16 << 10;
/// More than this between payloads is read as it comes.
const MOST_WITHOUT_PAYLOAD_BYTES: usize = 256 << 10;
/// Room for so many payloads left out is taken at once.
const USUAL_CUTS: usize = 16;
/// Memory for an answer without them.
const FIELDS_ROOM_BYTES: usize = 12 << 10;

impl Driver {
    pub(super) async fn read_answers(
        &self,
        mut reader: impl AsyncRead + Half,
        in_flight: &InFlight,
    ) -> Result<Infallible, Cause> {
        let mut early = Early::default();
        let mut most_piped = *PIPED_BYTES.end();
        loop {
            let (received, answer) =
                self.read_frame(&mut reader, &mut early, &mut most_piped, in_flight).await?;
            let waiting = in_flight.lock().pop_front();
            match waiting {
                Some(waiting) if waiting.correlation_id == received => {
                    // The first request of all says nothing of those to come.
                    early.is_usual |=
                        ![fetch::API_KEY, ApiKey::ApiVersions as i16].contains(&waiting.api_key);
                    waiting.reply.give(Ok(answer));
                }
                Some(waiting) => {
                    let expected = Some(waiting.correlation_id);
                    in_flight.lock().push_front(waiting);
                    return Err(Cause::OutOfStep { expected, received });
                }
                None => return Err(Cause::OutOfStep { expected: None, received }),
            }
        }
    }

    /// One answer and its correlation id, in one buffer of the pool, read without clearing it first.
    async fn read_frame(
        &self,
        reader: &mut (impl AsyncRead + Half),
        early: &mut Early,
        most_piped: &mut usize,
        in_flight: &InFlight,
    ) -> Result<(i32, Received), Cause> {
        while early.len() < 4 {
            // What is under way may have become more by the time there is something to read.
            poll_fn(|context| {
                reader.wants(if early.len() == 0 { in_flight.together_bytes() } else { 0 });
                // What a Fetch answer brings is to stay where it is put.
                let most = match in_flight.oldest() {
                    Some(Oldest { scan_as: Some(_), .. }) => FIELDS_BYTES,
                    Some(Oldest { api_key: fetch::API_KEY, .. }) => 4 - early.len(),
                    Some(_) => EARLY_BYTES,
                    None if early.is_usual => EARLY_BYTES,
                    None => 4 - early.len(),
                };
                pin!(read_some(reader, &mut early.room().limit(most), in_flight)).poll(context)
            })
            .await?;
        }
        let prefix = early.take_prefix();
        let size = i32::from_be_bytes(prefix);
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        if len > self.max_frame_bytes || len < 4 {
            return Err(match prefix {
                [b'H', b'T', b'T', b'P'] => Cause::Http,
                [0x15, 0x03, ..] => Cause::TlsListener,
                _ => Cause::FrameSize { bytes: size, limit: self.max_frame_bytes },
            });
        }
        let mut cuts = Vec::new();
        let mut answer = if early.len() >= len {
            early.take(len)
        } else {
            let scan_as = in_flight.oldest().and_then(|oldest| oldest.scan_as);
            let least = *PIPED_BYTES.start();
            let scan = scan_as.filter(|_| len > least && *most_piped > least);
            let mut buffer = self.pool.take(if scan.is_some() { FIELDS_ROOM_BYTES } else { len });
            self.pool.copied(early.len());
            early.take_into(&mut buffer.bytes);
            // What goes to memory without TLS may come from afar: there the system's receive window grows with what is read.
            let is_waited_for = scan.is_some() || reader.tcp().is_none();
            let mut inflow = Inflow::new(reader, in_flight);
            let len = match scan {
                Some(version) => {
                    cuts.reserve(USUAL_CUTS.min(len / least));
                    let scan = Scan::new(version, len, CORRELATION_ID_BYTES, least..=*most_piped);
                    inflow.has_payloads(len);
                    let len = leave_out(&mut inflow, scan, &mut buffer, &mut cuts, most_piped).await?;
                    inflow.has_no_more_payloads();
                    len
                }
                None => len,
            };
            let whole = if is_waited_for { len } else { 0 };
            inflow.read_until(&mut buffer, len..=len, whole).await?;
            buffer.freeze()
        };
        self.pool.copied(prefix.len() + answer.len());
        for cut in &mut cuts {
            cut.tail.count_in(&self.pool);
        }
        Ok((answer.get_i32(), Received::cut(answer, cuts)))
    }
}

/// Reads an answer, but for the large payloads in it, as far as there are pipes for them. What is left is to be read: the
/// answer's length in memory is returned. `most_piped` becomes less where payloads do not fit.
async fn leave_out<R: AsyncRead + Half>(
    inflow: &mut Inflow<'_, R>,
    mut scan: Scan,
    buffer: &mut Buffer,
    cuts: &mut Vec<Cut>,
    most_piped: &mut usize,
) -> Result<usize, Cause> {
    let mut ahead = FIELDS_BYTES;
    let mut after_last = 0;
    loop {
        let bytes = match scan.step(&buffer.bytes) {
            Step::ReadAll => return Ok(scan.len()),
            // So many fields without a payload are not worth a closer look.
            Step::Read(bytes) if bytes > after_last + MOST_WITHOUT_PAYLOAD_BYTES => return Ok(scan.len()),
            Step::Read(bytes) => {
                let most = (buffer.bytes.len() + ahead).max(bytes + FIELDS_BYTES).min(scan.len());
                inflow.read_until(buffer, bytes..=most, scan.len()).await?;
                // Fields of many partitions without records.
                ahead = MOST_FIELDS_BYTES.min(ahead * 2);
                continue;
            }
            Step::LeaveOut(bytes) => bytes,
        };
        ahead = FIELDS_BYTES;
        after_last = buffer.bytes.len();
        let Some(mut piped) = PipedBytes::none_yet() else { return Ok(scan.len()) };
        match inflow.fill(&mut piped, bytes, scan.len() - buffer.bytes.len()).await {
            Ok(()) => {}
            // Not here, then: nothing has been moved.
            Err(error) if piped.len() == 0 && is_refused(&error) => {
                tracing::info!(%error, "splice is refused; reading into memory");
                *most_piped = 0;
                return Ok(scan.len());
            }
            Err(error) => return Err(inflow.failed(error)),
        }
        let have = buffer.bytes.len();
        if piped.len() == bytes {
            scan.left_out(have, bytes);
            cuts.push(Cut { at: have - CORRELATION_ID_BYTES, tail: Tail::new(piped) });
        } else {
            // It comes in pieces too small for a pipe: most others will.
            *most_piped = piped.len() / 4 * 3;
            buffer.grow(scan.len());
            piped.read_into(&mut buffer.bytes).map_err(|error| inflow.failed(error))?;
            return Ok(scan.len());
        }
    }
}

/// Bytes read before it was known what they belong to: small answers come whole with one read.
#[derive(Default)]
struct Early {
    bytes: BytesMut,
    /// Answers have been small: what comes next is while nothing is under way yet.
    is_usual: bool,
}

impl Early {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn room(&mut self) -> &mut BytesMut {
        if self.bytes.capacity() - self.bytes.len() < LEAST_ROOM_BYTES {
            self.bytes.reserve(EARLY_ROOM_BYTES);
        }
        &mut self.bytes
    }

    /// The length in front of an answer, of which at least that is there.
    fn take_prefix(&mut self) -> [u8; 4] {
        self.bytes.get_u32().to_be_bytes()
    }

    /// An answer that is there as a whole.
    fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len).freeze()
    }

    /// Moves what is there of an answer to where it is collected.
    fn take_into(&mut self, answer: &mut Vec<u8>) {
        answer.extend_from_slice(&self.bytes);
        self.bytes.clear();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
