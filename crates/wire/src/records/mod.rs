//! Record batches as bytes: header, walk, CRC, patch. Pure: no runtime, no clock, no allocation that a
//! count read from the wire can size.

pub mod crc;
pub mod header;
