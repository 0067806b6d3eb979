//! Figures as Markdown.

use super::run::Figures;
use std::fmt::Write;

/// All runs of one contender.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) is_replicator: bool,
    pub(super) runs: Vec<Figures>,
    /// Why runs are missing.
    pub(super) failure: Option<String>,
}

/// The middle of several values, and the smallest and largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

impl Spread {
    /// Of no values there is none.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let (low, high) = (values.get((values.len() - 1) / 2)?, values.get(values.len() / 2)?);
        Some(Self { least, median: f64::midpoint(*low, *high), most })
    }

    /// Such as `772 (435 to 1191)`.
    pub(super) fn shown(&self) -> String {
        let Self { least, median, most } = self;
        let digits = digits(*median);
        if (most - least).abs() < f64::EPSILON {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

/// Decimals that are worth showing of a value.
pub(super) fn digits(value: f64) -> usize {
    match value.abs() {
        0.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    }
}

pub(super) fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| spread.shown())
}

impl Row {
    pub(super) fn spread(&self, value: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(value))
    }

    /// Median of the throughput, in MB/s.
    pub(super) fn rate(&self) -> Option<f64> {
        self.spread(|run| Some(run.megabytes_per_second)).map(|spread| spread.median)
    }

    /// Median of the CPU seconds per GiB.
    pub(super) fn cpu(&self) -> Option<f64> {
        self.spread(|run| Some(run.cpu_seconds_per_gib)).map(|spread| spread.median)
    }
}

/// The table of a load.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = "| what | MB/s | CPU-s/GiB | copied, bytes per byte | peak RSS, MiB | first record, ms | MB/s with its start |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let column = |value: &dyn Fn(&Figures) -> Option<f64>| shown(row.spread(value));
        let of_replicators = |value: f64| row.is_replicator.then_some(value);
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            row.name,
            column(&|run| Some(run.megabytes_per_second)),
            column(&|run| Some(run.cpu_seconds_per_gib)),
            column(&|run| run.copied_per_byte),
            column(&|run| run.peak_rss_mib),
            column(&|run| of_replicators(run.first_seconds * 1000.0)),
            column(&|run| of_replicators(run.megabytes_per_second_overall)),
        );
    }
    for row in rows {
        if let Some(failure) = &row.failure {
            let reason = failure.lines().next().unwrap_or_default();
            let _ = writeln!(text, "\n`{}` failed: {reason}", row.name);
        }
    }
    text
}

/// What each way of verbatim's is to `peers`, in a sentence a line.
pub(super) fn ratios(rows: &[Row], peers: &[&str]) -> String {
    let mut text = String::new();
    for own in rows.iter().filter(|row| ["verbatim", "adaptive"].contains(&row.name.as_str())) {
        let mut parts = Vec::new();
        for peer in rows.iter().filter(|row| peers.contains(&row.name.as_str())) {
            let (Some(rate), Some(peer_rate)) = (own.rate(), peer.rate()) else { continue };
            let (Some(cpu), Some(peer_cpu)) = (own.cpu(), peer.cpu()) else { continue };
            parts.push(format!(
                "{} × the throughput of `{}` at {} × its CPU per byte",
                ratio(rate, peer_rate),
                peer.name,
                ratio(cpu, peer_cpu)
            ));
        }
        if !parts.is_empty() {
            let _ = writeln!(text, "\n`{}`: {}.", own.name, parts.join("; "));
        }
    }
    text
}

/// `a / b` with three digits.
pub(super) fn ratio(a: f64, b: f64) -> String {
    if b <= 0.0 {
        return "–".to_owned();
    }
    let ratio = a / b;
    let digits = digits(ratio);
    format!("{ratio:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_and_its_bounds() {
        let spread = Spread::of([5.0, 1.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { least: 1.0, median: 3.0, most: 5.0 });
        assert_eq!(spread.shown(), "3.00 (1.00 to 5.00)");
        assert_eq!(Spread::of([1.0, 3.0]).unwrap().shown(), "2.00 (1.00 to 3.00)");
        assert_eq!(Spread::of([772.4]).unwrap().shown(), "772");
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn what_a_program_does_not_say_is_left_open() {
        let row = |name: &str, said: &[Option<f64>]| Row {
            name: name.to_owned(),
            is_replicator: false,
            runs: said.iter().map(|said| Figures { copied_per_byte: *said, ..Figures::default() }).collect(),
            failure: None,
        };
        let text =
            table(&[row("verbatim", &[Some(0.02), Some(0.05), Some(0.03)]), row("franz-go", &[None, None])]);
        let columns: Vec<&str> = text.lines().filter_map(|line| line.split(" | ").nth(3)).collect();
        assert_eq!(columns, ["copied, bytes per byte", "0.03 (0.02 to 0.05)", "–"]);
    }

    #[test]
    fn ratios_name_only_who_ran() {
        let run = |rate, cpu| Figures {
            megabytes_per_second: rate,
            cpu_seconds_per_gib: cpu,
            ..Figures::default()
        };
        let row = |name: &str, figures| Row {
            name: name.to_owned(),
            is_replicator: true,
            runs: vec![figures],
            failure: None,
        };
        let rows = [row("verbatim", run(800.0, 0.25)), row("franz-go", run(400.0, 2.5))];
        let text = ratios(&rows, &["franz-go", "relay"]);
        assert_eq!(
            text.trim(),
            "`verbatim`: 2.00 × the throughput of `franz-go` at 0.10 × its CPU per byte."
        );
    }
}
