//! MirrorMaker 2 of the same Kafka, in its dedicated mode, with the properties in `benches/peers`.

use super::super::job::Job;
use super::super::process::Nursery;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use xtask::command::{Failure, workspace};
use xtask::kafka::{Distribution, version};

/// The heap that Kafka's own `connect-mirror-maker.sh` gives it, in MiB.
const HEAP_MIB: u32 = 2048;
/// What it needs tuned, with its larger requests: with 2 GiB it has stood still in the middle of 2 GiB of records.
const TUNED_HEAP_MIB: u32 = 4096;
const MAIN_CLASS: &str = "org.apache.kafka.connect.mirror.MirrorMaker";
/// As `kafka-run-class.sh` runs it.
const JAVA_OPTIONS: [&str; 7] = [
    "-Xms256m",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// MirrorMaker 2 with one set of properties.
#[derive(Debug)]
pub(in super::super) struct MirrorMaker {
    distribution: Distribution,
    is_tuned: bool,
}

impl MirrorMaker {
    /// Fetches it.
    ///
    /// # Errors
    /// When Kafka's artifacts cannot be had.
    pub(in super::super) fn resolve(is_tuned: bool) -> Result<Self, Failure> {
        let distribution = Distribution::resolve_with(&version(), &["connect-mirror"])?;
        Ok(Self { distribution, is_tuned })
    }

    pub(super) fn name(&self) -> &'static str {
        if self.is_tuned { "mm2-tuned" } else { "mm2" }
    }

    pub(super) fn command(&self, job: &Job, nursery: &Nursery) -> Result<Command, Failure> {
        let template = workspace().join(format!("benches/peers/{}.properties", self.name()));
        let doing = format!("read {}", template.display());
        let template = fs::read_to_string(&template).map_err(Failure::while_doing(doing))?;
        let mut properties = template
            .replace("@FROM@", &job.from)
            .replace("@TO@", &job.to)
            .replace("@TOPIC@", &job.topic)
            .replace("@CODEC@", job.codec);
        if let Some(ca_file) = &job.ca_file {
            for side in ["source", "target"] {
                let _ = write!(
                    properties,
                    "{side}.security.protocol=SSL\n{side}.ssl.truststore.type=PEM\n\
                     {side}.ssl.truststore.location={}\n",
                    ca_file.display()
                );
            }
        }
        let path = nursery.directory().join("mm2.properties");
        fs::write(&path, properties).map_err(Failure::while_doing("write its properties"))?;
        let heap_mib = if self.is_tuned { TUNED_HEAP_MIB } else { HEAP_MIB };
        let mut command = self.distribution.java(heap_mib, None);
        command
            .args(JAVA_OPTIONS)
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg(MAIN_CLASS)
            .arg(path);
        Ok(command)
    }
}
