//! Record batches as bytes: header, walk, CRC, patch. Pure: no runtime, no clock, no allocation that a
//! count read from the wire can size.
//!
//! The slow path, for batches that cannot be forwarded as they are: [`codec`] opens the payload, [`record`]
//! reads it, [`control`] reads markers, [`legacy`] reads entries older than format 2, [`builder`] writes a new
//! batch, [`merge`] makes one of several.

pub mod builder;
pub mod codec;
pub mod control;
pub mod crc;
pub mod header;
pub mod legacy;
pub mod merge;
pub mod patch;
pub mod record;
pub mod varint;
pub mod walk;

pub use control::{ControlKind, ControlRecord};
pub use header::{Attributes, BatchHeader, HEADER_BYTES};
pub use patch::ProducerStamp;
pub use walk::{Batch, Entry, Fetched, Walker};
