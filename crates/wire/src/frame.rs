//! A request on its way out: small encoded pieces chained with borrowed payloads.
//!
//! Everything that is encoded stands in one buffer, the head; payloads are slices of other frames, or lie in pipes, noted
//! with the place in the head they come after. A frame is written with vectored writes, and spliced where there are pipes; no
//! payload byte is ever copied into it.

use crate::pipe::{PipedBytes, Tail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use smallvec::SmallVec;
use std::io::{self, IoSlice};

/// Bytes in front of every request: size, API key, API version, correlation id.
const PREFIX_BYTES: usize = 12;

/// One encoded request, correlation id still open.
#[derive(Debug)]
pub struct Frame {
    head: BytesMut,
    /// Requests of few payloads need no memory of their own for their list.
    payloads: SmallVec<[(usize, Payload); 4]>,
    payload_bytes: usize,
    /// Something that belongs into it is not to be had.
    is_incomplete: bool,
    least_answer_bytes: usize,
}

/// What is chained.
#[derive(Debug)]
enum Payload {
    Memory(Bytes),
    Pipe(PipedBytes),
}

impl Payload {
    /// The bytes, where they are in memory.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Pipe(_) => &[],
        }
    }
}

impl Frame {
    /// Starts a request: the header of version 1, or 2 where the API's version is `flexible` (KIP-482).
    pub(crate) fn request(api_key: i16, api_version: i16, client_id: &str, flexible: bool) -> Self {
        Self::request_of(api_key, api_version, client_id, flexible, 256)
    }

    /// A request whose own fields take some `body_bytes`.
    pub(crate) fn request_of(
        api_key: i16,
        api_version: i16,
        client_id: &str,
        flexible: bool,
        body_bytes: usize,
    ) -> Self {
        let mut head = BytesMut::with_capacity(PREFIX_BYTES + client_id.len() + 4 + body_bytes);
        head.put_i32(0);
        head.put_i16(api_key);
        head.put_i16(api_version);
        head.put_i32(0);
        crate::primitives::put_string(&mut head, false, client_id);
        crate::primitives::put_no_tags(&mut head, flexible);
        Self {
            head,
            payloads: SmallVec::new(),
            payload_bytes: 0,
            is_incomplete: false,
            least_answer_bytes: 0,
        }
    }

    /// Where the request's own fields are written.
    pub(crate) fn body(&mut self) -> &mut BytesMut {
        &mut self.head
    }

    /// Chains `payload` after what has been written so far.
    pub(crate) fn chain(&mut self, payload: Bytes) {
        self.payload_bytes += payload.len();
        self.payloads.push((self.head.len(), Payload::Memory(payload)));
    }

    /// Chains what was left in the kernel. One that was taken before leaves the frame incomplete: it is not written then.
    pub(crate) fn chain_tail(&mut self, tail: &Tail) {
        self.payload_bytes += tail.len();
        match tail.take() {
            Some(piped) => self.payloads.push((self.head.len(), Payload::Pipe(piped))),
            None => self.is_incomplete = true,
        }
    }

    pub(crate) fn reserve_payloads(&mut self, payloads: usize) {
        self.payloads.reserve(payloads);
    }

    /// The answer, size field included, will not be shorter than this.
    pub(crate) fn expect_answer(&mut self, least_bytes: usize) {
        self.least_answer_bytes = least_bytes;
    }

    /// What the answer will have at the least; 0 where nobody said.
    pub(crate) fn least_answer_bytes(&self) -> usize {
        self.least_answer_bytes
    }

    /// Bytes on the wire, size field included.
    pub fn wire_bytes(&self) -> usize {
        self.head.len() + self.payload_bytes
    }

    /// The number of the API asked for.
    pub fn api_key(&self) -> i16 {
        self.head.get(4..6).map_or(-1, |mut key| key.get_i16())
    }

    /// The version of the API asked for.
    pub fn api_version(&self) -> i16 {
        self.head.get(6..8).map_or(-1, |mut version| version.get_i16())
    }

    /// Fills in size and correlation id and turns the frame into bytes to write.
    pub(crate) fn seal(mut self, correlation_id: i32) -> Sealed {
        let size = i32::try_from(self.wire_bytes() - 4).unwrap_or(i32::MAX);
        if let Some(prefix) = self.head.get_mut(..PREFIX_BYTES) {
            let (size_field, rest) = prefix.split_at_mut(4);
            size_field.copy_from_slice(&size.to_be_bytes());
            rest.split_at_mut(4).1.copy_from_slice(&correlation_id.to_be_bytes());
        }
        let remaining = self.wire_bytes();
        Sealed { frame: self, head_read: 0, payload: 0, payload_read: 0, remaining }
    }
}

/// A frame being written: a [`Buf`] over its pieces in order.
#[derive(Debug)]
pub(crate) struct Sealed {
    frame: Frame,
    head_read: usize,
    payload: usize,
    payload_read: usize,
    remaining: usize,
}

