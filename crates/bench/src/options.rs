//! What can be typed after `cargo xtask bench`.

use super::contenders::NAMES;
use super::loads::{FAR_PARTITIONS, Load};
use xtask::command::Failure;
use xtask::command::arguments::Arguments;

/// The command line, understood.
#[derive(Debug, Clone)]
pub(super) struct BenchOptions {
    pub(super) loads: Vec<Load>,
    pub(super) rounds: usize,
    /// Contenders beside `verbatim`.
    pub(super) against: Vec<&'static str>,
    /// What sizes are multiplied with.
    pub(super) scale: f64,
    /// A replicator of the user's: a shell command.
    pub(super) vs: Option<String>,
    /// The clusters stay until Enter or Ctrl-C.
    pub(super) keeps: bool,
    /// Results go into BENCHMARKS.md.
    pub(super) writes: bool,
    /// How long latency is measured.
    pub(super) seconds: u64,
    /// Numbers of partitions that a far cluster is measured with.
    pub(super) far_partitions: Vec<u32>,
}

const ROUNDS: usize = 5;
const SECONDS: u64 = 30;

impl BenchOptions {
    /// Takes the command line apart.
    ///
    /// # Errors
    /// When a word is not understood, with what would be.
    pub(super) fn parse(mut arguments: Arguments) -> Result<Self, Failure> {
        let rounds = arguments.value("--rounds")?.unwrap_or(ROUNDS);
        let scale = arguments.value("--scale")?.unwrap_or(1.0);
        let against: Option<String> = arguments.value("--against")?;
        let vs = arguments.value("--vs")?;
        let seconds = arguments.value("--seconds")?.unwrap_or(SECONDS);
        let far_partitions: Option<String> = arguments.value("--partitions")?;
        let (keeps, writes) = (arguments.flag("--keep"), arguments.flag("--write"));
        let mut names = Vec::new();
        while let Some(word) = arguments.command() {
            if word.starts_with('-') {
                return Err(Failure::Usage(format!(
                    "{word:?} is not understood; see cargo xtask bench --help"
                )));
            }
            names.push(word);
        }
        if rounds == 0 || seconds == 0 {
            return Err(Failure::Usage("at least one round, and one second".to_owned()));
        }
        if !(0.0001..=100.0).contains(&scale) {
            return Err(Failure::Usage("--scale is between 0.0001 and 100".to_owned()));
        }
        let against = against.as_deref().map_or_else(|| Ok(NAMES.to_vec()), contenders)?;
        let far_partitions =
            far_partitions.as_deref().map_or_else(|| Ok(FAR_PARTITIONS.to_vec()), partitions)?;
        let loads = loads(&names)?;
        Ok(Self { loads, rounds, against, scale, vs, keeps, writes, seconds, far_partitions })
    }

    /// A number of records at this scale.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes of a load need not be exact"
    )]
    pub(super) fn scaled(&self, records: u64) -> u64 {
        ((records as f64 * self.scale) as u64).max(1)
    }

    /// What has to be asked for to get this number of records at this scale.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "scaling it again rounds down: one more than needed does no harm"
    )]
    pub(super) fn unscaled(&self, records: u64) -> u64 {
        (records as f64 / self.scale).ceil() as u64
    }
}

/// The contenders of a comma-separated list; `none` for none.
fn contenders(list: &str) -> Result<Vec<&'static str>, Failure> {
    let words = list.split(',').map(str::trim).filter(|word| !["", "none", "verbatim"].contains(word));
    let words: Vec<&str> = words.collect();
    for word in &words {
        if !NAMES.contains(word) {
            let known = NAMES.join(", ");
            return Err(Failure::Usage(format!("--against knows no {word:?}; it knows {known}, and none")));
        }
    }
    Ok(NAMES.into_iter().filter(|name| words.contains(name)).collect())
}

/// Numbers of partitions, separated by commas.
fn partitions(list: &str) -> Result<Vec<u32>, Failure> {
    let number = |word: &str| word.trim().parse().ok().filter(|number| *number > 0);
    let numbers: Option<Vec<u32>> = list.split(',').map(number).collect();
    numbers.ok_or_else(|| Failure::Usage(format!("--partitions takes numbers such as 4,256, not {list:?}")))
}

fn loads(names: &[String]) -> Result<Vec<Load>, Failure> {
    let all = Load::all();
    for name in names {
        if !all.iter().any(|load| load.name() == name) {
            let known: Vec<&str> = all.iter().map(Load::name).collect();
            return Err(Failure::Usage(format!("there is no load {name:?}; there are {}", known.join(", "))));
        }
    }
    Ok(all
        .into_iter()
        .filter(|load| names.is_empty() || names.iter().any(|name| name == load.name()))
        .collect())
}

