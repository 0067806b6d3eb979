//! The protocol's primitive types, read from a received frame and written into a request's head.
//!
//! Reading never allocates and never goes past the frame. An array's count is checked against the bytes
//! that are left, so that no count can size memory.

use bytes::{BufMut, Bytes, BytesMut};

/// A frame that is not what its API and version say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed answer at byte {position}: {problem}")]
pub struct Malformed {
    /// Bytes into the frame, after its size field.
    pub position: usize,
    /// What was wrong there.
    pub problem: &'static str,
}

/// Reads a frame front to back; byte fields come out as slices of it.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// What slices are taken of; without it they are copies.
    frame: Option<&'a Bytes>,
    /// Bytes of the frame, of which the last may not be there yet.
    len: usize,
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(frame: &'a Bytes) -> Self {
        Self { bytes: frame, frame: Some(frame), len: frame.len(), position: 0 }
    }

    /// Reads what is there of a frame of `len` bytes, from `position` on.
    pub(crate) fn of_part(bytes: &'a [u8], len: usize, position: usize) -> Self {
        Self { bytes, frame: None, len, position }
    }

    /// Bytes read.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.len.saturating_sub(self.position)
    }

    pub(crate) fn malformed(&self, problem: &'static str) -> Malformed {
        Malformed { position: self.position, problem }
    }

    /// The next `N` bytes, their end checked once.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<N>());
        let Some(bytes) = bytes else { return Err(self.malformed("the frame ends inside a field")) };
        self.position += N;
        Ok(*bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }
    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }
    pub(crate) fn uuid(&mut self) -> Result<TopicId, Malformed> {
        self.array().map(TopicId)
    }

    #[inline]
    pub(crate) fn uvarint(&mut self) -> Result<u32, Malformed> {
        // Most are of one byte: short lengths, and no tagged fields.
        match self.bytes.get(self.position) {
            Some(byte) if *byte < 0x80 => {
                self.position += 1;
                Ok(u32::from(*byte))
            }
            _ => self.long_uvarint(),
        }
    }

    fn long_uvarint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0F {
                return Err(self.malformed("a varint of more than 32 bits"));
            }
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a varint of more than 32 bits"))
    }

    /// `len` bytes as a slice of the frame.
    #[inline]
    pub(crate) fn slice(&mut self, len: usize) -> Result<Bytes, Malformed> {
        let Some(bytes) = self.bytes.get(self.position..).and_then(|rest| rest.get(..len)) else {
            return Err(self.malformed("a length beyond the end of the frame"));
        };
        let slice = match self.frame {
            Some(frame) => frame.slice(self.position..self.position + len),
            None => Bytes::copy_from_slice(bytes),
        };
        self.position += len;
        Ok(slice)
    }

    /// A nullable byte or string field with its length in 16 or 32 bits or as a compact varint.
    pub(crate) fn nullable(&mut self, len: i64) -> Result<Option<Bytes>, Malformed> {
        match usize::try_from(len) {
            Ok(len) => self.slice(len).map(Some),
            Err(_) if len == -1 => Ok(None),
            Err(_) => Err(self.malformed("a negative length")),
        }
    }

    /// The length of a nullable byte field, which comes next.
    #[inline]
    pub(crate) fn bytes_len(&mut self, flexible: bool) -> Result<i64, Malformed> {
        Ok(if flexible { i64::from(self.uvarint()?) - 1 } else { i64::from(self.i32()?) })
    }

    pub(crate) fn nullable_string(&mut self, flexible: bool) -> Result<Option<Bytes>, Malformed> {
        let len = if flexible { i64::from(self.uvarint()?) - 1 } else { i64::from(self.i16()?) };
        let string = self.nullable(len)?;
        if string.as_ref().is_some_and(|s| std::str::from_utf8(s).is_err()) {
            return Err(self.malformed("a string that is not UTF-8"));
        }
        Ok(string)
    }

    /// The count of an array whose elements take at least `element_bytes` each; `None` for a null array.
    #[inline]
    pub(crate) fn count(&mut self, flexible: bool, element_bytes: usize) -> Result<Option<usize>, Malformed> {
        let count = if flexible { i64::from(self.uvarint()?) - 1 } else { i64::from(self.i32()?) };
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() / element_bytes => Ok(Some(count)),
            Ok(_) => Err(self.malformed("an array longer than the frame")),
            Err(_) if count == -1 => Ok(None),
            Err(_) => Err(self.malformed("a negative array length")),
        }
    }

    /// Visits the tagged fields of a flexible structure; a no-op in versions without them. Bytes that the
    /// visitor leaves unread, and unknown tags, are skipped by size.
    #[inline]
    pub(crate) fn tags(
        &mut self,
        flexible: bool,
        visit: impl FnMut(u32, &mut Reader<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if !flexible {
            return Ok(());
        }
        match self.uvarint()? {
            0 => Ok(()),
            count => self.each_tag(count, visit),
        }
    }

    fn each_tag(
        &mut self,
        count: u32,
        mut visit: impl FnMut(u32, &mut Reader<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        for _ in 0..count {
            let tag = self.uvarint()?;
            let len = self.uvarint()? as usize;
            let start = self.position;
            let field = self.slice(len)?;
            visit(tag, &mut Reader::new(&field))
                .map_err(|inner| Malformed { position: start + inner.position, ..inner })?;
        }
        Ok(())
    }

    pub(crate) fn skip_tags(&mut self, flexible: bool) -> Result<(), Malformed> {
        self.tags(flexible, |_, _| Ok(()))
    }
}

/// A topic id (KIP-516); all zeros where the cluster has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// The id of no topic.
    pub const ZERO: Self = Self([0; 16]);
}

