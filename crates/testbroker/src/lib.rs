//! A Kafka cluster in memory: several brokers that speak the wire protocol, over TCP or over in-memory pipes, with
//! faults on request. For the demo, the tests and the benchmarks; never for data anyone wants to keep.
//!
//! It refuses what Kafka refuses (`log/validate.rs`, `log/producers.rs`), keeps payloads as the bytes it received,
//! and answers as Kafka 4.1 does unless told to be older. Replication is nominal: the log lives in the cluster, so any
//! replica can take over at once, but leaders, epochs and unavailable brokers are real.
//!
//! ```
//! use kafka_protocol::messages::ApiKey;
//! use verbatim_testbroker::{Control, TestCluster, batch};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = TestCluster::builder().brokers(3).cluster_id("A").start_tcp().await?;
//! cluster.create_topic("orders", 2, &[("max.message.bytes", "2000000")]).unwrap();
//! cluster.append("orders", 0, &batch([("key", "value")]).build()).unwrap();
//!
//! // The next Produce is written, but its answer gets lost.
//! cluster.once(ApiKey::Produce, Control::ApplyThen(Box::new(Control::Disconnect)));
//! println!("connect to {}", cluster.bootstrap());
//! assert_eq!(cluster.log_end("orders", 0).unwrap(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//! `network` (frames, connections) → `api` (one file per wire API) → `topics`, `log`, `transactions`, `groups` (state)
//! under `cluster` (the whole, and the handle tests hold); `faults` stands between network and api; `records` builds
//! and reads what little the broker has to.

mod api;
mod cluster;
mod error;
mod faults;
mod groups;
mod log;
mod network;
mod records;
mod topics;
mod transactions;

pub use api::versions::KAFKA_2_1;
pub use cluster::builder::{TestCluster, TestClusterBuilder};
pub use cluster::traffic::Traffic;
pub use error::ErrorCode;
pub use faults::control::{Control, Corruption};
pub use faults::rules::{RequestView, SeenRequest};
pub use groups::offsets::CommittedOffset;
pub use log::producers::{ProducerState, RememberedBatch};
pub use network::memory::MemoryNetwork;
pub use records::builder::{BatchBuilder, Record, batch, opaque_batch};
