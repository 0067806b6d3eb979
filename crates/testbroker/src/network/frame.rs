//! Length-prefixed frames. Read into one exactly sized buffer that payloads stay slices of; written vectored, so
//! that stored payloads are never copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// `socket.request.max.bytes`.
const MAX_REQUEST_BYTES: usize = 100 * 1024 * 1024;
/// Below this a payload is cheaper to copy than to chain.
const COPY_BYTES: usize = 1024;
/// Chunks handed to one `writev`.
const CHUNKS_PER_WRITE: usize = 64;

/// Reads one frame; `None` at the end of the stream.
pub(crate) async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Bytes>> {
    let mut size = [0; 4];
    match stream.read_exact(&mut size).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let size = usize::try_from(i32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if size > MAX_REQUEST_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame size out of range"));
    }
    let mut frame = BytesMut::with_capacity(size);
    while frame.len() < size {
        let missing = size - frame.len();
        if stream.read_buf(&mut (&mut frame).limit(missing)).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(frame.freeze()))
}

/// A response under construction: small fields in a growing tail, large payloads chained.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    chained_bytes: usize,
    payload_middle: Option<usize>,
}

impl Frame {
    /// Where fields are written.
    pub(crate) fn fields(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Adds bytes without copying them, unless they are few.
    pub(crate) fn chain(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BYTES {
            self.tail.put_slice(&bytes);
            return;
        }
        self.seal_tail();
        self.chained_bytes += bytes.len();
        self.chunks.push_back(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.chained_bytes + self.tail.len()
    }

    /// Notes that a payload of `bytes` begins here.
    pub(crate) fn mark_payload(&mut self, bytes: usize) {
        let middle = self.len() + bytes / 2;
        self.payload_middle.get_or_insert(middle);
    }

    /// Position of the byte in the middle of the first payload.
    pub(crate) fn payload_middle(&self) -> Option<usize> {
        self.payload_middle
    }

    /// Changes one byte, counted from the start of the body.
    pub(crate) fn flip(&mut self, at: usize) {
        let mut whole = self.to_bytes();
        if let Some(byte) = whole.get_mut(at) {
            *byte ^= 0xff;
        }
        *self = Self { tail: whole, ..Self::default() };
    }

    /// The body in one buffer.
    fn to_bytes(&self) -> BytesMut {
        let mut whole = BytesMut::with_capacity(self.len());
        for chunk in &self.chunks {
            whole.put_slice(chunk);
        }
        whole.put_slice(&self.tail);
        whole
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chained_bytes += self.tail.len();
            self.chunks.push_back(self.tail.split().freeze());
        }
    }

    /// Writes the size and the body; with `cut`, only that many bytes of both.
    pub(crate) async fn write<S: AsyncWrite + Unpin>(
        mut self,
        stream: &mut S,
        cut: Option<usize>,
    ) -> io::Result<()> {
        let size = i32::try_from(self.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "response too large"))?;
        self.seal_tail();
        self.chunks.push_front(Bytes::copy_from_slice(&size.to_be_bytes()));
        let mut budget = cut.unwrap_or(usize::MAX);
        while let Some(front) = self.chunks.front() {
            if budget == 0 {
                break;
            }
            let written = if cut.is_some() {
                let part = &front[..front.len().min(budget)];
                stream.write(part).await?
            } else {
                let mut slices = [IoSlice::new(&[]); CHUNKS_PER_WRITE];
                let count = self.chunks.len().min(CHUNKS_PER_WRITE);
                for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
                    *slice = IoSlice::new(chunk);
                }
                stream.write_vectored(&slices[..count]).await?
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            budget -= written;
            self.advance(written);
        }
        stream.flush().await
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.chunks.front_mut() {
            let step = front.len().min(written);
            front.advance(step);
            written -= step;
            if !front.is_empty() {
                break;
            }
            self.chunks.pop_front();
        }
    }
}
