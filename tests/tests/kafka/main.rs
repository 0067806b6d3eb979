//! The suites against real Apache Kafka: one file for each promise.
//!
//! They are one program, so that they share running clusters ([`Scene::shared`](verbatim_tests::scene::Scene::shared)) where nothing speaks
//! against it; a suite that has clusters of its own says why.

mod active_active;
mod admin_calls;
mod conformance;
mod copy;
mod crash;
mod faults;
mod groups;
mod idle;
mod many_topics;
mod mirror_maker;
mod preserve;
mod refusals;
mod rights;
mod run;
mod support;
mod takeover;
mod zombies;
