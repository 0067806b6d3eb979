//! Asks a broker two questions over a plain socket: does it speak the protocol, and which brokers does it know.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
/// No answer to these two questions is longer.
const LONGEST_ANSWER_BYTES: usize = 1 << 20;

/// Node ids of the brokers that `address` knows, itself included. An error while it is not ready to serve.
pub(super) fn brokers(address: SocketAddr) -> io::Result<Vec<u32>> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let versions = ask(&mut socket, API_VERSIONS, 0, &[])?;
    let mut versions = Answer(&versions);
    if versions.int16()? != 0 {
        return Err(unexpected("ApiVersions was refused"));
    }
    // An array of no topics: the brokers alone.
    let metadata = ask(&mut socket, METADATA, 1, &0i32.to_be_bytes())?;
    let mut metadata = Answer(&metadata);
    let count = metadata.int32()?;
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(u32::try_from(metadata.int32()?).map_err(|_| unexpected("a negative node id"))?);
        metadata.string()?;
        metadata.int32()?;
        metadata.string()?;
    }
    if metadata.int32()? < 0 {
        return Err(unexpected("no controller yet"));
    }
    Ok(nodes)
}

/// One request (header version 1, client id "probe") and the body of its answer.
fn ask(socket: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend_from_slice(&key.to_be_bytes());
    request.extend_from_slice(&version.to_be_bytes());
    request.extend_from_slice(&1i32.to_be_bytes());
    request.extend_from_slice(&5i16.to_be_bytes());
    request.extend_from_slice(b"probe");
    request.extend_from_slice(body);
    let length = i32::try_from(request.len()).map_err(|_| unexpected("a question too long"))?;
    socket.write_all(&[&length.to_be_bytes()[..], &request].concat())?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !(4..=LONGEST_ANSWER_BYTES).contains(&length) {
        return Err(unexpected("an answer of impossible length"));
    }
    let mut answer = vec![0; length];
    socket.read_exact(&mut answer)?;
    // The first four bytes repeat the correlation id.
    Ok(answer.split_off(4))
}

/// What is left of an answer.
struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| unexpected("an answer cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn int16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.bytes()?))
    }

    fn int32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.bytes()?))
    }

    /// Skips a string that may be null.
    fn string(&mut self) -> io::Result<()> {
        let length = usize::try_from(self.int16()?).unwrap_or(0);
        self.0 = self.0.get(length..).ok_or_else(|| unexpected("an answer cut short"))?;
        Ok(())
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
