//! What can be asked of `cargo xtask test` and `cargo xtask simulate`.

use super::super::Failure;
use super::super::arguments::Arguments;

/// How long the simulation of `cargo xtask test` plays, and that of `--all` and `--long`, in seconds.
const PLAIN_S: u64 = 120;
const ALL_S: u64 = 300;

/// How much of what there is runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What tells within minutes whether a change is sound.
    First,
    /// Everything, in its short form: what has to pass before a change lands.
    All,
    /// Everything, in its long form.
    Long,
}

impl Extent {
    /// What it is called where times are kept.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::First => "test",
            Self::All => "test --all",
            Self::Long => "test --long",
        }
    }
}

/// How many schedules are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Simulation {
    length: Length,
    /// Where the first schedule comes from; the clock, if nothing is said.
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Seconds(u64),
    Schedules(u64),
}

impl Simulation {
    fn parse(arguments: &mut Arguments, usual_s: u64) -> Result<Self, Failure> {
        let (seconds, schedules) = (arguments.value("--seconds")?, arguments.value("--schedules")?);
        let length = match (seconds, schedules) {
            (None, None) => Length::Seconds(usual_s),
            (Some(seconds), None) => Length::Seconds(seconds),
            (None, Some(schedules)) => Length::Schedules(schedules),
            (Some(_), Some(_)) => {
                return Err(Failure::Usage("--seconds and --schedules exclude each other".to_owned()));
            }
        };
        Ok(Self { length, seed: arguments.value("--seed")? })
    }

    pub(super) fn described(self) -> String {
        match self.length {
            Length::Seconds(seconds) => format!("{seconds} s of them"),
            Length::Schedules(schedules) => format!("{schedules} of them"),
        }
    }

    /// What tells the simulation, where `left_s` seconds are left for it, if they are counted.
    pub(super) fn environment(self, left_s: Option<u64>) -> Vec<(String, String)> {
        let (name, value) = match self.length {
            Length::Seconds(seconds) => ("VERBATIM_SECONDS", seconds.min(left_s.unwrap_or(seconds))),
            Length::Schedules(schedules) => ("VERBATIM_SCHEDULES", schedules),
        };
        let seed = self.seed.map(|seed| ("VERBATIM_FIRST_SEED".to_owned(), seed.to_string()));
        std::iter::once((name.to_owned(), value.to_string())).chain(seed).collect()
    }
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct TestOptions {
    pub(super) extent: Extent,
    pub(super) without_kafka: bool,
    pub(super) simulation: Simulation,
    /// Seconds that all of it may take; the simulation gets what is left.
    pub(super) budget_s: Option<u64>,
    pub(super) only_simulation: bool,
    pub(super) filter: Option<String>,
}

impl TestOptions {
    pub(super) fn parse(mut arguments: Arguments) -> Result<Self, Failure> {
        let extent = match (arguments.flag("--long"), arguments.flag("--all")) {
            (true, _) => Extent::Long,
            (false, true) => Extent::All,
            (false, false) => Extent::First,
        };
        let without_kafka = arguments.flag("--without-kafka");
        let usual_s = if extent == Extent::First { PLAIN_S } else { ALL_S };
        let simulation = Simulation::parse(&mut arguments, usual_s)?;
        let budget_s = arguments.value("--budget")?;
        let filter = arguments.word()?;
        Ok(Self { extent, without_kafka, simulation, budget_s, only_simulation: false, filter })
    }

    pub(super) fn parse_simulation(mut arguments: Arguments) -> Result<Self, Failure> {
        let simulation = Simulation::parse(&mut arguments, PLAIN_S)?;
        arguments.nothing()?;
        let extent = Extent::First;
        Ok(Self {
            extent,
            without_kafka: true,
            simulation,
            budget_s: None,
            only_simulation: true,
            filter: None,
        })
    }

    /// Whether a test of this program is asked for, by its name.
    pub(super) fn wants(&self, program: &str, test: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| format!("{program}::{test}").contains(filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<TestOptions, Failure> {
        TestOptions::parse(Arguments::new(line.split_whitespace().map(str::to_owned).collect()))
    }

    #[test]
    fn simulations_have_what_is_left_of_a_budget() {
        let all = parsed("--all --budget 4000").unwrap();
        assert_eq!(all.simulation.environment(Some(1000)), [("VERBATIM_SECONDS".into(), "300".into())]);
        assert_eq!(all.simulation.environment(Some(7)), [("VERBATIM_SECONDS".into(), "7".into())]);
        let counted = parsed("--schedules 5 --seed 9").unwrap().simulation.environment(Some(1));
        assert_eq!(
            counted,
            [("VERBATIM_SCHEDULES".into(), "5".into()), ("VERBATIM_FIRST_SEED".into(), "9".into())]
        );
        assert!(matches!(parsed("--schedules 5 --seconds 1"), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_filter_is_for_whole_names() {
        let options = parsed("kafka::copy").unwrap();
        assert!(options.wants("kafka", "copy::every_codec"));
        assert!(!options.wants("scenarios", "copy::every_codec"));
    }
}
