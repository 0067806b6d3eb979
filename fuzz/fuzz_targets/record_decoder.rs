//! Records of an uncompressed payload: read, walk, write, read again.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| verbatim_wire::fuzzing::record_decoder(data));
