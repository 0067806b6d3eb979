//! The program of a whole flow, of which the instructions of some functions are counted: `instructions-flow STAGE BATCHES`. Without
//! arguments it says which stages there are, one a line, each with the function that is counted.

use std::error::Error;
use verbatim_benches::flow::{FLOW_STAGES, copy};

/// The product's allocator: what it costs belongs to a stage.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(2) {
        Some(batches) => copy(batches.parse()?),
        None => {
            FLOW_STAGES.iter().for_each(|(name, function)| println!("{name} {function}"));
            Ok(())
        }
    }
}
