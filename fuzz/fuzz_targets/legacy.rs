//! Message sets of the formats 0 and 1.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| verbatim_wire::fuzzing::legacy(data));
