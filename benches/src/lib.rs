//! What the micro-benchmarks share: their [`inputs`], and the [`stages`] whose instructions are counted.

pub mod inputs;
pub mod stages;
