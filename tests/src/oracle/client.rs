//! The requests the oracle knows, each sent to the broker it belongs to, with patience while a leader is being found.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::primitives::{Body, Rest};
use super::{Error, RawBatch, parse_batches};

/// How long a leader may be missing, or a topic unknown, before that is the answer.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const TIMEOUT_MS: i32 = 30_000;
const FETCH_WAIT_MS: i32 = 500;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// LEADER_NOT_AVAILABLE: also our word for a partition whose leader a broker does not name.
const NO_LEADER: i16 = 5;

/// Which records a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything up to the high watermark.
    Uncommitted,
    /// Up to the last stable offset, and told what was aborted.
    Committed,
}

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas.
    pub replication_factor: i16,
    /// Topic configuration.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with one replica and default configuration.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self { name: name.into(), partitions, replication_factor: 1, configs: Vec::new() }
    }

    /// Sets the number of replicas.
    pub fn replication_factor(mut self, replication_factor: i16) -> Self {
        self.replication_factor = replication_factor;
        self
    }

    /// Sets a topic configuration.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }
}

/// The bounds of a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// First offset that may still be read.
    pub log_start: i64,
    /// The high watermark: one behind the last replicated record.
    pub end: i64,
    /// One behind the last record whose transaction is decided.
    pub last_stable: i64,
}

/// A fetched slice of a partition.
#[derive(Debug)]
pub struct Fetched {
    /// The whole batches in it. The first may begin below the offset asked for.
    pub batches: Vec<RawBatch>,
    /// Aborted transactions that reach into it: producer id and first offset.
    pub aborted: Vec<(i64, i64)>,
    /// The bounds of the log at that moment.
    pub offsets: Offsets,
}

/// A client of one cluster, with a connection to each broker it had to ask.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<String>,
    brokers: HashMap<i32, String>,
    controller: i32,
    leaders: HashMap<(String, i32), i32>,
    /// Number of replicas and of those in sync.
    replicas: HashMap<(String, i32), (usize, usize)>,
    connections: HashMap<String, Connection>,
}

