//! Record headers as the bytes they came in: count and entries.
//!
//! Keeping the bytes keeps order, duplicates and names that are not UTF-8, and makes re-encoding a copy.
//! Invariant: the bytes of a [`Headers`] were checked once; reading them again cannot fail.

use bytes::Bytes;
use thiserror::Error;

use crate::records::varint::{VarintError, read_varint, write_varint};

/// The header section of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    section: Bytes,
}

impl Headers {
    /// No headers.
    pub fn none() -> Self {
        Self { section: Bytes::from_static(&[0]) }
    }

    /// Takes a header section as it stands in a record, count first. The section must end where the bytes end.
    pub fn from_section(section: Bytes) -> Result<Self, HeadersError> {
        let position = section_bytes(&section)?;
        match section.len() - position {
            0 => Ok(Self { section }),
            bytes => Err(HeadersError::BytesLeft { position, bytes }),
        }
    }

    /// Writes a header section. Order and duplicates stay.
    pub fn from_pairs(pairs: &[(&[u8], Option<&[u8]>)]) -> Result<Self, HeadersError> {
        let mut section = Vec::new();
        write_varint(&mut section, length(pairs.len())?);
        for (name, value) in pairs {
            write_varint(&mut section, length(name.len())?);
            section.extend_from_slice(name);
            match value {
                None => write_varint(&mut section, -1),
                Some(value) => {
                    write_varint(&mut section, length(value.len())?);
                    section.extend_from_slice(value);
                }
            }
        }
        Ok(Self { section: section.into() })
    }

    /// Wraps a section that [`section_bytes`] has measured.
    pub(super) fn checked(section: Bytes) -> Self {
        Self { section }
    }

    /// The section's bytes, count first.
    pub fn section(&self) -> &Bytes {
        &self.section
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.iter().remaining
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names and values in order.
    pub fn iter(&self) -> HeaderIter<'_> {
        let mut rest = self.section.as_ref();
        let count = read_varint(&mut rest).unwrap_or(0);
        HeaderIter { rest, remaining: usize::try_from(count).unwrap_or(0) }
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self::none()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a [u8], Option<&'a [u8]>);
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

/// Iterator over names and values.
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    rest: &'a [u8],
    remaining: usize,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let mut reader = Reader { rest: self.rest, section_bytes: self.rest.len() };
        let name = reader.name().ok()?;
        let value = reader.value().ok()?;
        self.rest = reader.rest;
        Some((name, value))
    }
}

/// Size in bytes of the header section that `bytes` begins with.
pub(super) fn section_bytes(bytes: &[u8]) -> Result<usize, HeadersError> {
    let mut reader = Reader { rest: bytes, section_bytes: bytes.len() };
    let count = reader.varint()?;
    if count < 0 {
        return Err(HeadersError::NegativeCount { count });
    }
    // An entry takes two bytes at least: a count that lies ends at the end of the bytes.
    for _ in 0..count {
        reader.name()?;
        reader.value()?;
    }
    Ok(reader.position())
}

struct Reader<'a> {
    rest: &'a [u8],
    section_bytes: usize,
}

impl<'a> Reader<'a> {
    fn position(&self) -> usize {
        self.section_bytes - self.rest.len()
    }

    fn varint(&mut self) -> Result<i32, HeadersError> {
        let position = self.position();
        read_varint(&mut self.rest).map_err(|error| HeadersError::Varint { position, error })
    }

    fn name(&mut self) -> Result<&'a [u8], HeadersError> {
        let position = self.position();
        let length = self.varint()?;
        self.take(length, position)
    }

    fn value(&mut self) -> Result<Option<&'a [u8]>, HeadersError> {
        let position = self.position();
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(length, position).map(Some),
        }
    }

    fn take(&mut self, length: i32, position: usize) -> Result<&'a [u8], HeadersError> {
        let bytes = usize::try_from(length).map_err(|_| HeadersError::NegativeLength { position, length })?;
        let available = self.rest.len();
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(HeadersError::LengthTooLarge {
            position,
            length,
            available,
        })?;
        self.rest = rest;
        Ok(taken)
    }
}

fn length(bytes: usize) -> Result<i32, HeadersError> {
    i32::try_from(bytes).map_err(|_| HeadersError::TooLong { bytes })
}

/// What is wrong with a header section; positions count from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadersError {
    /// A number is malformed or reaches outside the record.
    #[error("header section, byte {position}: {error}")]
    Varint {
        /// Where the number begins.
        position: usize,
        /// What is wrong with it.
        error: VarintError,
    },
    /// The number of headers is negative.
    #[error("{count} headers")]
    NegativeCount {
        /// The number.
        count: i32,
    },
    /// A name is null, or a length below −1.
    #[error("header section, byte {position}: length {length}")]
    NegativeLength {
        /// Where the length stands.
        position: usize,
        /// The length.
        length: i32,
    },
    /// A name or value reaches outside the record.
    #[error("header section, byte {position}: length {length} with {available} bytes left")]
    LengthTooLarge {
        /// Where the length stands.
        position: usize,
        /// The length.
        length: i32,
        /// Bytes that there are.
        available: usize,
    },
    /// Bytes follow the last header.
    #[error("header section, byte {position}: {bytes} bytes after the last header")]
    BytesLeft {
        /// Where the headers end.
        position: usize,
        /// Bytes left over.
        bytes: usize,
    },
    /// More headers, or a longer name or value, than the format can express.
    #[error("{bytes} does not fit a length field")]
    TooLong {
        /// The count or length.
        bytes: usize,
    },
}

impl HeadersError {
    /// Where in the header section, in bytes from its start.
    pub fn position(&self) -> usize {
        match *self {
            Self::Varint { position, .. }
            | Self::NegativeLength { position, .. }
            | Self::LengthTooLarge { position, .. }
            | Self::BytesLeft { position, .. } => position,
            Self::NegativeCount { .. } | Self::TooLong { .. } => 0,
        }
    }
}
