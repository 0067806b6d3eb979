//! Drives the broker with requests made by `kafka-protocol`, over TCP and over in-memory pipes.

mod client;
mod fetching;
mod producing;
