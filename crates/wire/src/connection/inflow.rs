//! The bytes of one answer, on their way into memory and into pipes.

use super::buffers::Buffer;
use super::driver::{InFlight, cause_of};
use super::error::Cause;
use crate::pipe::{Basin, Filled, PipedBytes, is_refused};
use crate::transport::Half;
use bytes::BufMut;
use std::io;
use std::ops::RangeInclusive;
use tokio::io::{AsyncRead, AsyncReadExt, Interest};

/// Answers from this size on come in through a basin: below, there are too few payloads in them for it to be worth its calls.
const BASIN_BYTES: usize = 192 << 10;

/// An answer that comes in: what has come into the basin, if there is one, is followed by what is in the stream.
pub(super) struct Inflow<'a, R> {
    reader: &'a mut R,
    basin: Option<Basin>,
    /// Whether more is to come through it.
    is_refilled: bool,
    in_flight: &'a InFlight,
}

impl<'a, R: AsyncRead + Half> Inflow<'a, R> {
    /// One that goes into memory.
    pub(super) fn new(reader: &'a mut R, in_flight: &'a InFlight) -> Self {
        Self { reader, basin: None, is_refilled: false, in_flight }
    }

    /// Payloads are to be left out of it, which has `len` bytes with them.
    pub(super) fn has_payloads(&mut self, len: usize) {
        self.basin = (len >= BASIN_BYTES).then(Basin::none_yet).flatten();
        self.is_refilled = true;
    }

    /// The rest of it goes into memory, for which the way through the basin would be a detour.
    pub(super) fn has_no_more_payloads(&mut self) {
        self.is_refilled = false;
    }

    /// Moves the next `bytes` into a pipe, or fewer if no more fit it, of `left` that are still to come of the answer.
    pub(super) async fn fill(&mut self, piped: &mut PipedBytes, bytes: usize, left: usize) -> io::Result<()> {
        while piped.len() < bytes {
            let (missing, left) = (bytes - piped.len(), left - piped.len());
            self.refill(left).await?;
            if let Some(basin) = &mut self.basin {
                match basin.pass(piped, missing)? {
                    0 => return Ok(()),
                    _ => continue,
                }
            }
            let Some(tcp) = self.reader.tcp() else { return Ok(()) };
            match tcp.try_io(Interest::READABLE, || piped.fill(tcp, missing)) {
                Ok(Filled::More) => {}
                Ok(Filled::Full) => return Ok(()),
                Ok(Filled::End) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(left).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sees to it that there is something in the basin, if more is to come through one, of `left` bytes to come.
    async fn refill(&mut self, left: usize) -> io::Result<()> {
        while self.is_refilled
            && let Some(basin) = &mut self.basin
            && basin.len() == 0
            && let Some(tcp) = self.reader.tcp()
        {
            match tcp.try_io(Interest::READABLE, || basin.fill(tcp, left)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(left).await?,
                // Filling a payload's pipe will say the same.
                Err(error) if is_refused(&error) => self.basin = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn wait(&mut self, left: usize) -> io::Result<()> {
        self.reader.wants(left);
        self.reader.will_wait();
        match self.reader.tcp() {
            Some(tcp) => tcp.readable().await,
            None => Ok(()),
        }
    }

    /// Reads on until the fewest of `bytes` are there, and as many more of them as have come by then, of an answer that will have
    /// `whole` in memory or will leave more out; 0 where none of it is to be waited for.
    pub(super) async fn read_until(
        &mut self,
        buffer: &mut Buffer,
        bytes: RangeInclusive<usize>,
        whole: usize,
    ) -> Result<(), Cause> {
        buffer.grow(*bytes.end());
        while buffer.bytes.len() < *bytes.start() {
            let have = buffer.bytes.len();
            let left = whole.saturating_sub(have);
            if let Err(error) = self.refill(left).await {
                return Err(self.failed(error));
            }
            if let Some(basin) = self.basin.as_mut().filter(|basin| basin.len() > 0) {
                let read = basin.read(&mut buffer.bytes, bytes.end() - have);
                read.map_err(|error| self.failed(error))?;
                continue;
            }
            self.reader.wants(left);
            read_some(self.reader, &mut (&mut buffer.bytes).limit(bytes.end() - have), self.in_flight)
                .await?;
        }
        Ok(())
    }

    /// Why the connection ends.
    pub(super) fn failed(&self, error: io::Error) -> Cause {
        cause_of(error, self.in_flight)
    }
}

/// Reads what there is, as far as `room` goes.
pub(super) async fn read_some(
    reader: &mut (impl AsyncRead + Unpin),
    room: &mut impl BufMut,
    in_flight: &InFlight,
) -> Result<(), Cause> {
    match reader.read_buf(room).await {
        Ok(0) => Err(cause_of(io::ErrorKind::UnexpectedEof.into(), in_flight)),
        Ok(_) => Ok(()),
        Err(error) => Err(cause_of(error, in_flight)),
    }
}
