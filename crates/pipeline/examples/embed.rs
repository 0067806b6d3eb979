//! Copies one topic: `cargo run --example embed -- a:9092 b:9092 orders`.

use std::error::Error;
use verbatim_pipeline::{Cluster, ClusterConfig, Flow, NewTopic};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, topic] = &arguments[..] else {
        return Err("usage: embed SOURCE TARGET TOPIC, for example: embed a:9092 b:9092 orders".into());
    };
    let source = Cluster::connect(ClusterConfig::new(from)?).await?;
    let target = Cluster::connect(ClusterConfig::new(to)?).await?;

    let metadata = source.metadata(Some(&[topic.as_str().into()])).await?;
    let partitions = metadata.topic(topic).map_or(0, |found| found.partitions.len());
    target.create_topic(NewTopic::new(topic, i32::try_from(partitions)?)).await?;

    let flow = Flow::new(source, target).topic(topic).start().await?;
    flow.caught_up().await?;
    let copied = flow.status().await?.total();
    println!("{} records in {} batches, {} bytes", copied.records, copied.forwarded_batches, copied.bytes);
    for (partition, position) in flow.shutdown().await?.0 {
        println!("{partition}: everything below offset {} is copied", position.source_offset);
    }
    Ok(())
}
