//! What the micro-benchmarks share: their [`inputs`], and the [`stages`] whose instructions are counted, alone or within a [`flow`].

pub mod flow;
pub mod inputs;
pub mod stages;