impl std::fmt::Display for TopicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is no topic id: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 32 hexadecimal digits")]
pub struct NotATopicId;

impl std::str::FromStr for TopicId {
    type Err = NotATopicId;

    fn from_str(text: &str) -> Result<Self, NotATopicId> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hexadecimal);
        number.map(|number| Self(number.to_be_bytes())).ok_or(NotATopicId)
    }
}

pub(crate) fn put_uvarint(out: &mut BytesMut, mut value: u32) {
    while value > 0x7F {
        out.put_u8(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.put_u8(value.to_le_bytes()[0]);
}

/// A length or count: 32 bits, or a compact varint of length + 1.
pub(crate) fn put_count(out: &mut BytesMut, flexible: bool, count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if flexible {
        put_uvarint(out, count.saturating_add(1));
    } else {
        out.put_u32(count);
    }
}

pub(crate) fn put_string(out: &mut BytesMut, flexible: bool, string: &str) {
    if flexible {
        put_count(out, true, string.len());
    } else {
        out.put_u16(u16::try_from(string.len()).unwrap_or(u16::MAX));
    }
    out.put_slice(string.as_bytes());
}

pub(crate) fn put_no_tags(out: &mut BytesMut, flexible: bool) {
    if flexible {
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_end_at_32_bits() {
        for value in [0, 1, 127, 128, 300, u32::MAX] {
            let mut out = BytesMut::new();
            put_uvarint(&mut out, value);
            assert_eq!(Reader::new(&out.freeze()).uvarint(), Ok(value));
        }
        for bytes in [&[0xFF, 0xFF, 0xFF, 0xFF, 0x10][..], &[0x80; 6], &[0x80]] {
            assert!(Reader::new(&Bytes::copy_from_slice(bytes)).uvarint().is_err());
        }
    }

    #[test]
    fn a_count_cannot_exceed_what_the_frame_can_hold() {
        let frame = Bytes::from_static(&[0, 0, 0, 3, 1, 2, 3, 4, 5, 6]);
        assert_eq!(Reader::new(&frame).count(false, 2), Ok(Some(3)));
        assert!(Reader::new(&frame).count(false, 3).is_err());
        assert!(Reader::new(&Bytes::from_static(&[0x7F, 0xFF, 0xFF, 0xFF])).count(false, 1).is_err());
        assert_eq!(Reader::new(&Bytes::from_static(&[0xFF, 0xFF, 0xFF, 0xFF])).count(false, 1), Ok(None));
    }
}
