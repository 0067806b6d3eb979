//! Produces batches that lie in memory: the half of a copy that writes.

use super::fetch::{LIMITS, Reader};
use super::pump::{Outgoing, Pump};
use super::topic::Topic;
use super::{ready, word};
use crate::copied;
use verbatim_wire::records::patch::{patched, sequence_after};
use verbatim_wire::records::{Batch, ProducerStamp};
use xtask::command::Failure;
use xtask::command::arguments::Arguments;

/// What is kept in memory; more than that is produced by going round.
const KEPT_BYTES: usize = 256 << 20;

/// `part produce FROM TO TOPIC RECORDS`: reads the beginning of the topic at FROM, says so, and when told to produces
/// RECORDS records at TO, in the very batches, each to its partition; says in the end how often it has copied a byte.
pub(super) async fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let (from, to) = (word(&mut arguments, "FROM")?, word(&mut arguments, "TO")?);
    let name = word(&mut arguments, "TOPIC")?;
    let records = word(&mut arguments, "RECORDS")?;
    let records: u64 = records.parse().map_err(|_| Failure::Usage("RECORDS is a number".to_owned()))?;

    let kept = kept(&from, &name, records).await?;
    let target = Topic::open(&to, &name).await?;
    let (producer_id, producer_epoch) =
        target.cluster.init_producer_id().await.map_err(Failure::while_doing("get a producer id"))?;
    let mut sequences = vec![0i32; usize::try_from(target.partitions).unwrap_or(0)];
    let mut pump = Pump::open(target).await?;
    ready()?;

    let (mut sent, mut bytes) = (0, 0u64);
    for (partition, batch) in kept.iter().cycle() {
        if sent >= records {
            break;
        }
        let count = batch.header.records_count;
        let at = usize::try_from(*partition).unwrap_or(usize::MAX);
        let Some(base_sequence) = sequences.get_mut(at) else { continue };
        let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence: *base_sequence };
        *base_sequence = sequence_after(*base_sequence, count);
        let header = patched(&batch.header, stamp).to_bytes();
        pump.push(Outgoing { partition: *partition, header, payload: batch.payload() }).await?;
        sent += u64::try_from(count).unwrap_or(0);
        bytes += batch.bytes.len() as u64;
    }
    let bytes_written = pump.finish().await?;
    println!("{}", copied::words(bytes_written, bytes));
    Ok(())
}

/// The first batches of all partitions, in the order they were fetched but with those of different partitions side by side, so
/// that each request can take one of each.
async fn kept(from: &str, name: &str, records: u64) -> Result<Vec<(u32, Batch)>, Failure> {
    let mut reader = Reader::open(Topic::open(from, name).await?, LIMITS).await?;
    let mut kept: Vec<(u32, Batch)> = Vec::new();
    let mut bytes = 0;
    while reader.records() < records && bytes < KEPT_BYTES {
        for (partition, batch) in reader.next().await? {
            bytes += batch.bytes.len();
            kept.push((partition, batch));
        }
    }
    // A stable sort by each batch's rank within its partition.
    let mut ranks = std::collections::HashMap::<u32, u64>::new();
    let mut ranked: Vec<(u64, (u32, Batch))> = kept
        .into_iter()
        .map(|(partition, batch)| {
            let rank = ranks.entry(partition).or_default();
            *rank += 1;
            (*rank, (partition, batch))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    if ranked.is_empty() {
        return Err(Failure::Failed(format!("topic {name} is empty")));
    }
    Ok(ranked.into_iter().map(|(_, kept)| kept).collect())
}
