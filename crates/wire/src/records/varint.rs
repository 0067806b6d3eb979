//! Zig-zag variable-length integers, as records use them (KIP-98): seven bits a byte, least significant first.
//!
//! Reading refuses what no writer produces: more than 5 bytes (10 for 64 bits), or bits beyond the type.

use bytes::BufMut;
use thiserror::Error;

/// Most bytes a 32-bit integer takes.
pub const VARINT_MAX_BYTES: usize = 5;
/// Most bytes a 64-bit integer takes.
pub const VARLONG_MAX_BYTES: usize = 10;

/// Why bytes are not a variable-length integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VarintError {
    /// The bytes end before the integer does.
    #[error("variable-length integer ends early")]
    Truncated,
    /// More bytes than the type can need.
    #[error("variable-length integer is longer than {max_bytes} bytes")]
    TooLong {
        /// [`VARINT_MAX_BYTES`] or [`VARLONG_MAX_BYTES`].
        max_bytes: usize,
    },
    /// The last byte holds bits that the type has no place for.
    #[error("variable-length integer overflows its type")]
    Overflow,
}

/// Reads a 32-bit integer and moves the cursor after it. The cursor stays where it was on an error.
pub fn read_varint(cursor: &mut &[u8]) -> Result<i32, VarintError> {
    // In range: the reader checked it against the same bound.
    let raw = read_unsigned(cursor, VARINT_MAX_BYTES, u64::from(u32::MAX))? as u32;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a 64-bit integer and moves the cursor after it. The cursor stays where it was on an error.
pub fn read_varlong(cursor: &mut &[u8]) -> Result<i64, VarintError> {
    let raw = read_unsigned(cursor, VARLONG_MAX_BYTES, u64::MAX)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Writes a 32-bit integer.
pub fn write_varint(out: &mut impl BufMut, value: i32) {
    write_unsigned(out, u64::from(zigzag(value)));
}

/// Writes a 64-bit integer.
pub fn write_varlong(out: &mut impl BufMut, value: i64) {
    write_unsigned(out, zigzag_long(value));
}

/// Bytes that [`write_varint`] writes.
pub fn varint_bytes(value: i32) -> usize {
    unsigned_bytes(u64::from(zigzag(value)))
}

/// Bytes that [`write_varlong`] writes.
pub fn varlong_bytes(value: i64) -> usize {
    unsigned_bytes(zigzag_long(value))
}

fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

fn zigzag_long(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn read_unsigned(cursor: &mut &[u8], max_bytes: usize, max: u64) -> Result<u64, VarintError> {
    let mut rest = *cursor;
    let mut value = 0;
    for shift in (0u32..).step_by(7).take(max_bytes) {
        let (&byte, after) = rest.split_first().ok_or(VarintError::Truncated)?;
        rest = after;
        let bits = u64::from(byte & 0x7F);
        // Shifting there and back loses exactly the bits that do not fit into 64.
        if (bits << shift) >> shift != bits || bits << shift > max {
            return Err(VarintError::Overflow);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            *cursor = rest;
            return Ok(value);
        }
    }
    Err(VarintError::TooLong { max_bytes })
}

fn write_unsigned(out: &mut impl BufMut, mut value: u64) {
    while value > 0x7F {
        out.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn unsigned_bytes(value: u64) -> usize {
    let bits = (u64::BITS - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    /// Spreads values over all lengths instead of nearly always the longest.
    fn any_length() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0u32..64).prop_map(|(value, shift)| value >> shift)
    }

    proptest! {
        #[test]
        fn integers_survive_the_round_trip(value in any_length(), tail in any::<u8>()) {
            let narrow = value as i32;
            let mut bytes = written(|out| write_varint(out, narrow));
            prop_assert_eq!(bytes.len(), varint_bytes(narrow));
            bytes.push(tail);
            let mut cursor = bytes.as_slice();
            prop_assert_eq!(read_varint(&mut cursor), Ok(narrow));
            prop_assert_eq!(cursor, &[tail]);

            let mut bytes = written(|out| write_varlong(out, value));
            prop_assert_eq!(bytes.len(), varlong_bytes(value));
            bytes.push(tail);
            let mut cursor = bytes.as_slice();
            prop_assert_eq!(read_varlong(&mut cursor), Ok(value));
            prop_assert_eq!(cursor, &[tail]);
        }
    }

    #[test]
    fn the_extremes_take_the_most_bytes() {
        for value in [i32::MIN, i32::MAX] {
            let bytes = written(|out| write_varint(out, value));
            assert_eq!(bytes.len(), VARINT_MAX_BYTES);
            assert_eq!(read_varint(&mut bytes.as_slice()), Ok(value));
        }
        for value in [i64::MIN, i64::MAX] {
            let bytes = written(|out| write_varlong(out, value));
            assert_eq!(bytes.len(), VARLONG_MAX_BYTES);
            assert_eq!(read_varlong(&mut bytes.as_slice()), Ok(value));
        }
    }

    #[test]
    fn small_integers_of_either_sign_take_one_byte() {
        for (value, byte) in [(0, 0), (-1, 1), (1, 2), (-64, 127)] {
            assert_eq!(written(|out| write_varint(out, value)), [byte]);
        }
        assert_eq!(written(|out| write_varint(out, 64)), [0x80, 0x01]);
    }

    #[test]
    fn what_no_writer_produces_is_refused_and_not_consumed() {
        let cases: [(&[u8], VarintError); 4] = [
            (&[], VarintError::Truncated),
            (&[0x80, 0x80], VarintError::Truncated),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], VarintError::TooLong { max_bytes: 5 }),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F], VarintError::Overflow),
        ];
        for (bytes, error) in cases {
            let mut cursor = bytes;
            assert_eq!(read_varint(&mut cursor), Err(error));
            assert_eq!(cursor, bytes);
        }
        let mut long = [0xFF; 10];
        assert_eq!(read_varlong(&mut long.as_slice()), Err(VarintError::Overflow));
        long[9] = 0x80;
        assert_eq!(read_varlong(&mut long.as_slice()), Err(VarintError::TooLong { max_bytes: 10 }));
    }
}
