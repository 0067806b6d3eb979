//! `cargo xtask kafka`: clusters for people.

use std::io::Read;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Failure;
use super::arguments::Arguments;
use crate::kafka::{Cluster, DEFAULT_VERSION, Distribution, Options, Tuning};

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let version = arguments.value("--version")?.unwrap_or_else(|| DEFAULT_VERSION.to_owned());
    let clusters = arguments.value("--clusters")?.unwrap_or(2u32);
    let brokers = arguments.value("--brokers")?.unwrap_or(1u32);
    let heap_mib = arguments.value("--heap")?.unwrap_or(512u32);
    arguments.nothing()?;
    if clusters == 0 || brokers == 0 {
        return Err(Failure::Usage("at least one cluster of one broker".to_owned()));
    }

    let input = Input::open();
    let distribution = Distribution::resolve(&version)?;
    let mut running = Vec::new();
    for number in 1..=clusters {
        let options = Options::new(format!("cluster-{number}"))
            .brokers(brokers)
            .heap_mib(heap_mib)
            .tuning(Tuning::Throughput)
            .property("auto.create.topics.enable", "true");
        let cluster = Cluster::start(&distribution, options)?;
        println!("cluster {number} (Kafka {version}): {}", cluster.bootstrap());
        running.push(cluster);
    }
    println!();
    if let [source, target, ..] = running.as_slice() {
        println!(
            "copy everything from the first to the second:\n  cargo run --release --package verbatim -- \
             run --from {} --to {} --topics '.*'\n",
            source.bootstrap(),
            target.bootstrap()
        );
    }
    if let Some(first) = running.first() {
        println!(
            "Kafka's own tools, for example:\n  {} org.apache.kafka.tools.TopicCommand --bootstrap-server {} --list\n",
            distribution.run_class().display(),
            first.bootstrap()
        );
    }
    println!("{}", input.farewell());
    input.wait();
    Ok(())
}

/// What ends us. At a signal we simply end: each cluster's warden notices and cleans up.
enum Input {
    /// The end of stdin does, too: whoever holds it may be gone.
    Read(JoinHandle<()>),
    /// Stdin is at its end from the beginning (nohup, CI) and says nothing: only a signal does.
    None,
}

impl Input {
    fn open() -> Self {
        /// To read an end that is there takes no time.
        const MOMENT: Duration = Duration::from_millis(200);
        let reader = thread::spawn(|| drop(std::io::stdin().lock().read_to_end(&mut Vec::new())));
        thread::sleep(MOMENT);
        if reader.is_finished() { Self::None } else { Self::Read(reader) }
    }

    fn farewell(&self) -> &'static str {
        match self {
            Self::Read(_) => "Ctrl-C ends and removes them.",
            Self::None => "Ctrl-C or SIGTERM ends and removes them.",
        }
    }

    fn wait(self) {
        match self {
            Self::Read(reader) => drop(reader.join()),
            Self::None => loop {
                thread::park();
            },
        }
    }
}
