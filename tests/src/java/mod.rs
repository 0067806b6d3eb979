//! Kafka's own clients, as second opinions and for load: the programs in `tests/java`, compiled once and run with Kafka's jars.
//!
//! `programs` compiles and runs; `mix`, `consume`, `records` and `groups` wrap the programs there are.

mod acls;
mod consume;
mod groups;
mod mirror;
mod mix;
mod programs;
mod records;

pub use consume::{Consumed, ConsumedPartition};
pub use groups::GroupProtocol;
pub use mirror::MirrorAnswers;
pub use mix::{Mix, MixMode, Produced};
pub use programs::{Error, Programs, Running};
pub use records::{SeenRecord, SeenTopic};
