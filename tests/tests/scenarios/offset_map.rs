//! Promise: where offsets are not preserved, the map says of every record where it is, exactly, in both directions, in few bytes, and
//! still does after a restart.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Instant;

use verbatim_pipeline::{FlowHandle, OffsetMap, PartitionName};
use verbatim_tests::kafka;
use verbatim_tests::scenario::{Dice, Stage, batch_of, committed, log, patient_config, soon};

const RECORDS: i64 = 1_000_000;
/// With VERBATIM_LONG=1 every offset is looked up, else one of so many, and all of the first ones.
const STEP: i64 = 7;

async fn map(flow: &FlowHandle) -> OffsetMap {
    let name = PartitionName { topic: "t".into(), partition: 0 };
    flow.offset_map(name).await.unwrap().unwrap()
}

/// A million records with gaps of all kinds between them: markers, aborted transactions, offsets without records. What the
/// map has to say is counted from both logs.
#[tokio::test(start_paused = true)]
async fn a_million_records_with_gaps_are_mapped_exactly() {
    let stage = Stage::new();
    stage.topic("t", 1);
    let mut dice = Dice::new(7);
    let mut left = RECORDS;
    let (id, mut sequence) = (stage.source.new_producer_id(), 0);
    while left > 0 {
        let count = (1 + dice.roll(200) as i64).min(left) as i32;
        let built = batch_of(count);
        match dice.roll(4) {
            0 => {
                stage.source.append("t", 0, &built.build()).unwrap();
                left -= i64::from(count);
            }
            kind => {
                stage
                    .source
                    .append("t", 0, &built.producer(id, 0, sequence).transactional().build())
                    .unwrap();
                sequence += count;
                if kind == 1 {
                    stage.source.abort("t", 0, (id, 0)).unwrap();
                } else {
                    stage.source.commit("t", 0, (id, 0)).unwrap();
                    left -= i64::from(count);
                }
            }
        }
    }
    let flow = stage.flow(&["t"]).await.config(patient_config()).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();

    let mut expected = Vec::with_capacity(RECORDS as usize);
    for batch in committed(&log(&stage.source, "t", 0)) {
        expected.extend((0..i64::from(batch.count)).map(|at| batch.base_offset + at));
    }
    assert_eq!(expected.len(), RECORDS as usize);
    let check = |map: &OffsetMap| {
        let started = Instant::now();
        let step = if kafka::is_long() { 1 } else { STEP };
        let mut next = expected.iter().zip(0i64..).peekable();
        for source in 0..map.end().0 {
            let here = next.next_if(|(offset, _)| **offset == source).map(|(_, target)| target);
            if source > RECORDS / 20 && source % step != 0 {
                continue;
            }
            assert_eq!(map.target_of(source), here, "target of source offset {source}");
            if let Some(target) = here {
                assert_eq!(map.source_of(target), Some(source), "source of target offset {target}");
            }
            let reading = here.unwrap_or_else(|| next.peek().map_or(RECORDS, |(_, target)| *target));
            assert_eq!(map.target_position(source), Some(reading), "a reader at {source}");
        }
        println!(
            "{} offsets looked up both ways in {} ms; {} runs in {} bytes",
            map.end().0,
            started.elapsed().as_millis(),
            map.len(),
            map.memory_bytes()
        );
        assert!(map.memory_bytes() < 32 * map.len(), "{} bytes for {} runs", map.memory_bytes(), map.len());
    };
    let before = map(&flow).await;
    check(&before);
    flow.shutdown().await.unwrap();
    let flow = stage.flow(&["t"]).await.config(patient_config()).start().await.unwrap();
    let after = map(&flow).await;
    assert!(after.runs().eq(before.runs()));
    check(&after);
}
