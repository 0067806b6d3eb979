//! The scenarios: one file for each promise, against the test broker, without Kafka.
//!
//! They are one program, because linking one is quicker than linking twenty.

mod accidents;
mod adaptive;
mod admin_calls;
mod command_line;
mod compaction;
mod copy;
mod discovery;
mod faults;
mod http;
mod idle;
mod library;
mod memory;
mod offset_map;
mod old_brokers;
mod preserve;
mod rates;
mod rates_run;
mod scale;
mod splice;
mod stops;
mod topologies;
mod transactions;
mod zero_copy;
