//! `ProduceMix`: Kafka's own producer, with all that a record can be.

use std::collections::BTreeMap;

use super::{Error, Programs, Running};

/// How to produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixMode {
    /// Without a producer id.
    Plain,
    /// With producer id and sequences.
    Idempotent,
    /// In transactions of `records` records; every `abort_every`th is aborted (0: none).
    Transactional {
        /// Records in a transaction.
        records: u32,
        /// Which transactions are aborted.
        abort_every: u32,
    },
}

/// What to produce. The fields are the options of the program.
#[derive(Debug, Clone)]
pub struct Mix {
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub codec: &'static str,
    /// Smallest and largest value, in bytes.
    pub size_bytes: (u32, u32),
    /// Number of records after which to stop.
    pub records: Option<u64>,
    /// Bytes of values after which to stop.
    pub total_bytes: Option<u64>,
    /// The same seed gives the same records.
    pub seed: u64,
    /// Number of partitions, filled at random.
    pub partitions: u32,
    /// Plain, idempotent or transactional.
    pub mode: MixMode,
    /// `random` (does not compress), `text` (does), or `mixed`.
    pub data: &'static str,
    /// Records each second; 0 for as many as possible.
    pub rate: u32,
    /// Largest batch, in bytes.
    pub batch_bytes: u32,
    /// How long to wait for a batch to fill, in ms.
    pub linger_ms: u32,
    /// Timestamp of the first record in ms; ten minutes ago if not given.
    pub timestamp: Option<i64>,
    /// Whether every record has a key, as a compacted topic demands; else an eighth has none.
    pub always_keyed: bool,
    /// Whether every record has a header `number` that tells it from all others: the seed and a count.
    pub numbered: bool,
    /// Further client settings.
    pub client: Vec<(String, String)>,
}

impl Default for Mix {
    /// A thousand idempotent records, uncompressed, of 10 to 1000 bytes, to one partition.
    fn default() -> Self {
        Self {
            codec: "none",
            size_bytes: (10, 1000),
            records: Some(1000),
            total_bytes: None,
            seed: 1,
            partitions: 1,
            mode: MixMode::Idempotent,
            data: "mixed",
            rate: 0,
            batch_bytes: 16 << 10,
            linger_ms: 5,
            timestamp: None,
            always_keyed: false,
            numbered: false,
            client: Vec::new(),
        }
    }
}

/// What was acknowledged, by partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Produced {
    /// Records in the log, those of aborted transactions included.
    pub acked: BTreeMap<i32, u64>,
    /// Records that a reader of committed data sees.
    pub committed: BTreeMap<i32, u64>,
}

impl Produced {
    /// Reads the last word of the program: one line for each partition.
    pub fn parse(lines: &[String]) -> Result<Self, Error> {
        let mut produced = Self::default();
        for line in lines.iter().filter(|line| line.starts_with("partition ")) {
            let words: Vec<&str> = line.split(' ').collect();
            let ["partition", partition, "acked", acked, "committed", committed] = words.as_slice() else {
                return Err(Error::Output(line.clone()));
            };
            let unexpected = |_| Error::Output(line.clone());
            let partition = partition.parse().map_err(unexpected)?;
            produced.acked.insert(partition, acked.parse().map_err(unexpected)?);
            produced.committed.insert(partition, committed.parse().map_err(unexpected)?);
        }
        if produced.acked.is_empty() { Err(Error::Output(lines.join("\n"))) } else { Ok(produced) }
    }

    /// The last `acked` line of a program that was killed: at least so many records are in the log.
    pub fn parse_running(lines: &[String]) -> BTreeMap<i32, u64> {
        let last = lines.iter().rev().find_map(|line| line.strip_prefix("acked "));
        let pairs = last.unwrap_or_default().split(' ').filter_map(|pair| pair.split_once('='));
        pairs.filter_map(|(partition, count)| Some((partition.parse().ok()?, count.parse().ok()?))).collect()
    }
}

impl Programs {
    /// Produces a mix and waits until all of it is acknowledged.
    pub fn produce(&self, bootstrap: &str, topic: &str, mix: &Mix) -> Result<Produced, Error> {
        let printed = self.run("ProduceMix", &arguments(bootstrap, topic, mix))?;
        Produced::parse(&printed.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    /// Starts to produce a mix, until [`Running::finish`]; `records` and `total_bytes` still limit it. [`Produced::parse`] reads what
    /// it prints.
    pub fn start_producing(&self, bootstrap: &str, topic: &str, mix: &Mix) -> Result<Running, Error> {
        let mut arguments = arguments(bootstrap, topic, mix);
        arguments.push("--until-stdin-closes".to_owned());
        self.start("ProduceMix", &arguments)
    }
}

fn arguments(bootstrap: &str, topic: &str, mix: &Mix) -> Vec<String> {
    let Mix {
        codec,
        size_bytes: (smallest, largest),
        records,
        total_bytes,
        seed,
        partitions,
        mode,
        data,
        rate,
        batch_bytes,
        linger_ms,
        timestamp,
        always_keyed,
        numbered,
        client,
    } = mix;
    let mut arguments = Vec::new();
    let mut set = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    set("bootstrap", bootstrap.to_owned());
    set("topic", topic.to_owned());
    set("codec", (*codec).to_owned());
    set("size", format!("{smallest}-{largest}"));
    set("seed", seed.to_string());
    set("partitions", partitions.to_string());
    set("data", (*data).to_owned());
    set("rate", rate.to_string());
    set("batch", batch_bytes.to_string());
    set("linger", linger_ms.to_string());
    if let Some(records) = records {
        set("records", records.to_string());
    }
    if let Some(total_bytes) = total_bytes {
        set("bytes", total_bytes.to_string());
    }
    if let Some(timestamp) = timestamp {
        set("timestamp", timestamp.to_string());
    }
    match mode {
        MixMode::Plain => set("mode", "plain".to_owned()),
        MixMode::Idempotent => set("mode", "idempotent".to_owned()),
        MixMode::Transactional { records, abort_every } => {
            set("mode", "transactional".to_owned());
            set("transaction-records", records.to_string());
            set("abort-every", abort_every.to_string());
        }
    }
    if !client.is_empty() {
        let pairs: Vec<String> = client.iter().map(|(name, value)| format!("{name}={value}")).collect();
        set("client", pairs.join(","));
    }
    if *always_keyed {
        arguments.push("--always-keyed".to_owned());
    }
    if *numbered {
        arguments.push("--numbered".to_owned());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_last_word() {
        let lines =
            ["acked 0=3 1=4", "partition 0 acked 10 committed 7", "partition 1 acked 11 committed 11"];
        let lines = lines.map(str::to_owned);
        let produced = Produced::parse(&lines).unwrap();
        assert_eq!(produced.acked, BTreeMap::from([(0, 10), (1, 11)]));
        assert_eq!(produced.committed, BTreeMap::from([(0, 7), (1, 11)]));
        assert_eq!(Produced::parse_running(&lines), BTreeMap::from([(0, 3), (1, 4)]));
        assert!(Produced::parse(&["partition 0 acked ten committed 7".to_owned()]).is_err());
        assert!(Produced::parse(&[]).is_err());
    }
}
