//! Finds the payloads of an answer while it comes in, so that large ones can be left in the kernel.
//!
//! The scan sees the frame without what was left out of it. It says what to do next: read so many bytes, leave out so many,
//! or read the rest as it is. What it makes nothing of is read too: decoding says what is wrong with it.

use super::answer::{BeforeRecords, Head, read_topic};
use super::is_flexible;
use crate::primitives::{Malformed, Reader};
use crate::records::{BatchHeader, HEADER_BYTES};
use std::ops::RangeInclusive;

/// So many small batches in a row are read one by one; more of them, and so will be the rest.
const MOST_PASSED: usize = 4;

/// What is to be done next with an answer that is coming in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read on until so many bytes of the frame are in memory.
    Read(usize),
    /// The next so many bytes end the payload of a batch: leave them out, and tell ([`Scan::left_out`]), or read them.
    LeaveOut(usize),
    /// Read all that is missing.
    ReadAll,
}

/// A place in an answer.
#[derive(Debug, Clone, Copy)]
enum Place {
    Head,
    /// Topics and, of the one at hand, partitions that are still to come.
    Topic {
        topics: usize,
    },
    Partition {
        topics: usize,
        partitions: usize,
    },
    /// Bytes of a records field that are still to come.
    Records {
        topics: usize,
        partitions: usize,
        bytes: usize,
    },
    /// Behind one.
    RecordsEnd {
        topics: usize,
        partitions: usize,
    },
}

/// The scan of one answer.
#[derive(Debug)]
pub(crate) struct Scan {
    version: i16,
    /// How large what is left out may be.
    sizes: RangeInclusive<usize>,
    /// Bytes of the frame that are in memory in the end.
    len: usize,
    position: usize,
    place: Place,
    /// Batches read since the last that was left out.
    passed: usize,
}

impl Scan {
    /// Of an answer in `version` whose frame, `len` bytes, has `before` bytes in front of the header's fields; payloads of
    /// these `sizes` are left out.
    pub(crate) fn new(version: i16, len: usize, before: usize, sizes: RangeInclusive<usize>) -> Self {
        Self { version, sizes, len, position: before, place: Place::Head, passed: 0 }
    }

    /// Bytes of the frame that are in memory once all is read.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The last `bytes` asked for were left out: `have` are in memory.
    pub(crate) fn left_out(&mut self, have: usize, bytes: usize) {
        if let Place::Records { bytes: left, .. } = self.place {
            let passed = have.saturating_sub(self.position) + bytes;
            self.place_behind(have, left.saturating_sub(passed));
        }
        self.len = self.len.saturating_sub(bytes);
        self.passed = 0;
    }

    /// What to do, with `have` in memory of the frame.
    pub(crate) fn step(&mut self, have: &[u8]) -> Step {
        match self.next_step(have) {
            // What goes beyond the frame is an answer that contradicts itself.
            Step::Read(bytes) if bytes > self.len => Step::ReadAll,
            Step::LeaveOut(bytes) if have.len().saturating_add(bytes) > self.len => Step::ReadAll,
            step => step,
        }
    }

    fn next_step(&mut self, have: &[u8]) -> Step {
        loop {
            if have.len() >= self.len {
                return Step::ReadAll;
            }
            match self.place {
                Place::Records { topics, partitions, bytes: 0 } => {
                    self.place = Place::RecordsEnd { topics, partitions };
                }
                Place::Records { bytes, .. } => {
                    if let Some(step) = self.next_batch(have, bytes) {
                        return step;
                    }
                }
                _ => match self.fields(have) {
                    Ok(Some((place, position))) => (self.place, self.position) = (place, position),
                    Ok(None) => return Step::ReadAll,
                    Err(_) => return Step::Read(have.len() + 1),
                },
            }
        }
    }

    /// The fields at the place, and the place behind them; `None` at the end.
    fn fields(&self, have: &[u8]) -> Result<Option<(Place, usize)>, Malformed> {
        let flexible = is_flexible(self.version);
        let mut reader = Reader::of_part(have, self.len, self.position);
        let place = match self.place {
            Place::Head => Place::Topic { topics: Head::read(self.version, &mut reader)?.topics },
            Place::Topic { topics: 0 } => return Ok(None),
            Place::Topic { topics } => {
                let (_, partitions) = read_topic(self.version, &mut reader)?;
                Place::Partition { topics: topics - 1, partitions }
            }
            Place::Partition { topics, partitions: 0 } => {
                reader.skip_tags(flexible)?;
                Place::Topic { topics }
            }
            Place::Partition { topics, partitions } => {
                BeforeRecords::read(self.version, &mut reader)?;
                let bytes = usize::try_from(reader.bytes_len(flexible)?).unwrap_or(0);
                Place::Records { topics, partitions: partitions - 1, bytes }
            }
            Place::Records { .. } => self.place,
            Place::RecordsEnd { topics, partitions } => {
                reader.skip_tags(flexible)?;
                Place::Partition { topics, partitions }
            }
        };
        Ok(Some((place, reader.position())))
    }

    /// What to do with the batch at the place, of `left` bytes of its field; `None` to go on behind it.
    fn next_batch(&mut self, have: &[u8], left: usize) -> Option<Step> {
        let here = have.get(self.position..).unwrap_or_default();
        if left < HEADER_BYTES {
            return self.pass_rest(have, left);
        }
        if here.len() < HEADER_BYTES {
            return Some(Step::Read(self.position + HEADER_BYTES));
        }
        let header = BatchHeader::parse(here).filter(|header| header.magic == 2);
        let batch =
            header.and_then(|header| Some((header, header.batch_bytes().filter(|whole| *whole <= left)?)));
        // What is cut, or no batch, is read with all that follows it in the field.
        let Some((header, whole)) = batch else { return self.pass_rest(have, left) };
        let missing = whole.saturating_sub(here.len());
        // Whoever sees a marker looks into it.
        if !header.attributes.is_control() && self.sizes.contains(&missing) {
            return Some(Step::LeaveOut(missing));
        }
        // Where some are too large the others mostly are. Small ones, where there are many, are read together.
        if missing > *self.sizes.end() || self.passed == MOST_PASSED {
            return Some(Step::ReadAll);
        }
        let (end, behind) = (self.position + whole, left - whole);
        if missing > 0 {
            return Some(Step::Read(end + behind.min(HEADER_BYTES)));
        }
        self.place_behind(end, behind);
        self.passed += 1;
        None
    }

    /// Goes on behind the field, of which `left` bytes are to come, once they are in memory.
    fn pass_rest(&mut self, have: &[u8], left: usize) -> Option<Step> {
        let end = self.position.saturating_add(left);
        if have.len() < end {
            return Some(Step::Read(end));
        }
        self.place_behind(end, 0);
        None
    }

    /// Goes on at `position`, with `left` bytes of the field to come.
    fn place_behind(&mut self, position: usize, left: usize) {
        if let Place::Records { bytes, .. } = &mut self.place {
            *bytes = left;
        }
        self.position = position;
    }
}
