//! A blocking connection to one broker: one request, one answer.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Error;
use super::primitives::Rest;

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any broker-side wait we ask for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// Larger than any answer to the sizes we ask for, save one giant batch.
const LONGEST_ANSWER_BYTES: usize = 256 << 20;
const CLIENT_ID: &[u8] = b"oracle";

#[derive(Debug)]
pub(super) struct Connection {
    address: String,
    socket: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Connects to `host:port`.
    pub(super) fn open(address: &str) -> Result<Self, Error> {
        let failed = |source| Error::Io { address: address.to_owned(), source };
        let resolved = address.to_socket_addrs().map_err(failed)?.next();
        let resolved = resolved.ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))?;
        let socket = TcpStream::connect_timeout(&resolved, CONNECT_PATIENCE).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(Some(ANSWER_PATIENCE)).map_err(failed)?;
        socket.set_write_timeout(Some(ANSWER_PATIENCE)).map_err(failed)?;
        Ok(Self { address: address.to_owned(), socket, correlation_id: 0 })
    }

    /// Sends a request with header version 1 and returns the body of the answer. After an error the connection is of no more use.
    pub(super) fn ask(&mut self, api_key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, Error> {
        self.exchange(api_key, version, body)
            .map_err(|source| Error::Io { address: self.address.clone(), source })
    }

    fn exchange(&mut self, api_key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        self.correlation_id += 1;
        let mut head = Vec::new();
        head.extend_from_slice(&api_key.to_be_bytes());
        head.extend_from_slice(&version.to_be_bytes());
        head.extend_from_slice(&self.correlation_id.to_be_bytes());
        head.extend_from_slice(&(CLIENT_ID.len() as i16).to_be_bytes());
        head.extend_from_slice(CLIENT_ID);
        let length = i32::try_from(head.len() + body.len()).map_err(|_| invalid("a request too large"))?;
        self.socket.write_all(&[&length.to_be_bytes()[..], &head].concat())?;
        self.socket.write_all(body)?;

        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(4..=LONGEST_ANSWER_BYTES).contains(&length) {
            return Err(invalid("an answer of impossible length"));
        }
        let mut answer = Vec::with_capacity(length);
        let read = (&self.socket).take(length as u64).read_to_end(&mut answer)?;
        if read < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let answered = Rest::new(&answer, "answer").int32().map_err(|_| invalid("an empty answer"))?;
        if answered != self.correlation_id {
            return Err(invalid("an answer to another request"));
        }
        Ok(answer.split_off(4))
    }
}
