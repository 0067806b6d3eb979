//! The system calls.

use super::Filled;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::param::page_size;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::OwnedFd;
use tokio::net::TcpStream;

/// Pages a pipe takes, of whatever fill: a payload of 64 KiB is 17 pages of a file, or 45 packets.
const PIPE_PAGES: usize = 64;

/// The soft limit of the process.
pub(super) fn most_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    pub(super) fn open() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&writer, PIPE_PAGES * page_size())?;
        Ok(Self { reader, writer })
    }

    pub(super) fn fill(&self, stream: &TcpStream, most: usize) -> io::Result<(Filled, usize)> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            match splice(stream, None, &self.writer, None, most, flags) {
                Ok(0) => return Ok((Filled::End, 0)),
                Ok(bytes) => return Ok((Filled::More, bytes)),
                Err(Errno::INTR) => {}
                // A stream without bytes and a pipe without room answer alike, also where the stream has ended.
                Err(Errno::AGAIN) if self.is_full()? => return Ok((Filled::Full, 0)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_full(&self) -> io::Result<bool> {
        let mut asked = [PollFd::new(&self.writer, PollFlags::OUT)];
        poll(&mut asked, Some(&Timespec::default()))?;
        Ok(asked.iter().all(|answer| !answer.revents().contains(PollFlags::OUT)))
    }

    pub(super) fn pour(&self, stream: &TcpStream, most: usize, more: bool) -> io::Result<usize> {
        let mut flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        flags.set(SpliceFlags::MORE, more);
        loop {
            match splice(&self.reader, None, stream, None, most, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => return Ok(bytes),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads behind what `out` holds, as far as it has room.
    pub(super) fn read(&self, out: &mut Vec<u8>) -> io::Result<usize> {
        Ok(rustix::io::read(&self.reader, rustix::buffer::spare_capacity(out))?)
    }
}
