//! Development commands (`cargo xtask help`) and what tests share with them: [`kafka`] starts real Apache Kafka clusters.
//!
//! Nothing here is part of the product.

pub mod command;
pub mod elf;
pub mod kafka;
pub mod stat;
