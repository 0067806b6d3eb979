//! What goes wrong while a copy runs, on real clusters under load: brokers that stop, die and freeze, leaders that move, and
//! `verbatim` itself ended and killed. Nobody helps; afterwards nothing is lost, doubled or out of order.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use verbatim_tests::java::{Mix, MixMode, Produced, Running};
use verbatim_tests::oracle::{Client, Comparison, NewTopic};
use verbatim_tests::scene::Scene;
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::{Failure, TestResult, kafka};
use xtask::kafka::{Cluster, Options};

const TOPICS: [(&str, i32); 2] = [("orders", 4), ("events", 2)];
/// Written in transactions, of which some are aborted: its target ends elsewhere than its source.
const IN_TRANSACTIONS: (&str, i32) = ("payments", 3);
const PATTERN: &str = "orders,events,payments";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Source,
    Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// SIGKILL, restarted once others lead.
    Kill,
    /// SIGTERM: the broker hands its leaderships over.
    Stop,
    /// SIGSTOP until others lead, then SIGCONT: every connection to it hangs, and it believes to lead for a moment more.
    Freeze,
    /// Leaders go back to where they were placed.
    Elect,
}

/// Brokers of both clusters fail one after the other.
#[test]
fn brokers_stop_die_and_freeze() -> TestResult {
    let Some(mut storm) = Storm::begin(3, "faults")? else { return Ok(()) };
    let mut verbatim = storm.start()?;
    storm.wait_for_progress(None).map_err(|failure| with_log(&failure, &verbatim))?;
    let faults = if kafka::is_long() { many_faults() } else { few_faults() };
    for (side, fault) in &faults {
        let struck = storm.strike(*side, *fault);
        struck.map_err(|failure| with_log(&failure, &verbatim))?;
        if !verbatim.is_running() {
            return Err(format!("verbatim has ended:\n{}", verbatim.log()).into());
        }
    }
    storm.conclude(verbatim, faults.len())
}

fn few_faults() -> Vec<(Side, Fault)> {
    use Fault::{Elect, Freeze, Kill, Stop};
    use Side::{Source, Target};
    vec![
        (Target, Kill),
        (Source, Stop),
        (Target, Freeze),
        (Source, Kill),
        (Target, Elect),
        (Source, Elect),
        (Source, Freeze),
        (Target, Stop),
    ]
}

/// Twenty kills on each side, and a few of everything else between them.
fn many_faults() -> Vec<(Side, Fault)> {
    let kill = [(Side::Target, Fault::Kill), (Side::Source, Fault::Kill)];
    let mut faults = Vec::new();
    for round in 0..20 {
        faults.extend(kill);
        if round % 10 == 0 {
            faults.extend(few_faults().into_iter().filter(|fault| !kill.contains(fault)));
        }
    }
    faults
}

/// `verbatim` itself is ended (SIGINT) and killed (SIGKILL) again and again, and started again at once: it goes on exactly where it
/// was, because its producer id and its counting outlive it.
#[test]
fn verbatim_is_ended_and_killed() -> TestResult {
    let Some(storm) = Storm::begin(1, "restarts")? else { return Ok(()) };
    let rounds = if kafka::is_long() { 20 } else { 4 };
    for round in 0..rounds {
        let verbatim = storm.start()?;
        storm.wait_for_progress(None).map_err(|failure| with_log(&failure, &verbatim))?;
        println!("round {round}: all partitions go on after {} ms", verbatim.started().elapsed().as_millis());
        // So that it is not always ended in its first moments.
        (0..round % 5).try_for_each(|_| storm.wait_for_progress(None))?;
        if round % 2 == 0 {
            verbatim.signal("INT")?;
            let ended = verbatim.ended(PATIENCE)?.expect(0)?;
            assert!(ended.stdout.starts_with("copied "), "{}", ended.stdout);
        } else {
            let log = verbatim.kill();
            assert!(!log.contains("ERROR"), "{log}");
        }
    }
    let verbatim = storm.start()?;
    storm.wait_for_progress(None)?;
    storm.conclude(verbatim, rounds)
}

