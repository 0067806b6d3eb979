use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const COMPRESSED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// Bytes that compress, bytes that do not, and both in turn; up to several blocks of any codec.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let part =
        prop_oneof![vec(any::<u8>(), 0..500), (any::<u8>(), 0..70_000usize).prop_map(|(b, n)| vec![b; n])];
    vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u32;
    let step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(step).take(bytes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_compressed_is_decompressed(plain in payload()) {
        for codec in Codec::ALL {
            let compressed = compress(codec, &plain).unwrap();
            prop_assert_eq!(&decompress(codec, &compressed, plain.len()).unwrap(), &plain, "{}", codec);
        }
    }

    #[test]
    fn any_bytes_are_decompressed_or_refused(data in vec(any::<u8>(), 0..300)) {
        crate::fuzzing::decompress(&data);
    }
}

#[test]
fn payloads_of_several_blocks_survive() {
    let plain = [noise(300_000), vec![7; 300_000], noise(65_536)].concat();
    for codec in Codec::ALL {
        let compressed = compress(codec, &plain).unwrap();
        assert_eq!(decompress(codec, &compressed, plain.len()).unwrap(), plain, "{codec}");
    }
}

#[test]
fn the_limit_is_exact() {
    let plain = vec![0; 1_000_000];
    for codec in Codec::ALL {
        let compressed = compress(codec, &plain).unwrap();
        let output = decompress(codec, &compressed, plain.len()).unwrap();
        assert!(output.capacity() <= plain.len(), "{codec}: {}", output.capacity());
        for limit_bytes in [plain.len() - 1, 70_000, 1, 0] {
            let result = decompress(codec, &compressed, limit_bytes);
            assert!(
                matches!(result, Err(CodecError::TooLarge { limit_bytes: limit }) if limit == limit_bytes),
                "{codec} {limit_bytes}: {result:?}"
            );
        }
    }
}

#[test]
fn a_cut_payload_is_refused_at_any_length() {
    let plain = [noise(200), vec![7; 200]].concat();
    for codec in COMPRESSED {
        let compressed = compress(codec, &plain).unwrap();
        for bytes in 0..compressed.len() {
            // A framing without blocks is a valid empty stream.
            let empty_stream = codec == Codec::Snappy && bytes == 16;
            let result = decompress(codec, &compressed[..bytes], 10_000);
            assert_eq!(result.is_ok(), empty_stream, "{codec} cut to {bytes}");
        }
    }
}

#[test]
fn streams_that_follow_one_another_are_joined() {
    for codec in COMPRESSED {
        let two = [compress(codec, b"one ").unwrap(), compress(codec, b"two").unwrap()].concat();
        assert_eq!(decompress(codec, &two, 100).unwrap(), b"one two", "{codec}");
    }
}

#[test]
fn bare_snappy_is_read() {
    let bare = snap::raw::Encoder::new().compress_vec(b"bare bare bare bare").unwrap();
    assert_eq!(decompress(Codec::Snappy, &bare, 100).unwrap(), b"bare bare bare bare");
}

#[test]
fn a_length_beyond_what_the_input_can_make_is_refused() {
    // Declares 4 GiB.
    let result = decompress(Codec::Snappy, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0], usize::MAX);
    assert!(matches!(result, Err(CodecError::DeclaredLength { codec: Codec::Snappy, position: 0 })));
}

#[test]
fn a_wrong_lz4_header_checksum_passes_only_when_asked() {
    let mut frame = compress(Codec::Lz4, b"old").unwrap();
    frame[6] ^= 1;
    let strict = decompress(Codec::Lz4, &frame, 10);
    assert!(matches!(strict, Err(CodecError::Checksum { codec: Codec::Lz4, position: 6 })), "{strict:?}");
    assert_eq!(decompress_with(Codec::Lz4, &frame, 10, Lz4HeaderChecksum::Ignored).unwrap(), b"old");
}

