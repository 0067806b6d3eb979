//! Produces batches over one connection with several requests under way, as Kafka's own producer does.

use super::topic::Topic;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc;
use verbatim_wire::connection::{Answer, Connection};
use verbatim_wire::produce::{ProduceAnswer, ProduceBatch, encode};
use verbatim_wire::records::HEADER_BYTES;
use xtask::command::Failure;

/// Requests under way: what idempotence allows at most.
const UNDER_WAY: usize = 5;
/// Payload of a request, as `max.request.size` of Kafka's producer.
const REQUEST_BYTES: usize = 1 << 20;
const TIMEOUT_MS: i32 = 30_000;

/// A batch for a partition: its header as it goes out, and its records.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) partition: u32,
    pub(super) header: [u8; HEADER_BYTES],
    pub(super) payload: Bytes,
}

/// A connection and what is under way on it.
#[derive(Debug)]
pub(super) struct Pump {
    topic: Topic,
    connection: Connection,
    version: i16,
    under_way: usize,
    answered: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    waiting: Vec<Outgoing>,
    waiting_bytes: usize,
    bytes_written: u64,
}

impl Pump {
    pub(super) async fn open(topic: Topic) -> Result<Self, Failure> {
        let (connection, version) = topic.producing().await?;
        let (answered, answers) = mpsc::channel(UNDER_WAY);
        Ok(Self {
            topic,
            connection,
            version,
            under_way: 0,
            answered,
            answers,
            waiting: Vec::new(),
            waiting_bytes: 0,
            bytes_written: 0,
        })
    }

    /// Takes a batch; sends a request once one is full or the partition has a batch in it already: a broker takes one batch a
    /// partition and request.
    pub(super) async fn push(&mut self, batch: Outgoing) -> Result<(), Failure> {
        let is_there = self.waiting.iter().any(|waiting| waiting.partition == batch.partition);
        if is_there || self.waiting_bytes + batch.payload.len() > REQUEST_BYTES {
            self.flush().await?;
        }
        self.waiting_bytes += batch.payload.len();
        self.waiting.push(batch);
        Ok(())
    }

    /// Sends what waits, and waits for all answers. Returns how many bytes of batches were copied into the kernel.
    pub(super) async fn finish(mut self) -> Result<u64, Failure> {
        self.flush().await?;
        while self.under_way > 0 {
            self.answer().await?;
        }
        Ok(self.bytes_written)
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.under_way == UNDER_WAY {
            self.answer().await?;
        }
        let batches: Vec<ProduceBatch<'_>> = self
            .waiting
            .iter()
            .map(|batch| {
                ProduceBatch::in_memory(
                    &self.topic.identity,
                    i32::try_from(batch.partition).unwrap_or(i32::MAX),
                    &batch.header,
                    &batch.payload,
                )
            })
            .collect();
        let frame = encode(self.version, self.connection.client_id(), TIMEOUT_MS, batches.iter().copied());
        let answered = self.answered.clone();
        self.connection.submit(frame, Duration::ZERO, move |answer| {
            // There is room for as many as are under way.
            let _ = answered.try_send(answer);
        });
        self.under_way += 1;
        // Headers, and payloads that are small, are gathered in the request before; that is not counted.
        self.bytes_written +=
            self.waiting.iter().map(|batch| (HEADER_BYTES + batch.payload.len()) as u64).sum::<u64>();
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    async fn answer(&mut self) -> Result<(), Failure> {
        let answer = self.answers.recv().await;
        self.under_way -= 1;
        let lost = || Failure::Failed("the connection is gone".to_owned());
        let answer = answer.ok_or_else(lost)?.map_err(Failure::while_doing("produce"))?;
        let answer = ProduceAnswer::decode(self.version, &answer).map_err(Failure::while_doing("produce"))?;
        match answer.partitions.iter().find(|partition| partition.error_code != 0) {
            None => Ok(()),
            Some(refused) => Err(Failure::Failed(format!(
                "partition {} was refused a batch with error {}",
                refused.partition, refused.error_code
            ))),
        }
    }
}
