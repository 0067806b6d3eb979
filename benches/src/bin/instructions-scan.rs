//! The program of the scan of Fetch answers, whose instructions are counted: `instructions-scan STAGE TIMES`.

use std::error::Error;
use verbatim_benches::stages::{SCAN_STAGES, run};

/// The product's allocator: what it costs belongs to a stage.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    run(SCAN_STAGES)
}
