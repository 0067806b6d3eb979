//! `verbatim topic create`: the same topic in several clusters, in all of them or in none.

use crate::arguments::TopicArguments;
use crate::failure::Failure;
use crate::output;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use verbatim_pipeline::{Cluster, ClusterConfig, NewTopic};
use verbatim_wire::cluster::{BrokerError, ClusterError};
use verbatim_wire::transport::TlsConfig;

/// A cluster and the address it was named by.
struct Place {
    address: String,
    cluster: Cluster,
}

pub(crate) async fn create(arguments: TopicArguments) -> Result<(), Failure> {
    let TopicArguments { name, at, partitions, replication_factor, configs, ca_file } = arguments;
    let configs: BTreeMap<String, String> =
        configs.iter().map(|config| name_and_value(config)).collect::<Result<_, _>>()?;
    let topic = NewTopic {
        name: name.into(),
        partitions,
        replication_factor: replication_factor.unwrap_or(-1),
        configs,
    };
    let mut found = Vec::new();
    for address in &at {
        let config = ClusterConfig::new(address);
        found.push(config.map_err(|source| Failure::Address { option: "--at", source })?);
    }
    // Some may be without TLS, but who names authorities expects it somewhere.
    if let Some(file) = ca_file.as_ref().filter(|_| !found.iter().any(|config| config.bootstrap.is_tls())) {
        let address = found.first().map(|config| config.bootstrap.to_string()).unwrap_or_default();
        return Err(Failure::CaFile { option: "--ca-file", file: file.clone(), address });
    }
    let mut places = Vec::new();
    for (address, config) in at.iter().zip(found) {
        places.push(connect(address, config, ca_file.clone()).await?);
    }
    // Everybody is asked before anything is made.
    let mut missing = Vec::new();
    for place in &places {
        match there(place, &topic).await? {
            Some(found) if found == partitions => {
                let Place { address, .. } = place;
                let there =
                    format!("{address}: topic {} is there already, with {found} partitions\n", topic.name);
                output::answer(&there)?;
            }
            Some(found) => {
                let problem = format!("it is there already, with {found} partitions instead of {partitions}");
                return Err(failed(place, &topic, problem, &[]));
            }
            None => {
                let outcome = made(place, &topic, true).await;
                outcome.map_err(|error| failed(place, &topic, error.to_string(), &[]))?;
                missing.push(place);
            }
        }
    }
    let mut created: Vec<&Place> = Vec::new();
    for place in missing {
        if let Err(error) = made(place, &topic, false).await {
            let kept = take_back(&created, &topic.name).await;
            return Err(failed(place, &topic, error.to_string(), &kept));
        }
        created.push(place);
    }
    let line = |place: &&Place| {
        format!("{}: topic {} created with {partitions} partitions\n", place.address, topic.name)
    };
    output::answer(&created.iter().map(line).collect::<String>())
}

fn name_and_value(config: &str) -> Result<(String, String), Failure> {
    let (name, value) = config.split_once('=').ok_or_else(|| Failure::TopicConfig(config.to_owned()))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

async fn connect(
    address: &str,
    mut config: ClusterConfig,
    ca_file: Option<PathBuf>,
) -> Result<Place, Failure> {
    config.tls = TlsConfig { ca_file };
    let address = address.to_owned();
    match Cluster::connect(config).await {
        Ok(cluster) => Ok(Place { address, cluster }),
        Err(source) => Err(Failure::Connect { option: "--at", address, source }),
    }
}

/// The number of partitions that the topic has already.
async fn there(place: &Place, topic: &NewTopic) -> Result<Option<i32>, Failure> {
    let looked = place.cluster.metadata(Some(std::slice::from_ref(&topic.name))).await;
    let metadata = looked.map_err(|error| failed(place, topic, error.to_string(), &[]))?;
    let found = metadata.topic(&topic.name).filter(|found| found.error == BrokerError::NONE);
    Ok(found.map(|found| i32::try_from(found.partitions.len()).unwrap_or(i32::MAX)))
}

async fn made(place: &Place, topic: &NewTopic, validate_only: bool) -> Result<(), ClusterError> {
    place.cluster.create_topics(std::slice::from_ref(topic), validate_only).await?.into_iter().collect()
}

/// Deletes what was created; returns the addresses where that did not work.
async fn take_back(created: &[&Place], topic: &Arc<str>) -> Vec<String> {
    let mut kept = Vec::new();
    for place in created {
        let deleted = place.cluster.delete_topics(std::slice::from_ref(topic)).await;
        if !deleted.is_ok_and(|outcomes| outcomes.iter().all(Result::is_ok)) {
            kept.push(place.address.clone());
        }
    }
    kept
}

fn failed(place: &Place, topic: &NewTopic, problem: String, kept: &[String]) -> Failure {
    let elsewhere = match kept {
        [] => "nothing was created anywhere".to_owned(),
        kept => format!("it was created and could not be deleted again at {}", kept.join(" and ")),
    };
    Failure::Topic { address: place.address.clone(), topic: topic.name.to_string(), problem, elsewhere }
}
