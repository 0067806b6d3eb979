//! Bytes without meaning, from a thread to a thread.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::time::Instant;

/// Writes `bytes` bytes.
pub(super) fn feed(mut stream: TcpStream, bytes: u64) -> Result<()> {
    let block = vec![7; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        stream.write_all(block.get(..take).unwrap_or_default())?;
        left -= take as u64;
    }
    Ok(())
}

/// Reads `bytes` bytes; tells when the first and the last came.
pub(super) fn drain(mut stream: TcpStream, bytes: u64) -> Result<(Instant, Instant)> {
    let mut buffer = vec![0; 1 << 20];
    let mut first = None;
    let mut total = 0;
    while total < bytes {
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => total += read as u64,
        }
        first.get_or_insert_with(Instant::now);
    }
    let last = Instant::now();
    Ok((first.unwrap_or(last), last))
}
