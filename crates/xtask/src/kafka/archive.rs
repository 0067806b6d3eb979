//! What makes a broker start in well under a second: a formatted storage directory to copy from, and an archive of loaded classes.
//!
//! Formatting with Kafka's own tool costs a Java process for every broker of every test. What it writes depends on the version
//! alone, but for three identifiers in `meta.properties`; so it runs once and its `bootstrap.checkpoint` is copied.
//! The class archive (application class data sharing) halves the time to the first answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster::Cluster;
use super::distribution::Distribution;
use super::error::Error;
use super::options::Options;

const CHECKPOINT: &str = "bootstrap.checkpoint";

/// Where the class archive of a distribution is, or would be.
pub(super) fn path(distribution: &Distribution) -> PathBuf {
    distribution.directory().join("classes.jsa")
}

/// Formats a storage directory with Kafka's own tool and lets a broker run once to archive its classes.
pub(super) fn prepare(distribution: &Distribution) -> Result<(), Error> {
    let directory = distribution.directory().join("formatted");
    let properties = distribution.directory().join("format.properties");
    let _ = fs::remove_dir_all(&directory);
    let _ = fs::remove_file(path(distribution));
    let settings = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:1\n\
         listeners=PLAINTEXT://localhost:2,CONTROLLER://localhost:1\ncontroller.listener.names=CONTROLLER\n\
         log.dirs={}\n",
        directory.display()
    );
    fs::write(&properties, settings).map_err(Error::io(format!("write {}", properties.display())))?;
    let arguments = ["format", "-t", &identifier(0), "-c", &properties.display().to_string()];
    distribution.tool("kafka.tools.StorageTool", &arguments).map_err(|error| match error {
        Error::Tool { output, .. } => Error::Format { version: distribution.version().to_owned(), output },
        other => other,
    })?;

    let archive = path(distribution);
    let unfinished = archive.with_extension("unfinished");
    let mut options = Options::new("archive");
    options.java_options.push(format!("-XX:ArchiveClassesAtExit={}", unfinished.display()));
    let mut cluster = Cluster::start(distribution, options)?;
    cluster.stop_within(1, Duration::from_secs(60))?;
    // Without an archive brokers only start more slowly.
    let _ = fs::rename(unfinished, archive);
    Ok(())
}

/// Formats the storage of one node.
pub(super) fn format(
    distribution: &Distribution,
    log_dir: &Path,
    cluster_id: &str,
    node: u32,
) -> Result<(), Error> {
    let template = distribution.directory().join("formatted").join(CHECKPOINT);
    fs::create_dir_all(log_dir).map_err(Error::io(format!("create {}", log_dir.display())))?;
    fs::copy(&template, log_dir.join(CHECKPOINT))
        .map_err(Error::io(format!("copy {}", template.display())))?;
    let meta = format!(
        "version=1\ncluster.id={cluster_id}\nnode.id={node}\ndirectory.id={}\n",
        identifier(u64::from(node))
    );
    let path = log_dir.join("meta.properties");
    fs::write(&path, meta).map_err(Error::io(format!("write {}", path.display())))
}

/// A fresh identifier in the form of Kafka's Uuid: 128 bits as 22 characters of URL-safe base 64.
pub(super) fn identifier(salt: u64) -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0u128;
    for part in 0..2u64 {
        // RandomState is seeded by the operating system: the standard library's only source of randomness.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(salt);
        hasher.write_u64(part);
        bits = (bits << 64) | u128::from(hasher.finish());
    }
    // A leading dash would look like an option on a command line.
    bits &= u128::MAX >> 1;
    (0..22)
        .map(|place| {
            // 21 characters carry 126 bits, the last one the remaining two.
            let index = if place == 21 { (bits << 4) & 0x30 } else { (bits >> (122 - 6 * place)) & 0x3f };
            char::from(ALPHABET.get(index as usize).copied().unwrap_or(b'A'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn identifiers_are_kafka_uuids_and_never_the_same() {
        let (one, other) = (identifier(1), identifier(1));
        assert_ne!(one, other);
        for text in [one, other] {
            assert_eq!(text.len(), 22);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            assert!(!text.starts_with('-'));
            assert!(
                "AQgw".contains(text.chars().last().unwrap()),
                "the last character carries two bits: {text}"
            );
        }
    }
}
