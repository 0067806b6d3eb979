//! Many offsets for little: batches of a hundred thousand records with next to nothing in them, to be deleted or aborted.

use crate::TestResult;
use crate::oracle::{BatchBuilder, Client};

/// Records in a batch: what fits into the largest batch a broker takes by default.
const BATCH_RECORDS: i64 = 100_000;
const TRANSACTIONAL: i16 = 0x10;
const TIMESTAMP_MS: i64 = 1_700_000_000_000;

/// So many offsets.
#[derive(Debug, Clone)]
pub struct Gap {
    offsets: i64,
    transaction: Option<(String, (i64, i16))>,
}

impl Gap {
    /// A gap in the making.
    pub fn new(offsets: i64) -> Self {
        Self { offsets, transaction: None }
    }

    /// As part of a transaction that has begun, by a producer that has not written anything to the partition yet.
    pub fn aborted_by(mut self, transactional_id: &str, producer: (i64, i16)) -> Self {
        self.transaction = Some((transactional_id.to_owned(), producer));
        self
    }

    /// Writes its records.
    pub fn write(&self, client: &mut Client, topic: &str, partition: i32) -> TestResult {
        let mut written = 0;
        // Of equal length but for the last: they share their records.
        let full = records(BATCH_RECORDS.min(self.offsets));
        while written < self.offsets {
            let count = BATCH_RECORDS.min(self.offsets - written);
            let mut batch = if count == BATCH_RECORDS { full.clone() } else { records(count) };
            let id = self.transaction.as_ref().map(|(id, producer)| {
                let sequence = i32::try_from(written).unwrap_or(i32::MAX);
                batch = batch.clone().attributes(TRANSACTIONAL).producer(producer.0, producer.1, sequence);
                id.as_str()
            });
            let produced = client.try_produce(topic, partition, id, &batch.build())?;
            if produced.code != 0 {
                return Err(format!("{topic}-{partition}: Produce of {count} records: {produced:?}").into());
            }
            written += count;
        }
        Ok(())
    }
}

/// Keyed, so that a compacted topic takes them.
fn records(count: i64) -> BatchBuilder {
    (0..count).fold(BatchBuilder::new(), |batch, _| batch.key_value(TIMESTAMP_MS, b"k", b""))
}
