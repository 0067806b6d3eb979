//! Promise: a reader of committed records finds the same on both sides; what was aborted, what is undecided and the markers
//! themselves stay behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use verbatim_pipeline::{Cause, FlowConfig, Isolation};
use verbatim_testbroker::TestCluster;
use verbatim_tests::oracle::RawBatch;
use verbatim_tests::scenario::{
    Dice, Stage, committed, eventually, fill, log, numbered, patient_config, soon, translated_config,
};

/// A transactional producer on partition 0 of topic `t`.
struct Producer {
    id: i64,
    sequence: i32,
}

impl Producer {
    fn new(cluster: &TestCluster) -> Self {
        Self { id: cluster.new_producer_id(), sequence: 0 }
    }

    fn write(&mut self, cluster: &TestCluster, records: usize) {
        let tag = format!("{} from {}", self.id, self.sequence);
        let built = numbered(&tag, records).producer(self.id, 0, self.sequence).transactional().build();
        cluster.append("t", 0, &built).unwrap();
        self.sequence += records as i32;
    }

    fn commit(&self, cluster: &TestCluster) {
        cluster.commit("t", 0, (self.id, 0)).unwrap();
    }

    fn abort(&self, cluster: &TestCluster) {
        cluster.abort("t", 0, (self.id, 0)).unwrap();
    }
}

fn stage() -> Stage {
    let stage = Stage::new();
    stage.topic("t", 1);
    stage
}

#[tokio::test(start_paused = true)]
async fn committed_and_aborted_transactions() {
    let stage = stage();
    let source = &stage.source;
    let mut producer = Producer::new(source);
    producer.write(source, 3);
    producer.write(source, 2);
    producer.commit(source);
    producer.write(source, 4);
    producer.abort(source);
    fill(source, "t", 0, 2);
    producer.write(source, 1);
    producer.commit(source);
    let flow = stage.start(&["t"]).await;
    soon("caught up", flow.caught_up()).await.unwrap();
    let expected = committed(&log(source, "t", 0));
    assert_eq!(expected.iter().map(|batch| batch.count).collect::<Vec<_>>(), [3, 2, 1, 2, 1]);
    stage.assert_holds("t", 0, &expected);
    let counters = flow.status().await.unwrap().total();
    assert_eq!((counters.forwarded_batches, counters.aborted_batches, counters.empty_batches), (5, 1, 3));
}

/// Three producers and plain writers in one partition, their transactions woven into each other, fetched in answers so small
/// that transactions begin in one and end in another.
#[tokio::test(start_paused = true)]
async fn interleaved_transactions_across_many_answers() {
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let stage = stage();
        let source = &stage.source;
        let mut producers = [Producer::new(source), Producer::new(source), Producer::new(source)];
        let mut open = [false; 3];
        for _ in 0..80 {
            let which = dice.roll(3) as usize;
            match dice.roll(6) {
                0 if open[which] => producers[which].commit(source),
                1 if open[which] => producers[which].abort(source),
                2 => {
                    fill(source, "t", 0, 1);
                    continue;
                }
                _ => {
                    producers[which].write(source, 1 + dice.roll(4) as usize);
                    open[which] = true;
                    continue;
                }
            }
            open[which] = false;
        }
        let small = 100 + dice.roll(700) as usize;
        let config = FlowConfig { partition_max_bytes: small, ..patient_config() };
        let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
        stage.copied(&flow, "t").await;
        stage.assert_equal("t");
        // What was undecided is decided now.
        for which in 0..3 {
            if open[which] && dice.roll(2) == 0 {
                producers[which].commit(source);
            } else if open[which] {
                producers[which].abort(source);
            }
        }
        stage.copied(&flow, "t").await;
        stage.assert_equal("t");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_transaction_holds_back_what_comes_after_it() {
    let stage = stage();
    let source = &stage.source;
    fill(source, "t", 0, 3);
    let mut producer = Producer::new(source);
    producer.write(source, 2);
    fill(source, "t", 0, 5);
    let flow = stage.start(&["t"]).await;
    // What is held back is not there: the flow has not caught up, and says who holds it back.
    let caught_up = tokio::time::timeout(Duration::from_secs(30), flow.caught_up()).await;
    assert!(caught_up.is_err(), "some offsets are missing");
    assert_eq!(log(&stage.target, "t", 0).len(), 3);
    let status = flow.status().await.unwrap();
    let partition = &status.partitions[0];
    let undecided = source.last_stable_offset("t", 0).unwrap();
    let missing = partition.held_back_records().unwrap();
    assert_eq!((partition.end_offset, partition.lag_records), (Some(undecided), Some(0)));
    assert!(missing > 5, "{missing}");
    let waits = partition.waits.as_ref().unwrap();
    match &waits.obstacle.cause {
        Cause::OpenTransaction { from, behind, holder: Some(holder) } => {
            assert_eq!((*from, *behind, holder.producer_id), (undecided, missing, producer.id));
        }
        other => panic!("{other:?}"),
    }
    assert!(waits.since.elapsed() >= Duration::from_secs(29));
    producer.commit(source);
    soon("caught up", flow.caught_up()).await.unwrap();
    assert!(flow.status().await.unwrap().partitions[0].waits.is_none());
    eventually("the rest follows", || log(&stage.target, "t", 0).len() == 9).await;
    stage.assert_equal("t");
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_reads_uncommitted_takes_everything_but_the_markers() {
    let stage = stage();
    let source = &stage.source;
    let mut producer = Producer::new(source);
    for round in 0..6 {
        producer.write(source, 2);
        fill(source, "t", 0, 1);
        if round % 2 == 0 { producer.abort(source) } else { producer.commit(source) }
    }
    producer.write(source, 5);
    let config = FlowConfig { isolation: Isolation::ReadUncommitted, ..patient_config() };
    let flow = stage.flow(&["t"]).await.config(config).start().await.unwrap();
    soon("caught up", flow.caught_up()).await.unwrap();
    let everything: Vec<RawBatch> =
        log(source, "t", 0).into_iter().filter(|batch| !batch.is_control()).collect();
    assert_eq!(everything.len(), 13);
    stage.assert_holds("t", 0, &everything);
}

/// Killed while in the middle of transactions that are aborted later: the next life judges them anew.
#[tokio::test(start_paused = true)]
async fn a_flow_killed_among_transactions() {
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let stage = stage();
        let source = &stage.source;
        let mut producer = Producer::new(source);
        let config = FlowConfig {
            position_interval: Duration::from_millis(*dice.pick(&[3, 30, 100_000])),
            partition_max_bytes: 300,
            ..translated_config()
        };
        for _ in 0..6 {
            let instance = stage.instance(config.clone(), &["t"]).await.unwrap();
            for _ in 0..10 {
                match dice.roll(4) {
                    0 => fill(source, "t", 0, 1),
                    1 => producer.commit(source),
                    2 => producer.abort(source),
                    _ => producer.write(source, 1 + dice.roll(3) as usize),
                }
                tokio::time::sleep(Duration::from_millis(dice.roll(3))).await;
            }
            instance.kill();
        }
        producer.abort(source);
        let flow = stage.start(&["t"]).await;
        soon("caught up", flow.caught_up()).await.unwrap();
        stage.assert_equal("t");
    }
}
