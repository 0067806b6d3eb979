//! `mm2.properties`, as MirrorMaker 2 reads it (`MirrorMakerConfig`), for the same flows.

mod effect;
mod keys;
mod properties;
mod providers;
mod read;

pub(crate) use read::read;

#[cfg(test)]
mod tests;
