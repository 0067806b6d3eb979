//! A topic that lies there, copied from its beginning to its end by every contender in turn.

use super::super::job::Job;
use super::super::parts::Filling;
use super::super::payload;
use super::super::session::Session;
use super::super::table::{ratios, table};
use super::turns::{rows, turns, warm_up};
use std::time::Duration;
use xtask::command::Failure;

/// The peers that ratios are printed of.
const PEERS: [&str; 4] = ["franz-go", "mm2-tuned", "relay", "--vs"];
const FILL_PATIENCE: Duration = Duration::from_secs(600);

/// What the topic holds.
#[derive(Debug, Clone)]
pub(in super::super) struct CopyLoad {
    pub(in super::super) name: &'static str,
    pub(in super::super) about: &'static str,
    pub(super) partitions: u32,
    /// At scale 1.
    pub(super) records: u64,
    pub(super) record_bytes: usize,
    pub(super) batch_records: u64,
    pub(super) skew: f64,
    /// Kafka's name of a codec. With one, the records are text and Kafka's own producer compresses them.
    pub(super) codec: &'static str,
}

impl CopyLoad {
    pub(super) fn run(&self, session: &mut Session) -> Result<String, Failure> {
        let job = self.produced(session)?;
        warm_up(session, self.name, &job)?;
        let rows = rows(session, self.name, &turns(session, &job, |_| true))?;
        session.stage.source.clear(&[])?;
        let text = format!("{}\n{}{}", self.described(&job), table(&rows), ratios(&rows, &PEERS));
        session.measured.push((self.name, rows));
        Ok(text)
    }

    /// Fills the source.
    pub(super) fn produced(&self, session: &Session) -> Result<Job, Failure> {
        let stage = &session.stage;
        let records = session.options.scaled(self.records).max(u64::from(self.partitions));
        let topic = format!("bench-{}", self.name);
        session.progress(&format!("{}: producing {records} records", self.name));
        stage.source.create(&topic, self.partitions)?;
        if self.codec == "none" {
            let Self { record_bytes, batch_records, skew, .. } = *self;
            let filling = Filling { records, record_bytes, batch_records, skew };
            let command = filling.command(&stage.source.bootstrap(), &topic);
            stage.nursery.start(command, false)?.ended(FILL_PATIENCE)?;
        } else {
            payload::produce(stage, &topic, records, self.record_bytes, self.codec)?;
        }
        let there = stage.runtime.block_on(stage.source.records(&topic, self.partitions))?;
        if there != records {
            return Err(Failure::Failed(format!("{there} records are on the source instead of {records}")));
        }
        Ok(Job {
            from: stage.source.bootstrap(),
            to: stage.target.bootstrap(),
            partitions: self.partitions,
            records,
            payload_bytes: records * self.record_bytes as u64,
            log_bytes: stage.source.log_bytes(&topic)?,
            codec: self.codec,
            ca_file: None,
            in_memory: false,
            follows: false,
            target_exists: true,
            topic,
        })
    }

    pub(super) fn described(&self, job: &Job) -> String {
        let of = |bytes: u64| format!("{:.2} GiB", gibibytes(bytes));
        let stored = if self.codec == "none" {
            String::new()
        } else {
            format!(", {} as compressed with {}", of(job.log_bytes), self.codec)
        };
        format!(
            "{}: {} records, {}{stored}, {} partition{}.\n",
            self.about,
            job.records,
            of(job.payload_bytes),
            job.partitions,
            if job.partitions == 1 { "" } else { "s" }
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
