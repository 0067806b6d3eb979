//! A wide pipe that a large answer comes in through: much of it is moved out of the stream at once, and what the pipes of its payloads and
//! the memory get is moved and read from there, which costs less than from a stream.

use super::PipedBytes;
use super::stock::{BASINS, Open};
use std::io;
use tokio::net::TcpStream;

/// Read at once, where less than all is to be read.
const READ_BYTES: usize = 256;

/// Bytes of one answer, between its stream and where they go. It never has any of the next.
#[derive(Debug)]
pub(crate) struct Basin(Option<Box<Open>>);

impl Basin {
    /// An empty one, if one is to be had.
    pub(crate) fn none_yet() -> Option<Self> {
        BASINS.take().map(|open| Self(Some(open)))
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |open| open.len)
    }

    /// Moves up to `most` bytes out of the stream, where there are none here; how many. There are none where the stream has ended.
    ///
    /// # Errors
    /// Those of the stream; `WouldBlock` where it has nothing.
    pub(crate) fn fill(&mut self, stream: &TcpStream, most: usize) -> io::Result<usize> {
        let Some(open) = &mut self.0 else { return Ok(0) };
        let bytes = open.pipe.fill(stream, most)?;
        open.len += bytes;
        Ok(bytes)
    }

    /// Moves up to `most` of its bytes behind those in `piped`; how many. There are none where no more fit there.
    ///
    /// # Errors
    /// Where the kernel does not move them.
    pub(crate) fn pass(&mut self, piped: &mut PipedBytes, most: usize) -> io::Result<usize> {
        let (Some(open), Some(to)) = (&mut self.0, &mut piped.0) else { return Ok(0) };
        let bytes = open.pipe.pass(&to.pipe, most)?;
        open.len = open.len.saturating_sub(bytes);
        to.len += bytes;
        Ok(bytes)
    }

    /// Takes some of its bytes into memory, up to `most`, behind what `out` holds.
    ///
    /// # Errors
    /// Where the kernel does not give them.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>, most: usize) -> io::Result<()> {
        let Some(open) = &mut self.0 else { return Ok(()) };
        let bytes = if most >= open.len {
            out.reserve(open.len);
            open.pipe.read(out)?
        } else {
            let mut some = [0; READ_BYTES];
            let bytes = open.pipe.read_some(some.get_mut(..most.min(READ_BYTES)).unwrap_or_default())?;
            out.extend_from_slice(some.get(..bytes).unwrap_or_default());
            bytes
        };
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        open.len = open.len.saturating_sub(bytes);
        Ok(())
    }
}

impl Drop for Basin {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.give_back();
        }
    }
}
