//! See `verbatim_wire::fuzzing::batch_walker`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| verbatim_wire::fuzzing::batch_walker(data));
