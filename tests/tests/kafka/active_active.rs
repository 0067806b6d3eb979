//! Promise: two clusters, or three, that write to the same topics under the same names: what was produced on one is on all, once, while
//! the product is killed in between.

use std::collections::BTreeMap;
use std::fs;

use verbatim_tests::TestResult;
use verbatim_tests::java::{Mix, Produced, Programs};
use verbatim_tests::kafka::{self, TemporaryDirectory};
use verbatim_tests::oracle::{Client, Isolation, NewTopic};
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use xtask::kafka::{Cluster, Options};

const TOPIC: &str = "orders";
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Everybody to everybody.
#[test]
fn triangle_under_the_same_names() -> TestResult {
    everywhere_once(&[("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b")])
}

/// Round and round: what was produced on one is carried on by the next.
#[test]
fn ring_under_the_same_names() -> TestResult {
    everywhere_once(&[("a", "b"), ("b", "c"), ("c", "a")])
}

fn everywhere_once(flows: &[(&str, &str)]) -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let programs = Programs::compile(&distribution)?;
    let clusters = NAMES
        .iter()
        .map(|name| Cluster::start(&distribution, Options::new(*name)))
        .collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<String> = clusters.iter().map(Cluster::bootstrap).collect();
    let mut text = String::new();
    for (name, address) in NAMES.iter().zip(&addresses) {
        Client::new(address).create_topic(&NewTopic::new(TOPIC, 2))?;
        text += &format!("[clusters.{name}]\nbootstrap = \"{address}\"\n");
    }
    for (from, to) in flows {
        text += &format!(
            "[[flows]]\nfrom = \"{from}\"\nto = \"{to}\"\ntopics = [\"{TOPIC}\"]\nnaming = \"identity\"\nsync_groups = \"off\"\n"
        );
    }
    let folder = TemporaryDirectory::new("triangle")?;
    let path = folder.path().join("flows.toml");
    fs::write(&path, text)?;
    let start = || Verbatim::start(&["run", &path.display().to_string()]);

    // Idempotent producers on all sides at once, while flows die.
    let loads: Vec<_> = (1..)
        .zip(&addresses)
        .map(|(seed, address)| {
            let mix = Mix { partitions: 2, rate: 300, records: None, seed, numbered: true, ..Mix::default() };
            programs.start_producing(address, TOPIC, &mix)
        })
        .collect::<Result<_, _>>()?;
    let ends = || -> TestResult<Vec<i64>> {
        let mut ends = Vec::new();
        for address in &addresses {
            let mut client = Client::new(address);
            ends.push(client.end(TOPIC, 0)? + client.end(TOPIC, 1)?);
        }
        Ok(ends)
    };
    for _ in 0..if kafka::is_long() { 20 } else { 4 } {
        let verbatim = start()?;
        let before = ends()?;
        wait_until("the copies to go on", PATIENCE, || {
            Ok(ends()?.iter().zip(&before).all(|(now, before)| *now > before + 600))
        })?;
        verbatim.kill();
    }
    let mut verbatim = start()?;
    let mut written: BTreeMap<i32, u64> = BTreeMap::new();
    for load in loads {
        for (partition, count) in Produced::parse(&load.finish()?)?.acked {
            *written.entry(partition).or_default() += count;
        }
    }
    for address in &addresses {
        let mut client = Client::new(address);
        for (partition, count) in &written {
            wait_until(&format!("{count} records in partition {partition} of {address}"), PATIENCE, || {
                Ok(u64::try_from(client.end(TOPIC, *partition)?)? >= *count)
            })?;
        }
    }
    // What went round would go on going round.
    std::thread::sleep(std::time::Duration::from_secs(3));
    verbatim.logs("copying 1 topics")?;
    verbatim.signal("INT")?;
    let ended = verbatim.ended(PATIENCE)?.expect(0)?;
    println!("{}", ended.stdout.trim());
    let mut all = Vec::new();
    for address in &addresses {
        let seen = programs.records(address, TOPIC, Isolation::Committed)?;
        for (partition, records) in &seen {
            let mut numbers: Vec<u128> = records.iter().filter_map(|record| record.number).collect();
            assert_eq!(numbers.len() as u64, written[partition], "{address}: partition {partition}");
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len() as u64, written[partition], "{address}: partition {partition}: doubled");
            all.push((*partition, numbers));
        }
    }
    for (partition, numbers) in &all {
        let first = all.iter().find(|(other, _)| other == partition).map(|(_, numbers)| numbers);
        assert_eq!(Some(numbers), first, "partition {partition}");
    }
    println!("{written:?} records are on each of {} clusters, once", NAMES.len());
    Ok(())
}
