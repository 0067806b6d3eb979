//! The codecs: the output limit holds, and compression is reversible.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| verbatim_wire::fuzzing::decompress(data));
