//! Faults on request: what to do with a request ([`control`]), and when ([`rules`]).

pub(crate) mod control;
pub(crate) mod rules;
