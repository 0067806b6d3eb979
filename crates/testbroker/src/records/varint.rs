//! Zigzag variable-length integers, as records use them.

use bytes::BufMut;

/// Reads one number of at most 64 bits and the bytes behind it; `None` when it is cut or too long.
pub(crate) fn read(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut raw = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        raw |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = (raw >> 1) as i64 ^ -((raw & 1) as i64);
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

/// Writes one number.
pub(crate) fn write(out: &mut impl BufMut, value: i64) {
    write_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Writes one number without zigzag, as the flexible versions of the protocol do.
pub(crate) fn write_unsigned(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}
