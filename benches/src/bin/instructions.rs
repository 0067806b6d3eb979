//! The program of the hot stages, whose instructions are counted: `instructions STAGE TIMES`.

use std::error::Error;
use verbatim_benches::stages::{STAGES, run};

/// The product's allocator: what it costs belongs to a stage.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    run(STAGES)
}
