//! Records and markers: what the broker itself has to read or write inside a batch.
//!
//! Only uncompressed payloads are ever opened.

pub(crate) mod builder;
pub(crate) mod marker;
pub(crate) mod varint;
pub(crate) mod walk;
