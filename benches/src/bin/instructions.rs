//! Runs one stage as often as is asked for, to be counted from outside: `instructions STAGE TIMES`. Without arguments it
//! says which stages there are, one a line.

use std::error::Error;
use verbatim_benches::stages::STAGES;

/// The product's allocator: what it costs belongs to a stage.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(wanted) = arguments.next() else {
        STAGES.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let times: u32 = arguments.next().ok_or("how many times?")?.parse()?;
    let stage = STAGES.iter().find(|(name, _)| *name == wanted);
    let (_, make) = stage.ok_or_else(|| format!("there is no stage {wanted:?}"))?;
    let mut operation = make()?;
    (0..times).for_each(|_| operation());
    Ok(())
}
