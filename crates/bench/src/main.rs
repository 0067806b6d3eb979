//! The program behind `cargo xtask bench`: verbatim and others copy the same topics between two real clusters on
//! this machine, in turn, and are measured from outside: by what the target holds, and by what the kernel counts.
//!
//! Reading order: `options` (what can be asked for), `session` and `stage` (what runs), `loads` (what is copied), `contenders`
//! (who copies), `run` (one run, measured), `table`; `parts` are processes of our own beside the contenders.

mod authority;
mod chart;
mod contenders;
mod copied;
mod job;
mod loads;
mod machine;
mod options;
mod parts;
mod payload;
mod process;
mod report;
mod run;
mod session;
mod stage;
mod table;
mod usage;

use std::cell::RefCell;
use std::io::Read;
use std::process::ExitCode;
use std::time::Instant;

use xtask::command::arguments::Arguments;
use xtask::command::{Failure, conclude};

use authority::Authority;
use contenders::{Contender, FranzGo, MirrorMaker, Other, Verbatim};
use options::BenchOptions;
use parts::Link;
use process::Nursery;
use session::{Links, Session};
use stage::Stage;

fn main() -> ExitCode {
    let mut arguments = Arguments::new(std::env::args().skip(1).collect());
    let is_part = arguments.flag("part");
    conclude(if is_part { parts::run_part(arguments) } else { run(arguments) }, &options::usage())
}

fn run(mut arguments: Arguments) -> Result<(), Failure> {
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{}", options::usage());
        return Ok(());
    }
    let options = BenchOptions::parse(arguments)?;
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let contenders = contenders(&options)?;
    let mut session = session(options, contenders)?;
    let loads = session.options.loads.clone();
    let mut results = Vec::new();
    for load in loads {
        let text = load.run(&mut session)?;
        println!("### {}\n\n{text}", load.name());
        // Results may be written at different times: each names its own.
        let taken = format!("`cargo xtask bench {}`, {}", typed.join(" "), machine::date());
        results.push((load.name(), format!("{}\n\n{taken}", text.trim_end())));
    }
    let machine = machine::described();
    println!("{machine}");
    if session.options.writes {
        results.push(("machine", machine));
        report::write(&results)?;
        if let Some((load, rows)) = session.measured.iter().find(|(load, _)| *load == "plain") {
            chart::write(load, rows)?;
        }
    }
    if session.options.keeps {
        let (source, target) = (session.stage.source.bootstrap(), session.stage.target.bootstrap());
        eprintln!("source {source}, target {target}; Enter or Ctrl-C ends and removes them");
        let _ = std::io::stdin().read(&mut [0]);
    }
    match session.failures.take() {
        failures if failures.is_empty() => Ok(()),
        failures => Err(Failure::Failed(format!("failed: {}", failures.join(", ")))),
    }
}

/// Starts the clusters, with what the loads asked for need.
fn session(options: BenchOptions, contenders: Vec<Contender>) -> Result<Session, Failure> {
    let started = Instant::now();
    eprintln!("starting two clusters");
    let nursery = Nursery::new()?;
    let asked = |name: &str| options.loads.iter().any(|load| load.name() == name);
    let authority = asked("tls").then(|| Authority::new(nursery.directory())).transpose()?;
    let start_links =
        || Ok::<_, Failure>(Links { source: Link::start(&nursery)?, target: Link::start(&nursery)? });
    let links = asked("far").then(start_links).transpose()?;
    let proxies = links.as_ref().map(|links| [links.source.address, links.target.address]);
    let stage = Stage::start(nursery, authority, proxies)?;
    let (measured, failures) = (Vec::new(), RefCell::default());
    Ok(Session { options, stage, links, contenders, measured, failures, started })
}

/// Those asked for, verbatim first. One that this machine cannot run is left out, with a line that says so.
fn contenders(options: &BenchOptions) -> Result<Vec<Contender>, Failure> {
    let mut all = vec![Contender::Verbatim(Verbatim::find(false)?)];
    for name in &options.against {
        let found = match *name {
            "adaptive" => Verbatim::find(true).map(Contender::Verbatim),
            "mm2" => MirrorMaker::resolve(false).map(Contender::MirrorMaker),
            "mm2-tuned" => MirrorMaker::resolve(true).map(Contender::MirrorMaker),
            "franz-go" => FranzGo::build().map(Contender::FranzGo),
            "relay" => Ok(Contender::Relay),
            "fetch-only" => Ok(Contender::FetchOnly),
            _ => Ok(Contender::ProduceOnly),
        };
        match found {
            Ok(contender) => all.push(contender),
            Err(Failure::Failed(reason) | Failure::Usage(reason)) => {
                eprintln!("{name} is left out: {reason}")
            }
        }
    }
    all.extend(options.vs.iter().map(|command| Contender::Other(Other(command.clone()))));
    Ok(all)
}
