//! The requests of an administrator: settings, partitions, leaders, rights.

use std::collections::BTreeMap;

use super::client::refuse_codes;
use super::primitives::{Body, Rest};
use super::{Client, Error};

const TIMEOUT_MS: i32 = 30_000;
/// Resource type of a topic in configs and in access control lists.
const TOPIC: i8 = 2;
const CLUSTER: i8 = 4;
/// Config source of what was set on the topic itself.
const SET_ON_TOPIC: i8 = 1;
const ELECTION_NOT_NEEDED: i16 = 84;

/// What an access control entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AclResource {
    /// A topic; `*` is all of them.
    Topic(String),
    /// The cluster.
    Cluster,
}

/// What may or may not be done (numbers of Kafka's `AclOperation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Operation {
    /// Everything.
    All = 2,
    /// Fetch.
    Read = 3,
    /// Produce.
    Write = 4,
    /// Create topics.
    Create = 5,
    /// Change what is not data.
    Alter = 7,
    /// See that it is there.
    Describe = 8,
    /// What brokers ask of each other.
    ClusterAction = 9,
}

/// An access control entry for everybody (`User:*`) from everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// What it is about.
    pub resource: AclResource,
    /// What may be done, or not.
    pub operation: Operation,
    /// Whether it allows; else it denies, which wins.
    pub allow: bool,
}

impl Client {
    /// The settings of a topic, each with whether it was set on the topic itself.
    pub fn topic_configs(&mut self, topic: &str) -> Result<BTreeMap<String, (String, bool)>, Error> {
        let body = Body::default().array(1).int8(TOPIC).string(topic).int32(-1).int8(0);
        let answer = self.ask_controller(32, 1, &body.0)?;
        let mut rest = Rest::new(&answer, "DescribeConfigs answer");
        rest.int32()?;
        let found = rest.array(|rest| {
            let code = rest.int16()?;
            rest.string()?;
            rest.int8()?;
            rest.string()?;
            let configs = rest.array(|rest| {
                let (name, value) = (rest.string()?, rest.string()?);
                rest.int8()?;
                let source = rest.int8()?;
                rest.int8()?;
                rest.array(|rest| {
                    rest.string()?;
                    rest.string()?;
                    rest.int8()
                })?;
                Ok((name, (value, source == SET_ON_TOPIC)))
            })?;
            Ok((code, configs))
        })?;
        let (code, configs) = found.into_iter().next().ok_or(Error::malformed("DescribeConfigs answer"))?;
        refuse_codes("DescribeConfigs", topic, &[code])?;
        Ok(configs.into_iter().collect())
    }

    /// Sets one setting of a topic.
    pub fn set_topic_config(&mut self, topic: &str, name: &str, value: &str) -> Result<(), Error> {
        let body = Body::default().array(1).int8(TOPIC).string(topic);
        let body = body.array(1).string(name).int8(0).string(value).int8(0);
        let answer = self.ask_controller(44, 0, &body.0)?;
        let mut rest = Rest::new(&answer, "IncrementalAlterConfigs answer");
        rest.int32()?;
        let codes = rest.array(|rest| {
            let code = rest.int16()?;
            rest.string()?;
            rest.int8()?;
            rest.string()?;
            Ok(code)
        })?;
        refuse_codes("IncrementalAlterConfigs", topic, &codes)
    }

    /// Gives a topic `partitions` partitions in all, and waits until each has a leader.
    pub fn grow_topic(&mut self, topic: &str, partitions: i32) -> Result<(), Error> {
        let body =
            Body::default().array(1).string(topic).int32(partitions).int32(-1).int32(TIMEOUT_MS).int8(0);
        let answer = self.ask_controller(37, 0, &body.0)?;
        let mut rest = Rest::new(&answer, "CreatePartitions answer");
        rest.int32()?;
        let codes = rest.array(|rest| {
            rest.string()?;
            let code = rest.int16()?;
            rest.string()?;
            Ok(code)
        })?;
        refuse_codes("CreatePartitions", topic, &codes)?;
        (0..partitions).try_for_each(|partition| self.leader(topic, partition).map(drop))
    }

    /// Moves the start of a partition's log to `offset`; returns where it is now.
    pub fn delete_records(&mut self, topic: &str, partition: i32, offset: i64) -> Result<i64, Error> {
        let body = Body::default().array(1).string(topic).array(1);
        let body = body.int32(partition).int64(offset).int32(TIMEOUT_MS);
        self.ask_leader("DeleteRecords", topic, partition, (21, 0), &body.0, |rest| {
            rest.int32()?;
            let found = rest.array(|rest| {
                rest.string()?;
                rest.array(|rest| {
                    rest.int32()?;
                    let log_start = rest.int64()?;
                    Ok((rest.int16()?, log_start))
                })
            })?;
            found.into_iter().flatten().next().ok_or(Error::malformed("DeleteRecords answer"))
        })
    }

    /// Gives every partition back to the first of its replicas that lives, as far as it is in sync.
    pub fn elect_preferred_leaders(&mut self) -> Result<(), Error> {
        let body = Body::default().int8(0).int32(-1).int32(TIMEOUT_MS);
        let answer = self.ask_controller(43, 1, &body.0)?;
        let mut rest = Rest::new(&answer, "ElectLeaders answer");
        rest.int32()?;
        let code = rest.int16()?;
        match code {
            0 | ELECTION_NOT_NEEDED => Ok(()),
            code => refuse_codes("ElectLeaders", "", &[code]),
        }
    }

    /// Adds access control entries.
    pub fn create_acls(&mut self, acls: &[Acl]) -> Result<(), Error> {
        const LITERAL: i8 = 3;
        const DENY: i8 = 2;
        const ALLOW: i8 = 3;
        let mut body = Body::default().array(acls.len());
        for Acl { resource, operation, allow } in acls {
            let (kind, name) = match resource {
                AclResource::Topic(name) => (TOPIC, name.as_str()),
                AclResource::Cluster => (CLUSTER, "kafka-cluster"),
            };
            body = body.int8(kind).string(name).int8(LITERAL).string("User:*").string("*");
            body = body.int8(*operation as i8).int8(if *allow { ALLOW } else { DENY });
        }
        let answer = self.ask_controller(30, 1, &body.0)?;
        let mut rest = Rest::new(&answer, "CreateAcls answer");
        rest.int32()?;
        let codes = rest.array(|rest| {
            let code = rest.int16()?;
            rest.string()?;
            Ok(code)
        })?;
        refuse_codes("CreateAcls", "", &codes)
    }
}
