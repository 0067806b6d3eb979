//! Fills a topic with records of random bytes, in batches of exactly so many records.

use super::pump::{Outgoing, Pump};
use super::topic::Topic;
use super::{part, word};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use verbatim_wire::records::HEADER_BYTES;
use verbatim_wire::records::builder::{BatchBuilder, BatchOptions};
use verbatim_wire::records::record::Headers;
use xtask::command::Failure;
use xtask::command::arguments::Arguments;

/// What a topic is filled with.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Filling {
    pub(in super::super) records: u64,
    pub(in super::super) record_bytes: usize,
    pub(in super::super) batch_records: u64,
    /// Partition p gets a share proportional to 1 / (p + 1)^skew; 0 fills all alike.
    pub(in super::super) skew: f64,
}

impl Filling {
    /// The process that fills `topic` of the cluster at `bootstrap`.
    pub(in super::super) fn command(&self, bootstrap: &str, topic: &str) -> Command {
        let Self { records, record_bytes, batch_records, skew } = self;
        let mut command = part("fill");
        command.args([bootstrap, topic]);
        command.args([
            records.to_string(),
            record_bytes.to_string(),
            batch_records.to_string(),
            skew.to_string(),
        ]);
        command
    }

    /// How many records each of `partitions` gets; the sum is exact.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares, rounded down; the rest is given to the first partitions"
    )]
    fn shares(&self, partitions: u32) -> Vec<u64> {
        let weights: Vec<f64> = (1..=partitions).map(|rank| f64::from(rank).powf(-self.skew)).collect();
        let sum: f64 = weights.iter().sum();
        let mut shares: Vec<u64> =
            weights.iter().map(|weight| (self.records as f64 * weight / sum) as u64).collect();
        // Rounding down has left less than one for each.
        let left = self.records.saturating_sub(shares.iter().sum());
        for share in shares.iter_mut().take(left as usize) {
            *share += 1;
        }
        shares
    }
}

/// `part fill BOOTSTRAP TOPIC RECORDS RECORD_BYTES BATCH_RECORDS SKEW`
pub(super) async fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let bootstrap = word(&mut arguments, "BOOTSTRAP")?;
    let topic = Topic::open(&bootstrap, &word(&mut arguments, "TOPIC")?).await?;
    let mut number = |what: &str| {
        let text = word(&mut arguments, what)?;
        text.parse::<f64>().map_err(|_| Failure::Usage(format!("{what} cannot be {text:?}")))
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, as we passed them")]
    let filling = Filling {
        records: number("RECORDS")? as u64,
        record_bytes: number("RECORD_BYTES")? as usize,
        batch_records: number("BATCH_RECORDS")? as u64,
        skew: number("SKEW")?,
    };
    let mut left = filling.shares(topic.partitions);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut pump = Pump::open(topic).await?;
    let mut value = vec![0; filling.record_bytes];
    while left.iter().any(|left| *left > 0) {
        for (partition, left) in (0u32..).zip(&mut left).filter(|(_, left)| **left > 0) {
            let records = filling.batch_records.max(1).min(*left);
            *left -= records;
            let mut builder = BatchBuilder::new(BatchOptions::default());
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
            for _ in 0..records {
                random.fill(&mut value);
                let pushed = builder.push(now, None, Some(&value), &Headers::none());
                pushed.map_err(Failure::while_doing("build a batch"))?;
            }
            let batch = builder.finish().map_err(Failure::while_doing("build a batch"))?;
            let Some((header, _)) = batch.split_first_chunk::<HEADER_BYTES>() else { continue };
            let batch = Outgoing { partition, header: *header, payload: batch.slice(HEADER_BYTES..) };
            pump.push(batch).await?;
        }
    }
    pump.finish().await.map(|_| ())
}

/// xorshift64: bytes that do not compress need no better randomness.
struct Random(u64);

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            for (byte, random) in chunk.iter_mut().zip(self.0.to_le_bytes()) {
                *byte = random;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_up_and_follow_the_skew() {
        let filling = Filling { records: 100_003, record_bytes: 1, batch_records: 1, skew: 1.3 };
        let shares = filling.shares(1000);
        assert_eq!(shares.iter().sum::<u64>(), 100_003);
        assert!(shares.iter().take(10).sum::<u64>() > 60_000, "{shares:?}");
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        let even = Filling { skew: 0.0, ..filling }.shares(4);
        assert_eq!(even, [25_001, 25_001, 25_001, 25_000]);
    }
}