/// Two clusters, Java producers at work, and what is needed to hurt them.
struct Storm {
    scene: Scene,
    flow: &'static str,
    load: Vec<(&'static str, Running)>,
    /// How often each broker was chosen, so that all take their turn.
    struck: BTreeMap<(Side, u32), u32>,
}

impl Storm {
    fn begin(brokers: u32, flow: &'static str) -> TestResult<Option<Self>> {
        let in_sync = brokers.min(2).to_string();
        let options = |name: &str| {
            Options::new(format!("{flow}-{name}")).brokers(brokers).property("min.insync.replicas", &in_sync)
        };
        let Some(scene) = Scene::open(options("source"), options("target"))? else { return Ok(None) };
        let mut load = Vec::new();
        let replicas = i16::try_from(brokers)?;
        // A producer that outlives everything that happens to its brokers.
        let client = [
            ("delivery.timeout.ms", "900000"),
            ("request.timeout.ms", "5000"),
            ("max.block.ms", "900000"),
            ("transaction.timeout.ms", "900000"),
        ];
        let client = client.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        for (seed, (topic, partitions)) in (1..).zip(TOPICS.into_iter().chain([IN_TRANSACTIONS])) {
            scene.create(&NewTopic::new(topic, partitions).replication_factor(replicas))?;
            let (codec, size_bytes, rate, mode) = match topic {
                "orders" => ("zstd", (50, 1_000), 400, MixMode::Idempotent),
                "events" => ("none", (1_000, 20_000), 60, MixMode::Idempotent),
                _ => ("lz4", (50, 1_000), 200, MixMode::Transactional { records: 20, abort_every: 3 }),
            };
            let partitions = partitions.unsigned_abs();
            let mix = Mix {
                codec,
                size_bytes,
                rate,
                mode,
                linger_ms: 20,
                partitions,
                seed,
                records: None,
                client: client.clone(),
                ..Mix::default()
            };
            load.push((topic, scene.programs.start_producing(&scene.source(), topic, &mix)?));
        }
        Ok(Some(Self { scene, flow, load, struck: BTreeMap::new() }))
    }

    fn start(&self) -> TestResult<Verbatim> {
        // What has to be on the target is counted in records.
        self.scene.start(self.flow, PATTERN, &["--log", "debug", "--offsets", "translate"])
    }

    /// Hurts one broker, waits until the others have taken over and the copy goes on, and heals it.
    fn strike(&mut self, side: Side, fault: Fault) -> TestResult {
        let node = self.next_victim(side)?;
        let start = Instant::now();
        if fault == Fault::Elect {
            self.client_without(side, 0)?.elect_preferred_leaders()?;
        } else {
            match fault {
                Fault::Kill => self.cluster(side)?.kill(node)?,
                Fault::Stop => self.cluster(side)?.stop(node)?,
                _ => self.cluster(side)?.pause(node)?,
            }
            let mut others = self.client_without(side, node)?;
            wait_until("other leaders", PATIENCE, || Ok(others.is_led_without(node)?))?;
        }
        let moved = start.elapsed();
        self.wait_for_progress(Some((side, node)).filter(|_| fault != Fault::Elect))?;
        let went_on = start.elapsed();
        match fault {
            Fault::Kill | Fault::Stop => self.cluster(side)?.restart(node)?,
            Fault::Freeze => self.cluster(side)?.resume(node)?,
            Fault::Elect => {}
        }
        let mut client = self.client_without(side, 0)?;
        wait_until("all replicas in sync", PATIENCE, || Ok(client.missing_replicas()? == 0))?;
        self.wait_for_progress(None)?;
        let (moved, went_on, healed) = (moved.as_millis(), went_on.as_millis(), start.elapsed().as_millis());
        println!(
            "{fault:?} of {side} broker {node}: others led after {moved} ms, the copy went on after {went_on} ms, all healed after \
             {healed} ms"
        );
        Ok(())
    }

    /// The broker that was hurt least often; among those the leader of the first partition, if it is one.
    fn next_victim(&mut self, side: Side) -> TestResult<u32> {
        let leader = u32::try_from(self.client_without(side, 0)?.leader("orders", 0)?)?;
        let nodes = self.cluster(side)?.node_ids();
        let count = |node: &u32| self.struck.get(&(side, *node)).copied().unwrap_or(0);
        let victim = nodes.into_iter().min_by_key(|node| (count(node), *node != leader)).ok_or("no nodes")?;
        *self.struck.entry((side, victim)).or_insert(0) += 1;
        Ok(victim)
    }