impl Sealed {
    /// The unwritten pieces up to the next pipe, in order; empty ones included.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let pending = self.frame.payloads.get(self.payload..).unwrap_or_default();
        let pipe = pending.iter().position(|(_, payload)| matches!(payload, Payload::Pipe(_)));
        let pending = pipe.and_then(|pipe| pending.get(..=pipe)).unwrap_or(pending);
        let mut from = self.head_read;
        let mut skip = self.payload_read;
        let chained = pending.iter().flat_map(move |(at, payload)| {
            let head = self.frame.head.get(from..*at).unwrap_or_default();
            let payload = payload.bytes().get(skip..).unwrap_or_default();
            (from, skip) = (from.max(*at), 0);
            [head, payload]
        });
        let last = match pending.last() {
            _ if pipe.is_some() => self.frame.head.len(),
            Some((at, _)) => self.head_read.max(*at),
            None => self.head_read,
        };
        chained.chain(std::iter::once(self.frame.head.get(last..).unwrap_or_default()))
    }

    /// Whether all of it is to be had.
    pub(crate) fn is_complete(&self) -> bool {
        !self.frame.is_incomplete
    }

    /// Whether a pipe comes somewhere behind what is written.
    pub(crate) fn has_pipe(&self) -> bool {
        let pending = self.frame.payloads.get(self.payload..).unwrap_or_default();
        pending.iter().any(|(_, payload)| matches!(payload, Payload::Pipe(_)))
    }

    /// Bytes of it that are in pipes.
    pub(crate) fn piped_bytes(&self) -> usize {
        let piped = |(_, payload): &(usize, Payload)| match payload {
            Payload::Memory(_) => 0,
            Payload::Pipe(piped) => piped.len(),
        };
        self.frame.payloads.iter().map(piped).sum()
    }

    /// What is in memory before the pipe that comes next, where nothing else comes before it.
    pub(crate) fn head_before_pipe(&self) -> Option<&[u8]> {
        match self.frame.payloads.get(self.payload)? {
            (at, Payload::Pipe(_)) => self.frame.head.get(self.head_read..*at),
            (_, Payload::Memory(_)) => None,
        }
    }

    /// The pipe that comes next, if it is one, and whether more follows it.
    pub(crate) fn next_pipe(&mut self) -> Option<(&mut PipedBytes, bool)> {
        let (at, payload) = self.frame.payloads.get_mut(self.payload)?;
        match payload {
            Payload::Pipe(piped) if *at == self.head_read => {
                let more = self.remaining > piped.len();
                Some((piped, more))
            }
            _ => None,
        }
    }

    /// Notes that `count` bytes of the pipe that comes next are written.
    pub(crate) fn poured(&mut self, count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        if self.next_pipe().is_some_and(|(piped, _)| piped.len() == 0) {
            self.payload += 1;
        }
    }

    /// Takes everything that is in pipes into memory.
    pub(crate) fn gather(&mut self) -> io::Result<()> {
        for (_, payload) in &mut self.frame.payloads {
            if let Payload::Pipe(piped) = payload {
                let mut bytes = Vec::new();
                piped.read_into(&mut bytes)?;
                *payload = Payload::Memory(bytes.into());
            }
        }
        Ok(())
    }
}

impl Buf for Sealed {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces().find(|piece| !piece.is_empty()).unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces().filter(|piece| !piece.is_empty());
        let mut filled = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        while count > 0 {
            let next = self.frame.payloads.get(self.payload);
            let head_end = next.map_or(self.frame.head.len(), |(at, _)| *at);
            let head = count.min(head_end.saturating_sub(self.head_read));
            self.head_read += head;
            count -= head;
            let Some((_, Payload::Memory(payload))) = next else { return };
            let body = count.min(payload.len() - self.payload_read);
            self.payload_read += body;
            count -= body;
            if self.head_read == head_end && self.payload_read == payload.len() {
                self.payload += 1;
                self.payload_read = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(pieces: &[(Vec<u8>, Vec<u8>)], tail: &[u8]) -> (Frame, Vec<u8>) {
        let mut frame = Frame::request(0, 9, "id", true);
        let mut flat = frame.head.to_vec();
        for (head, payload) in pieces {
            frame.body().put_slice(head);
            frame.chain(Bytes::copy_from_slice(payload));
            flat.extend(head);
            flat.extend(payload);
        }
        frame.body().put_slice(tail);
        flat.extend(tail);
        let size = i32::try_from(flat.len() - 4).unwrap();
        flat[..4].copy_from_slice(&size.to_be_bytes());
        flat[8..12].copy_from_slice(&77i32.to_be_bytes());
        (frame, flat)
    }

    proptest! {
        #[test]
        fn any_sequence_of_partial_writes_yields_the_same_bytes(
            pieces in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
            tail in proptest::collection::vec(any::<u8>(), 0..5),
            steps in proptest::collection::vec((1usize..30, 1usize..5), 1..50),
        ) {
            let (frame, flat) = frame(&pieces, &tail);
            let mut sealed = frame.seal(77);
            let mut written: Vec<u8> = Vec::new();
            for (bytes, slots) in steps.iter().cycle() {
                if !sealed.has_remaining() {
                    break;
                }
                let mut slices = vec![IoSlice::new(&[]); *slots];
                let filled = sealed.chunks_vectored(&mut slices);
                let offered: Vec<u8> = slices[..filled].iter().flat_map(|s| s.iter().copied()).collect();
                let accepted = offered.len().min(*bytes);
                prop_assert!(accepted > 0);
                prop_assert_eq!(sealed.chunk(), &*slices[0]);
                written.extend(&offered[..accepted]);
                sealed.advance(accepted);
            }
            prop_assert_eq!(written, flat);
        }
    }

    #[test]
    fn a_payload_is_offered_to_the_socket_where_it_lies() {
        let payload = Bytes::from(vec![5; 100]);
        let mut frame = Frame::request(0, 9, "id", true);
        frame.chain(payload.clone());
        let sealed = frame.seal(1);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(sealed.chunks_vectored(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), payload.as_ptr());
    }
}
