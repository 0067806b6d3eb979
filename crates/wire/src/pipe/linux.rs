//! The system calls.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::param::page_size;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::net::TcpStream;

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
    pub(super) fn open(pages: usize) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&writer, pages * page_size())?;
        Ok(Self { reader, writer })
    }

    /// Moves bytes out of the stream; none where it has ended.
    pub(super) fn fill(&self, stream: &TcpStream, most: usize) -> io::Result<usize> {
        moved(stream, &self.writer, most, SpliceFlags::empty())
    }

    pub(super) fn is_full(&self) -> io::Result<bool> {
        let mut asked = [PollFd::new(&self.writer, PollFlags::OUT)];
        poll(&mut asked, Some(&Timespec::default()))?;
        Ok(asked.iter().all(|answer| !answer.revents().contains(PollFlags::OUT)))
    }

    /// Moves bytes into another pipe; none where that has no room.
    pub(super) fn pass(&self, to: &Self, most: usize) -> io::Result<usize> {
        match moved(&self.reader, &to.writer, most, SpliceFlags::empty()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            outcome => outcome,
        }
    }

    pub(super) fn pour(&self, stream: &TcpStream, most: usize, more: bool) -> io::Result<usize> {
        let flags = if more { SpliceFlags::MORE } else { SpliceFlags::empty() };
        match moved(&self.reader, stream, most, flags)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            bytes => Ok(bytes),
        }
    }

    /// Reads behind what `out` holds, as far as it has room.
    pub(super) fn read(&self, out: &mut Vec<u8>) -> io::Result<usize> {
        Ok(rustix::io::read(&self.reader, rustix::buffer::spare_capacity(out))?)
    }

    /// Reads as many as `out` is long, or fewer.
    pub(super) fn read_some(&self, out: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.reader, out)?)
    }
}

fn moved(from: impl AsFd, to: impl AsFd, most: usize, flags: SpliceFlags) -> io::Result<usize> {
    let flags = flags | SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        match splice(&from, None, &to, None, most, flags) {
            Ok(bytes) => return Ok(bytes),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