    /// Waits until every partition of the target has grown by what was not even produced when we began to wait.
    fn wait_for_progress(&self, hurt: Option<(Side, u32)>) -> TestResult {
        let node_of = |side| hurt.filter(|(hurt, _)| *hurt == side).map_or(0, |(_, node)| node);
        let goals = ends(&mut self.client_without(Side::Source, node_of(Side::Source))?)?;
        let mut target = self.client_without(Side::Target, node_of(Side::Target))?;
        // Until the copy has begun its topics are not there.
        wait_until("the copied topics", PATIENCE, || {
            let topics = target.topics()?;
            Ok(TOPICS.iter().all(|(topic, _)| topics.iter().any(|found| found == topic)))
        })?;
        wait_until("the copy to go on", PATIENCE, || {
            let ends = ends(&mut target)?;
            Ok(goals.iter().all(|(at, goal)| ends.get(at).is_some_and(|end| end > goal)))
        })
    }

    /// Ends the load, waits for the copy, ends it and compares.
    fn conclude(mut self, verbatim: Verbatim, faults: usize) -> TestResult {
        let (mut acked, mut committed) = (BTreeMap::new(), BTreeMap::new());
        for (topic, load) in self.load.drain(..) {
            let produced = Produced::parse(&load.finish()?)?;
            if topic == IN_TRANSACTIONS.0 {
                committed = produced.committed;
                continue;
            }
            for (partition, count) in produced.acked {
                acked.insert((topic.to_owned(), partition), i64::try_from(count)?);
            }
        }
        let start = Instant::now();
        let goals = ends(&mut self.scene.at_source())?;
        assert_eq!(goals, acked, "an idempotent producer's log holds what was acknowledged");
        let mut target = self.scene.at_target();
        let caught_up = wait_until("the copy to catch up", PATIENCE, || {
            for (partition, count) in &committed {
                if target.end(IN_TRANSACTIONS.0, *partition)? != i64::try_from(*count)? {
                    return Ok(false);
                }
            }
            Ok(ends(&mut target)? == goals)
        });
        if let Err(failure) = caught_up {
            let copied = ends(&mut target)?;
            return Err(
                format!("{failure:?}\nsource {goals:?}\ntarget {copied:?}\n{}", verbatim.log()).into()
            );
        }
        let caught_up = start.elapsed();
        let resident = verbatim.resident_kib().map_or(0, |(_, most)| most / 1024);
        verbatim.signal("INT")?;
        let ended = verbatim.ended(PATIENCE)?.expect(0)?;
        let mut records = 0;
        for (topic, _) in TOPICS {
            let (source, target) = (self.scene.source(), self.scene.target());
            let report = Comparison::new(&source, &target, topic).same_offsets().run()?;
            assert!(report.is_equal(), "{report}\n{}", ended.stderr);
            records += report.records();
        }
        let (source, target) = (self.scene.source(), self.scene.target());
        let report = Comparison::new(&source, &target, IN_TRANSACTIONS.0).committed().run()?;
        assert!(report.is_equal(), "{report}\n{}", ended.stderr);
        assert_eq!(report.records(), committed.values().sum::<u64>(), "{report}");
        records += report.records();
        println!(
            "{}: {records} records identical after {faults} faults; caught up {} ms after the load ended; at most {resident} MiB \
             resident; {}",
            self.flow,
            caught_up.as_millis(),
            ended.stdout.trim()
        );
        Ok(())
    }

    fn cluster(&mut self, side: Side) -> TestResult<&mut Cluster> {
        let clusters = self.scene.clusters_mut()?;
        Ok(match side {
            Side::Source => &mut clusters.source,
            Side::Target => &mut clusters.target,
        })
    }

    /// The oracle at a cluster, not through broker `node`: a frozen one would keep it waiting.
    fn client_without(&self, side: Side, node: u32) -> TestResult<Client> {
        let clusters = self.scene.clusters()?;
        let cluster = match side {
            Side::Source => &clusters.source,
            Side::Target => &clusters.target,
        };
        let nodes = cluster.node_ids().into_iter().filter(|id| *id != node);
        let addresses: Result<Vec<String>, _> =
            nodes.map(|id| cluster.address(id).map(|address| address.to_string())).collect();
        Ok(Client::new(&addresses?.join(",")))
    }
}

/// A failure and what `verbatim` logged until then.
fn with_log(failure: &Failure, verbatim: &Verbatim) -> String {
    format!("{failure:?}\n{}", verbatim.log())
}

/// The end of every partition's log.
fn ends(client: &mut Client) -> TestResult<BTreeMap<(String, i32), i64>> {
    let mut ends = BTreeMap::new();
    for (topic, partitions) in TOPICS {
        for partition in 0..partitions {
            ends.insert((topic.to_owned(), partition), client.end(topic, partition)?);
        }
    }
    Ok(ends)
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}
