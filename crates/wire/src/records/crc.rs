//! CRC-32C, and moving a CRC over bytes without reading them.
//!
//! CRC-32C is affine over GF(2) for a fixed length: `crc(a) ^ crc(b) = L(a ^ b)`, where `L` is the same
//! division with initial value 0 and no final inversion. Appending `n` zero bytes multiplies `L` by
//! `x^(8n) mod P`. So a change confined to the head of a message changes its CRC by a value that depends
//! on the changed bytes and on the *length* of the rest, never on the content of the rest.

use super::header::{BatchHeader, CRC_START};

/// Castagnoli polynomial, bits reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// `x^0` in the reflected representation (bit 31).
const ONE: u32 = 0x8000_0000;
/// `x^8` in the reflected representation.
const X8: u32 = 0x0080_0000;

/// `POWERS[k][d]` is `x^(8 * d * 256^k) mod P`: a length is split into base-256 digits, one look-up each.
static POWERS: [[u32; 256]; 4] = powers();

/// CRC-32C of `bytes` (initial value and final inversion as in RFC 3720, and as Kafka stores it).
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// The checksum that belongs into the header of a batch: of all of it from [`CRC_START`] on.
pub fn of_batch(header: &BatchHeader, payload: &[u8]) -> u32 {
    let head = crc32c(header.to_bytes().get(CRC_START..).unwrap_or_default());
    ::crc32c::crc32c_append(head, payload)
}

/// The linear part `L(bytes)`: initial value 0, no final inversion.
pub fn linear(bytes: &[u8]) -> u32 {
    !::crc32c::crc32c_append(!0, bytes)
}

/// `crc * x^(8 * zero_bytes) mod P`: what [`linear`] would return had `zero_bytes` zero bytes followed.
///
/// At most four multiplications, whatever the length.
pub fn shift(crc: u32, zero_bytes: u32) -> u32 {
    let mut shifted = crc;
    for (digit, powers) in zero_bytes.to_le_bytes().into_iter().zip(&POWERS) {
        if digit != 0
            && let Some(&power) = powers.get(usize::from(digit))
        {
            shifted = product(shifted, power);
        }
    }
    shifted
}

/// What the four lowest bits, times `x^4`, are `mod P`.
static REDUCED: [u32; 16] = {
    let mut table = [0; 16];
    let mut bits = 0;
    while bits < 16 {
        table[bits as usize] = multiply(bits, ONE >> 4);
        bits += 1;
    }
    table
};

/// [`multiply`], four bits of `b` at a time: a table of what they can be, and a look-up each.
fn product(a: u32, b: u32) -> u32 {
    let times_x = |a: u32| (a >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(a & 1));
    let (x0, x1) = (a, times_x(a));
    let (x2, x3) = (times_x(x1), times_x(times_x(x1)));
    let (low, high) = ([0, x3, x2, x2 ^ x3], [0, x1, x0, x0 ^ x1]);
    let multiples: [u32; 16] = std::array::from_fn(|bits| high[bits >> 2] ^ low[bits & 3]);
    // From the highest power of x on, which is the lowest bit.
    (0..8).fold(0, |product: u32, digit| {
        let bits = (b >> (4 * digit)) & 15;
        (product >> 4) ^ REDUCED[(product & 15) as usize] ^ multiples[bits as usize]
    })
}

/// `a * b mod P` in the reflected representation, bit by bit.
const fn multiply(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while b != 0 {
        // Branch-free: the bits of a CRC are as good as random, a branch on them is mispredicted half the time.
        product ^= a & 0u32.wrapping_sub(b >> 31);
        a = (a >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(a & 1));
        b <<= 1;
    }
    product
}

const fn powers() -> [[u32; 256]; 4] {
    let mut table = [[ONE; 256]; 4];
    let mut base = X8;
    let mut k = 0;
    while k < 4 {
        let mut digit = 1;
        while digit < 256 {
            table[k][digit] = multiply(table[k][digit - 1], base);
            digit += 1;
        }
        base = multiply(table[k][255], base);
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    proptest! {
        #[test]
        fn shifting_equals_appending_zero_bytes(head in proptest::collection::vec(any::<u8>(), 0..64), zeros in 0usize..70_000) {
            let mut long = head.clone();
            long.resize(head.len() + zeros, 0);
            prop_assert_eq!(shift(linear(&head), u32::try_from(zeros).unwrap()), linear(&long));
        }
    }

    proptest! {
        #[test]
        fn four_bits_at_a_time_make_the_same_product(a: u32, b: u32) {
            prop_assert_eq!(product(a, b), multiply(a, b));
        }
    }

    #[test]
    fn shifting_composes_over_lengths_too_long_to_materialise() {
        let crc = 0xDEAD_BEEF;
        assert_eq!(shift(shift(crc, 0x0123_4567), 0x7654_3210), shift(crc, 0x0123_4567 + 0x7654_3210));
    }
}
