//! The reference: a process that reads from one connection and writes to another, and nothing else.

use super::super::Failure;
use super::super::arguments::Arguments;
use super::usage::{Measured, measure};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

/// What a read takes at most: as much as a large fetch leaves in the socket at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Moves `bytes` through a relay process, between two threads of ours.
pub(super) fn measured(bytes: u64) -> Result<Measured, Failure> {
    let listen = || TcpListener::bind("127.0.0.1:0").map_err(Failure::while_doing("listen for the relay"));
    let (source, sink) = (listen()?, listen()?);
    let address = |listener: &TcpListener| {
        listener.local_addr().map(|address| address.to_string()).map_err(Failure::while_doing("listen"))
    };
    let (from, to) = (address(&source)?, address(&sink)?);
    let feed = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = source.accept()?;
        let block = vec![7; 1 << 20];
        let mut left = bytes;
        while left > 0 {
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            stream.write_all(block.get(..take).unwrap_or_default())?;
            left -= take as u64;
        }
        Ok(())
    });
    let drain = thread::spawn(move || -> std::io::Result<u64> {
        let (mut stream, _) = sink.accept()?;
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(total),
                read => total += read as u64,
            }
        }
    });
    let program = std::env::current_exe().map_err(Failure::while_doing("find this program"))?;
    let measured = measure(Command::new(program).args(["relay", &from, &to]))?;
    let joined = |_| Failure::Failed("a thread of the relay's ended early".to_owned());
    feed.join().map_err(joined)?.map_err(Failure::while_doing("feed the relay"))?;
    let total = drain.join().map_err(joined)?.map_err(Failure::while_doing("drain the relay"))?;
    if total != bytes {
        return Err(Failure::Failed(format!("the relay moved {total} bytes of {bytes}")));
    }
    Ok(measured)
}

/// The relay process itself: `xtask relay FROM TO`.
pub(in super::super) fn run_relay(mut arguments: Arguments) -> Result<(), Failure> {
    let (Some(from), Some(to)) = (arguments.command(), arguments.command()) else {
        return Err(Failure::Usage("relay FROM TO".to_owned()));
    };
    let connect =
        |address: &str| TcpStream::connect(address).map_err(Failure::while_doing("connect the relay"));
    let (mut from, mut to) = (connect(&from)?, connect(&to)?);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer).map_err(Failure::while_doing("read"))? {
            0 => return Ok(()),
            read => {
                let bytes = buffer.get(..read).unwrap_or_default();
                to.write_all(bytes).map_err(Failure::while_doing("write"))?;
            }
        }
    }
}
