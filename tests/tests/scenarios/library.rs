//! Promise: a program of a few lines copies a topic. The example that says so is the one that runs here.

use std::process::Command;

use verbatim_testbroker::TestCluster;
use verbatim_tests::TestResult;
use verbatim_tests::oracle::compare;
use verbatim_tests::scenario::fill;

const SOURCE_TEXT: &str = include_str!("../../../crates/pipeline/examples/embed.rs");

#[tokio::test(flavor = "multi_thread")]
async fn the_example_copies_a_topic() -> TestResult {
    let source = TestCluster::builder().cluster_id("a").brokers(2).start_tcp().await?;
    let target = TestCluster::builder().cluster_id("b").start_tcp().await?;
    source.create_topic("orders", 3, &[]).map_err(|code| code.to_string())?;
    for partition in 0..3 {
        fill(&source, "orders", partition, 20);
    }
    let arguments = [source.bootstrap(), target.bootstrap(), "orders".to_owned()];
    let run = move || Command::new(env!("CARGO_BIN_EXE_embed")).args(arguments).output();
    let output = tokio::task::spawn_blocking(run).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    assert!(said.starts_with("180 records in 60 batches, "), "{said}");
    assert!(said.contains("partition 2 of topic orders: everything below offset 60 is copied"), "{said}");

    let (from, to) = (source.bootstrap(), target.bootstrap());
    let report = tokio::task::spawn_blocking(move || compare(&from, &to, "orders")).await??;
    assert!(report.is_equal() && report.records() == 180, "{report}");
    Ok(())
}

#[test]
fn the_example_is_short() {
    let lines = SOURCE_TEXT.lines().count();
    assert!(lines < 40, "{lines} lines");
}

#[test]
fn the_example_says_how_it_is_called() -> TestResult {
    let output = Command::new(env!("CARGO_BIN_EXE_embed")).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && complaint.contains("usage: embed SOURCE TARGET TOPIC"),
        "{complaint}"
    );
    Ok(())
}
