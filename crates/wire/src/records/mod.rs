//! Record batches as bytes: header, walk, CRC, patch. Pure: no runtime, no clock, no allocation that a
//! count read from the wire can size.

pub mod crc;
pub mod header;
pub mod patch;
pub mod walk;

pub use header::{Attributes, BatchHeader, HEADER_BYTES};
pub use patch::ProducerStamp;
pub use walk::{Batch, Entry, Walker};
