//! Kafka's primitive types, as the non-flexible request versions write them, and the varints of records.

use super::Error;

/// A request body in the making.
#[derive(Debug, Default)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    pub(super) fn int8(mut self, value: i8) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn int16(mut self, value: i16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn int32(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn int64(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn string(mut self, value: &str) -> Self {
        self = self.int16(i16::try_from(value.len()).unwrap_or(i16::MAX));
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub(super) fn null_string(self) -> Self {
        self.int16(-1)
    }

    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        self = self.int32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.0.extend_from_slice(value);
        self
    }

    /// A short string as flexible versions write it.
    pub(super) fn compact_string(mut self, value: &str) -> Self {
        self.0.push(u8::try_from(value.len() + 1).unwrap_or(u8::MAX) & 0x7f);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// An array's length as flexible versions write it; its elements follow.
    pub(super) fn compact_array(mut self, length: usize) -> Self {
        let mut rest = length + 1;
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    /// An array's length; its elements follow.
    pub(super) fn array(self, length: usize) -> Self {
        self.int32(i32::try_from(length).unwrap_or(i32::MAX))
    }
}

/// What is left to read of an answer or a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Rest<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or(Error::malformed(self.what))?;
        self.bytes = rest;
        Ok(head)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(Error::malformed(self.what))?;
        self.bytes = rest;
        Ok(*head)
    }

    pub(super) fn int8(&mut self) -> Result<i8, Error> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub(super) fn int16(&mut self) -> Result<i16, Error> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self) -> Result<i32, Error> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn int64(&mut self) -> Result<i64, Error> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// A string; null counts as empty.
    pub(super) fn string(&mut self) -> Result<String, Error> {
        let length = usize::try_from(self.int16()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// Bytes; null counts as empty.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = usize::try_from(self.int32()?).unwrap_or(0);
        self.take(length)
    }

    /// The elements of an array, each read by `element`; null counts as empty.
    pub(super) fn array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let length = self.int32()?;
        (0..length).map(|_| element(self)).collect()
    }

    /// The length of a string or array as flexible versions write it; null counts as empty.
    pub(super) fn compact_length(&mut self) -> Result<usize, Error> {
        let mut value = 0usize;
        for shift in (0..28).step_by(7) {
            let [byte] = self.fixed()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value.saturating_sub(1));
            }
        }
        Err(Error::malformed(self.what))
    }

    /// A zigzag varint of at most 64 bits.
    pub(super) fn varint(&mut self) -> Result<i64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.fixed()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(Error::malformed(self.what))
    }

    /// Bytes with a varint length; -1 is null.
    pub(super) fn varint_bytes(&mut self) -> Result<Option<&'a [u8]>, Error> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Error::malformed(self.what))?;
                self.take(length).map(Some)
            }
        }
    }
}

/// Appends a zigzag varint.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends bytes with a varint length; null is -1.
pub(super) fn put_varint_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_go_there_and_back() {
        for value in [0, 1, -1, 63, 64, -64, -65, 300, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut rest = Rest::new(&bytes, "varint");
            assert_eq!(rest.varint().unwrap(), value);
            assert!(rest.is_empty());
        }
        // The protocol's own examples: 0, -1, 1, -2 are 0, 1, 2, 3.
        let mut bytes = Vec::new();
        for value in [0, -1, 1, -2] {
            put_varint(&mut bytes, value);
        }
        assert_eq!(bytes, [0, 1, 2, 3]);
    }
}