/// What `cargo xtask bench --help` prints.
pub(super) fn usage() -> String {
    let loads: String =
        Load::all().iter().map(|load| format!("  {:<12}{}\n", load.name(), load.about())).collect();
    let far_partitions = FAR_PARTITIONS.map(|partitions| partitions.to_string()).join(",");
    format!(
        "\
usage: cargo xtask bench [LOAD ...] [OPTIONS]

Starts two real Kafka clusters of one broker on this machine and lets verbatim and others copy the same topics from one to
the other, in turn (A B B A), each into a topic that was just created. Prints a Markdown table per load: medians of all
rounds, smallest and largest in parentheses. Needs Java and Maven; Go for franz-go.

loads (all, where none is named):
{loads}
options:
  --rounds N          runs of each contender and load [{ROUNDS}]
  --scale F           what the sizes of loads are multiplied with [1]
  --against A,B       who runs besides verbatim [all]; `none` for nobody:
                        adaptive      verbatim --batching adaptive
                        mm2           MirrorMaker 2 of the same Kafka, defaults
                        mm2-tuned     with larger batches, fetches and buffers (benches/peers)
                        franz-go      a loop on the franz-go client (benches/peers/franz-go)
                        relay         a bare TCP relay that moves as many bytes
                        fetch-only    the source's batches, fetched and thrown away
                        produce-only  the same batches, produced from memory
  --vs CMD            a replicator of yours, run by `sh -c` with this in its environment:
                        FROM, TO      bootstrap servers of source and target
                        TOPIC         what to copy, to a topic of the same name
                        PARTITIONS    how many it has
                        RECORDS       how many there are to copy; 0 where that is not known
                        COMPRESSION   none, or the codec of its batches
                        FOLLOW        1 where it is to go on after them (latency), else not set
                        CA_FILE       the authority that signed the brokers' certificates where both speak TLS, else
                                      not set; no load asks that of it yet: tls leaves it out
                      ended (SIGTERM, then SIGKILL) when the target holds all records, or with FOLLOW when all is measured
  --seconds S         how long latency is measured [{SECONDS}]
  --partitions N,N    how many the topic of the load far has, one after the other [{far_partitions}]
  --keep              leave the clusters running in the end, until Enter or Ctrl-C
  --write             put the results into BENCHMARKS.md and benches/chart.svg

columns:
  MB/s                payload per second from the first record on the target to the last
  CPU-s/GiB           user and system time of the whole process up to the last record, per GiB of payload
  copied              bytes of batches copied per byte that was moved, as the program says in the end; – where it does not:
                      from kernel to process and from process to kernel count one each, so do copies within the process;
                      those that TLS makes do not count; what splice(2) moves is not copied; what is fetched twice counts
                      twice
  peak RSS            the most memory that was resident at once
  first record        from the start of the process until the first record is on the target
  MB/s with its start payload per second from the start of the process
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<BenchOptions, Failure> {
        BenchOptions::parse(Arguments::new(line.split_whitespace().map(str::to_owned).collect()))
    }

    #[test]
    fn loads_and_contenders_are_chosen_by_name() {
        let options = parsed("small-1 plain --against relay,franz-go --rounds 3 --scale=0.1").unwrap();
        let names: Vec<&str> = options.loads.iter().map(Load::name).collect();
        assert_eq!(names, ["plain", "small-1"]);
        assert_eq!(options.against, ["franz-go", "relay"]);
        assert_eq!((options.rounds, options.scaled(50)), (3, 5));
        assert_eq!(parsed("far --partitions 256,4").unwrap().far_partitions, [256, 4]);
        assert_eq!(parsed("--against none").unwrap().against, Vec::<&str>::new());
        assert_eq!(parsed("").unwrap().loads.len(), Load::all().len());
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (line, expected) in [
            ("plainer", "there is no load \"plainer\"; there are plain, "),
            ("--against nobody", "knows no \"nobody\"; it knows adaptive, mm2"),
            ("--rounds 0", "at least one round"),
            ("--scale 0", "--scale is between"),
            ("--partitions 4,0", "--partitions takes numbers"),
            ("--what", "\"--what\" is not understood"),
        ] {
            let Err(Failure::Usage(message)) = parsed(line) else { panic!("{line} was taken") };
            assert!(message.contains(expected), "{line}: {message}");
        }
    }
}
