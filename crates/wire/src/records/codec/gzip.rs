//! Gzip, one member or several.

use std::io::{self, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::output::Output;
use super::{Codec, CodecError};

pub(super) fn decompress(input: &[u8], output: &mut Output) -> Result<(), CodecError> {
    let mut decoder = MultiGzDecoder::new(input);
    let copied = io::copy(&mut decoder, output);
    let position = input.len().saturating_sub(decoder.get_ref().len());
    match copied {
        // The decoder takes no bytes at all for an empty stream; Java's does not.
        Ok(_) if input.is_empty() => Err(CodecError::Truncated { codec: Codec::Gzip, position }),
        Ok(_) => Ok(()),
        Err(_) if output.overflowed() => Err(output.too_large()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(CodecError::Truncated { codec: Codec::Gzip, position })
        }
        Err(source) => Err(CodecError::Gzip { position, source }),
    }
}

pub(super) fn compress(input: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(input)
        .and_then(|()| encoder.finish())
        .map_err(|source| CodecError::Gzip { position: 0, source })
}
