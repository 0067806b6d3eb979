//! A batch header: what is read is written back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| verbatim_wire::fuzzing::batch_header(data));