/// An LZ4 frame of two linked blocks with all checksums and the content size: what Kafka never writes.
/// The second block is a match 4 bytes back, into the first.
fn linked_frame(declared_bytes: u64) -> Vec<u8> {
    use twox_hash::XxHash32;
    let content = b"abcdabcdabcdabcdabcde";
    let descriptor = [[0b0101_1100, 0x40].as_slice(), &declared_bytes.to_le_bytes()].concat();
    let stored = b"abcd";
    // Match of 4+8, then literals "abcde".
    let compressed = [0x08, 4, 0, 0x50, b'a', b'b', b'c', b'd', b'e'];
    [
        &0x184D_2204_u32.to_le_bytes()[..],
        &descriptor,
        &[(XxHash32::oneshot(0, &descriptor) >> 8) as u8],
        &(4u32 | 0x8000_0000).to_le_bytes(),
        stored,
        &XxHash32::oneshot(0, stored).to_le_bytes(),
        &(compressed.len() as u32).to_le_bytes(),
        &compressed,
        &XxHash32::oneshot(0, &compressed).to_le_bytes(),
        &[0; 4],
        &XxHash32::oneshot(0, content).to_le_bytes(),
    ]
    .concat()
}

#[test]
fn linked_lz4_blocks_with_checksums_are_read_and_verified() {
    let frame = linked_frame(21);
    assert_eq!(decompress(Codec::Lz4, &frame, 100).unwrap(), b"abcdabcdabcdabcdabcde");
    for index in 4..frame.len() {
        let mut changed = frame.clone();
        changed[index] ^= 1;
        assert!(decompress(Codec::Lz4, &changed, 100).is_err(), "byte {index}");
    }
}

#[test]
fn the_lz4_content_size_counts() {
    for declared_bytes in [0, 20, 22, u64::MAX] {
        let result = decompress(Codec::Lz4, &linked_frame(declared_bytes), 100);
        let position_0 = matches!(result, Err(CodecError::DeclaredLength { codec: Codec::Lz4, position: 0 }));
        assert!(position_0, "{declared_bytes}: {result:?}");
    }
}

#[test]
fn frames_that_hold_something_else_are_stepped_over() {
    let skippable = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 9, 9, 9];
    for codec in [Codec::Lz4, Codec::Zstd] {
        let joined = [skippable.as_slice(), &compress(codec, b"content").unwrap(), &skippable].concat();
        assert_eq!(decompress(codec, &joined, 100).unwrap(), b"content", "{codec}");
    }
}

#[test]
fn a_zstd_window_beyond_the_limit_costs_nothing_and_is_read() {
    // Window of 2 GiB, one stored block.
    let frame = [0x28, 0xB5, 0x2F, 0xFD, 0, 21 << 3, 0b0001_1001, 0, 0, b'a', b'b', b'c'];
    assert_eq!(decompress(Codec::Zstd, &frame, 3).unwrap(), b"abc");
    assert!(matches!(decompress(Codec::Zstd, &frame, 2), Err(CodecError::TooLarge { limit_bytes: 2 })));
}

#[test]
fn the_zstd_checksum_and_content_size_count() {
    let frame = compress(Codec::Zstd, b"content").unwrap();
    assert_eq!(frame[4] & 0b100, 0b100, "the encoder writes a checksum");
    for index in frame.len() - 4..frame.len() {
        let mut changed = frame.clone();
        changed[index] ^= 1;
        assert!(matches!(decompress(Codec::Zstd, &changed, 100), Err(CodecError::Checksum { .. })));
    }
    // A single segment of 4 bytes that holds 3.
    let short = [0x28, 0xB5, 0x2F, 0xFD, 0b0010_0000, 4, 0b0001_1001, 0, 0, b'a', b'b', b'c'];
    let result = decompress(Codec::Zstd, &short, 100);
    assert!(
        matches!(result, Err(CodecError::DeclaredLength { codec: Codec::Zstd, position: 0 })),
        "{result:?}"
    );
}

#[test]
fn codecs_have_the_numbers_of_the_protocol() {
    for (id, codec) in (0..).zip(Codec::ALL) {
        assert_eq!((codec.id(), Codec::from_id(id)), (id, Ok(codec)));
    }
    assert_eq!(Codec::from_attributes(Attributes(0x7D)), Err(UnknownCodec { id: 5 }));
    assert_eq!(Codec::from_attributes(Attributes(0x7C)), Ok(Codec::Zstd));
}

#[test]
fn a_payload_without_codec_is_shared() {
    let payload = Bytes::from_static(b"payload");
    let shared = decompress_shared(Codec::None, &payload, 7).unwrap();
    assert_eq!(shared.as_ptr(), payload.as_ptr());
    assert!(matches!(
        decompress_shared(Codec::None, &payload, 6),
        Err(CodecError::TooLarge { limit_bytes: 6 })
    ));
}