impl Client {
    /// A client of the cluster behind `bootstrap`, `host:port` joined by commas. Connects when it is first asked something.
    pub fn new(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.split(',').map(|address| address.trim().to_owned()).collect(),
            brokers: HashMap::new(),
            controller: -1,
            leaders: HashMap::new(),
            replicas: HashMap::new(),
            connections: HashMap::new(),
        }
    }

    /// The partitions of a topic, ascending. Waits for a topic just created.
    pub fn partitions(&mut self, topic: &str) -> Result<Vec<i32>, Error> {
        self.patiently(|client| {
            let known = client.metadata(Some(topic))?;
            let (_, code, partitions) =
                known.into_iter().next().ok_or(Error::malformed("Metadata: the topic is missing"))?;
            match code {
                0 => Ok(partitions),
                code => {
                    Err(Error::Broker { request: "Metadata", topic: topic.to_owned(), partition: -1, code })
                }
            }
        })
    }

    /// The names of all topics, ascending.
    pub fn topics(&mut self) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> =
            self.patiently(|client| client.metadata(None))?.into_iter().map(|(name, _, _)| name).collect();
        names.sort();
        Ok(names)
    }

    /// The node that leads a partition.
    pub fn leader(&mut self, topic: &str, partition: i32) -> Result<i32, Error> {
        let at = (topic.to_owned(), partition);
        if let Some(leader) = self.leaders.get(&at) {
            return Ok(*leader);
        }
        self.patiently(|client| {
            client.metadata(Some(topic))?;
            let missing =
                || Error::Broker { request: "Metadata", topic: topic.to_owned(), partition, code: NO_LEADER };
            client.leaders.get(&at).copied().ok_or_else(missing)
        })
    }

    /// Replicas, over all partitions of all topics, that are not in sync now or whose partition has no leader.
    pub fn missing_replicas(&mut self) -> Result<usize, Error> {
        self.replicas.clear();
        self.leaders.clear();
        self.patiently(|client| client.metadata(None))?;
        let missing = self.replicas.iter().map(|(at, (replicas, in_sync))| match self.leaders.get(at) {
            Some(_) => replicas - in_sync,
            None => *replicas,
        });
        Ok(missing.sum())
    }

    /// Whether all partitions of all topics have a leader, and none of them is `node`.
    pub fn is_led_without(&mut self, node: u32) -> Result<bool, Error> {
        self.replicas.clear();
        self.leaders.clear();
        self.patiently(|client| client.metadata(None))?;
        let is_node = |leader: &i32| u32::try_from(*leader) == Ok(node);
        Ok(self.leaders.len() == self.replicas.len() && !self.leaders.values().any(is_node))
    }

    /// Creates a topic and waits until it has leaders.
    pub fn create_topic(&mut self, topic: &NewTopic) -> Result<(), Error> {
        self.create_or_validate(topic, false)?;
        for partition in 0..topic.partitions {
            self.leader(&topic.name, partition)?;
        }
        Ok(())
    }

    pub(super) fn create_or_validate(&mut self, topic: &NewTopic, validate_only: bool) -> Result<(), Error> {
        let mut body = Body::default()
            .array(1)
            .string(&topic.name)
            .int32(topic.partitions)
            .int16(topic.replication_factor)
            .array(0)
            .array(topic.configs.len());
        for (name, value) in &topic.configs {
            body = body.string(name).string(value);
        }
        let body = body.int32(TIMEOUT_MS).int8(validate_only.into());
        let answer = self.ask_controller(19, 2, &body.0)?;
        let mut rest = Rest::new(&answer, "CreateTopics answer");
        rest.int32()?;
        let codes = rest.array(|rest| {
            rest.string()?;
            let code = rest.int16()?;
            rest.string()?;
            Ok(code)
        })?;
        refuse_codes("CreateTopics", &topic.name, &codes)
    }

    /// Deletes a topic.
    pub fn delete_topic(&mut self, topic: &str) -> Result<(), Error> {
        let body = Body::default().array(1).string(topic).int32(TIMEOUT_MS);
        let answer = self.ask_controller(20, 1, &body.0)?;
        self.leaders.retain(|(name, _), _| name != topic);
        let mut rest = Rest::new(&answer, "DeleteTopics answer");
        rest.int32()?;
        let codes = rest.array(|rest| {
            rest.string()?;
            rest.int16()
        })?;
        refuse_codes("DeleteTopics", topic, &codes)
    }

    /// The bounds of a partition's log.
    pub fn offsets(&mut self, topic: &str, partition: i32) -> Result<Offsets, Error> {
        Ok(Offsets {
            log_start: self.list_offset(topic, partition, EARLIEST, Isolation::Uncommitted)?,
            end: self.list_offset(topic, partition, LATEST, Isolation::Uncommitted)?,
            last_stable: self.list_offset(topic, partition, LATEST, Isolation::Committed)?,
        })
    }

    /// The end of a partition's log: its high watermark.
    pub fn end(&mut self, topic: &str, partition: i32) -> Result<i64, Error> {
        self.list_offset(topic, partition, LATEST, Isolation::Uncommitted)
    }

    fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
        isolation: Isolation,
    ) -> Result<i64, Error> {
        let body = Body::default().int32(-1).int8(isolation as i8).array(1).string(topic).array(1);
        let body = body.int32(partition).int64(timestamp);
        self.ask_leader("ListOffsets", topic, partition, (2, 2), &body.0, |rest| {
            rest.int32()?;
            let found = rest.array(|rest| {
                rest.string()?;
                rest.array(|rest| {
                    rest.int32()?;
                    let code = rest.int16()?;
                    rest.int64()?;
                    Ok((code, rest.int64()?))
                })
            })?;
            found.into_iter().flatten().next().ok_or(Error::malformed("ListOffsets answer"))
        })
    }

    /// Appends one batch as it is, acknowledged by all in-sync replicas; returns the offset it got. Sent again only where a broker
    /// said that it does not lead the partition (yet): what a lost answer means is for the caller to find out.
    pub fn produce(&mut self, topic: &str, partition: i32, batch: &[u8]) -> Result<i64, Error> {
        let body = Body::default().null_string().int16(-1).int32(TIMEOUT_MS).array(1).string(topic).array(1);
        let body = body.int32(partition).bytes(batch);
        self.patiently(|client| {
            let leader = client.leader(topic, partition)?;
            let answer = match client.ask_node(leader, 0, 7, &body.0) {
                Ok(answer) => answer,
                Err(lost) => return Ok(Err(lost)),
            };
            let mut rest = Rest::new(&answer, "Produce answer");
            let found = rest.array(|rest| {
                rest.string()?;
                rest.array(|rest| {
                    rest.int32()?;
                    let code = rest.int16()?;
                    let base_offset = rest.int64()?;
                    rest.take(16)?;
                    Ok((code, base_offset))
                })
            })?;
            match found.into_iter().flatten().next() {
                Some((0, base_offset)) => Ok(Ok(base_offset)),
                Some((code, _)) => {
                    client.leaders.remove(&(topic.to_owned(), partition));
                    Err(Error::Broker { request: "Produce", topic: topic.to_owned(), partition, code })
                }
                None => Err(Error::malformed("Produce answer")),
            }
        })?
    }

    /// Reads from `offset`: at most about `max_bytes`, but at least one batch; nothing if nothing comes within half a second.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        isolation: Isolation,
        max_bytes: i32,
    ) -> Result<Fetched, Error> {
        let body = Body::default()
            .int32(-1)
            .int32(FETCH_WAIT_MS)
            .int32(1)
            .int32(max_bytes)
            .int8(isolation as i8)
            // No session.
            .int32(0)
            .int32(-1)
            .array(1)
            .string(topic)
            .array(1)
            .int32(partition)
            .int32(-1)
            .int64(offset)
            .int64(-1)
            .int32(max_bytes)
            .array(0)
            .string("");
        self.ask_leader("Fetch", topic, partition, (1, 11), &body.0, |rest| {
            rest.int32()?;
            let code = rest.int16()?;
            rest.int32()?;
            let found = rest.array(|rest| {
                rest.string()?;
                rest.array(|rest| fetched(rest))
            })?;
            match found.into_iter().flatten().next() {
                Some((partition_code, fetched)) if code == 0 => Ok((partition_code, fetched)),
                Some((_, fetched)) => Ok((code, fetched)),
                None => Err(Error::malformed("Fetch answer")),
            }
        })
    }

    /// Asks for metadata, of one topic or all; remembers brokers and leaders. Returns name, error code and partitions of each topic.
    pub(super) fn metadata(&mut self, topic: Option<&str>) -> Result<Vec<(String, i16, Vec<i32>)>, Error> {
        let body = match topic {
            Some(topic) => Body::default().array(1).string(topic),
            None => Body::default().int32(-1),
        };
        let answer = self.ask_any(3, 1, &body.0)?;
        let mut rest = Rest::new(&answer, "Metadata answer");
        let brokers = rest.array(|rest| {
            let node = rest.int32()?;
            let address = format!("{}:{}", rest.string()?, rest.int32()?);
            rest.string()?;
            Ok((node, address))
        })?;
        self.brokers = brokers.into_iter().collect();
        self.controller = rest.int32()?;
        // A broker that is gone is not listed; what it led is asked for again.
        let brokers = &self.brokers;
        self.leaders.retain(|_, leader| brokers.contains_key(leader));
        let (leaders, known_replicas) = (&mut self.leaders, &mut self.replicas);
        rest.array(|rest| {
            let code = rest.int16()?;
            let name = rest.string()?;
            rest.int8()?;
            let mut partitions = rest.array(|rest| {
                rest.int16()?;
                let (partition, leader) = (rest.int32()?, rest.int32()?);
                let replicas = rest.array(|rest| rest.int32())?.len();
                let in_sync = rest.array(|rest| rest.int32())?.len();
                known_replicas.insert((name.clone(), partition), (replicas, in_sync));
                match leader {
                    _ if brokers.contains_key(&leader) => leaders.insert((name.clone(), partition), leader),
                    _ => leaders.remove(&(name.clone(), partition)),
                };
                Ok(partition)
            })?;
            partitions.sort_unstable();
            Ok((name, code, partitions))
        })
    }

    /// Asks the partition's leader, wherever it moves; `parse` returns the error code and what was asked for.
    pub(super) fn ask_leader<T>(
        &mut self,
        request: &'static str,
        topic: &str,
        partition: i32,
        (api_key, version): (i16, i16),
        body: &[u8],
        parse: impl Fn(&mut Rest<'_>) -> Result<(i16, T), Error>,
    ) -> Result<T, Error> {
        self.patiently(|client| {
            let leader = client.leader(topic, partition)?;
            let outcome = client.ask_node(leader, api_key, version, body).and_then(|answer| {
                match parse(&mut Rest::new(&answer, request))? {
                    (0, found) => Ok(found),
                    (code, _) => Err(Error::Broker { request, topic: topic.to_owned(), partition, code }),
                }
            });
            if outcome.is_err() {
                client.leaders.remove(&(topic.to_owned(), partition));
            }
            outcome
        })
    }

    /// Asks the partition's leader once, whatever it says.
    pub(super) fn ask_leader_once(
        &mut self,
        topic: &str,
        partition: i32,
        (api_key, version): (i16, i16),
        body: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let leader = self.leader(topic, partition)?;
        self.ask_node(leader, api_key, version, body)
    }

    /// Asks a broker known by its node id.
    pub(super) fn ask_broker(
        &mut self,
        node: i32,
        api_key: i16,
        version: i16,
        body: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.patiently(|client| client.metadata(None))?;
        self.ask_node(node, api_key, version, body)
    }

    /// Asks whichever broker answers.
    pub(super) fn ask_any_broker(
        &mut self,
        api_key: i16,
        version: i16,
        body: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.ask_any(api_key, version, body)
    }

    pub(super) fn ask_controller(
        &mut self,
        api_key: i16,
        version: i16,
        body: &[u8],
    ) -> Result<Vec<u8>, Error> {
        // For a moment a broker may name none, or one that it does not list.
        self.patiently(|client| {
            client.metadata(None)?;
            let topic = String::new();
            let missing = Error::Broker { request: "Metadata", topic, partition: -1, code: NO_LEADER };
            if client.brokers.contains_key(&client.controller) { Ok(()) } else { Err(missing) }
        })?;
        self.ask_node(self.controller, api_key, version, body)
    }

    fn ask_node(&mut self, node: i32, api_key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, Error> {
        match self.brokers.get(&node).cloned() {
            Some(address) => self.ask(&address, api_key, version, body),
            None => {
                let topic = String::new();
                Err(Error::Broker { request: "Metadata", topic, partition: -1, code: NO_LEADER })
            }
        }
    }

    /// Asks any broker that answers.
    fn ask_any(&mut self, api_key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, Error> {
        let known: Vec<String> = self.bootstrap.iter().chain(self.brokers.values()).cloned().collect();
        let mut last = Error::malformed("bootstrap address");
        for address in known {
            match self.ask(&address, api_key, version, body) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn ask(&mut self, address: &str, api_key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, Error> {
        let mut connection = match self.connections.remove(address) {
            Some(connection) => connection,
            None => Connection::open(address)?,
        };
        let answer = connection.ask(api_key, version, body)?;
        self.connections.insert(address.to_owned(), connection);
        Ok(answer)
    }

    /// Repeats `question` while its error is one that passes.
    pub(super) fn patiently<T>(
        &mut self,
        mut question: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match question(self) {
                Err(error) if error.is_passing() && Instant::now() < deadline => std::thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
    }
}

/// A partition of a Fetch answer: its error code and what it holds.
fn fetched(rest: &mut Rest<'_>) -> Result<(i16, Fetched), Error> {
    rest.int32()?;
    let code = rest.int16()?;
    let (end, last_stable, log_start) = (rest.int64()?, rest.int64()?, rest.int64()?);
    let aborted = rest.array(|rest| Ok((rest.int64()?, rest.int64()?)))?;
    rest.int32()?;
    let batches = parse_batches(rest.bytes()?)?;
    Ok((code, Fetched { batches, aborted, offsets: Offsets { log_start, end, last_stable } }))
}

pub(super) fn refuse_codes(request: &'static str, topic: &str, codes: &[i16]) -> Result<(), Error> {
    match codes.iter().find(|code| **code != 0) {
        None => Ok(()),
        Some(code) => Err(Error::Broker { request, topic: topic.to_owned(), partition: -1, code: *code }),
    }
}
