//! The reference below which nothing goes: a process that reads from one connection and writes to another, and nothing else.

use super::{part, stream, word};
use crate::copied;
use crate::process::{Nursery, Running};
use crate::usage::{Usage, of_process};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use xtask::command::Failure;
use xtask::command::arguments::Arguments;

/// What a read takes at most: as much as a large fetch leaves in the socket at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// How long the relay may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a relay process took to move some bytes between two threads of ours.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Relayed {
    /// From its start to the first byte.
    pub(in super::super) first: Duration,
    /// From the first byte to the last.
    pub(in super::super) moving: Duration,
    pub(in super::super) usage: Usage,
    pub(in super::super) copied_per_byte: Option<f64>,
}

/// Moves `bytes` through a relay process.
pub(in super::super) fn relayed(nursery: &Nursery, bytes: u64) -> Result<Relayed, Failure> {
    let listen = || TcpListener::bind("127.0.0.1:0").map_err(Failure::while_doing("listen for the relay"));
    let (source, sink) = (listen()?, listen()?);
    let address = |listener: &TcpListener| {
        listener.local_addr().map(|address| address.to_string()).map_err(Failure::while_doing("listen"))
    };
    let mut command = part("relay");
    command.args([address(&source)?, address(&sink)?]);
    let mut running = nursery.start(command, true)?;
    let feed = thread::spawn(move || source.accept().and_then(|(stream, _)| stream::feed(stream, bytes)));
    let drain = thread::spawn(move || sink.accept().and_then(|(stream, _)| stream::drain(stream, bytes)));
    let joined = |_| Failure::Failed("a thread of the relay's ended early".to_owned());
    feed.join().map_err(joined)?.map_err(Failure::while_doing("feed the relay"))?;
    let (first, last) = drain.join().map_err(joined)?.map_err(Failure::while_doing("drain the relay"))?;
    let usage = finished(&mut running)?;
    let copied_per_byte = copied::said(&running.stdout());
    Ok(Relayed { first: first - running.started, moving: last - first, usage, copied_per_byte })
}

/// The relay waits for our word before it ends, so that its memory can be read.
fn finished(running: &mut Running) -> Result<Usage, Failure> {
    let usage = of_process(running.pid()).unwrap_or_default();
    drop(running.child.stdin.take());
    running.ended(PATIENCE)?;
    Ok(usage)
}

/// `part relay FROM TO`: says in the end how often it has copied a byte.
pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let (from, to) = (word(&mut arguments, "FROM")?, word(&mut arguments, "TO")?);
    let connect =
        |address: &str| TcpStream::connect(address).map_err(Failure::while_doing("connect the relay"));
    let (mut from, mut to) = (connect(&from)?, connect(&to)?);
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut bytes_read, mut bytes_written) = (0, 0);
    loop {
        match from.read(&mut buffer).map_err(Failure::while_doing("read"))? {
            0 => break,
            read => {
                let bytes = buffer.get(..read).unwrap_or_default();
                to.write_all(bytes).map_err(Failure::while_doing("write"))?;
                bytes_read += read as u64;
                bytes_written += bytes.len() as u64;
            }
        }
    }
    println!("{}", copied::words(bytes_read + bytes_written, bytes_written));
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}
