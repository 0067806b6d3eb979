//! A bar chart of one load as SVG: throughput and CPU of each contender, legible on light and on dark.

use super::table::{Row, digits};
use std::fmt::Write;
use std::fs;
use xtask::command::{Failure, workspace};

const WIDTH: f64 = 760.0;
const NAMES_WIDTH: f64 = 110.0;
/// Bars and the figure behind each.
const PANEL_WIDTH: f64 = 320.0;
const FIGURE_WIDTH: f64 = 60.0;
const ROW_HEIGHT: f64 = 26.0;
const TOP: f64 = 58.0;

/// Writes `benches/chart.svg`.
pub(super) fn write(load: &str, rows: &[Row]) -> Result<(), Failure> {
    let path = workspace().join("benches/chart.svg");
    fs::write(&path, svg(load, rows)).map_err(Failure::while_doing(format!("write {}", path.display())))
}

/// References that do a part of the work only are left out: beside them nothing else could be seen.
fn svg(load: &str, rows: &[Row]) -> String {
    let bars: Vec<(&str, f64, f64)> = rows
        .iter()
        .filter(|row| row.is_replicator)
        .filter_map(|row| Some((row.name.as_str(), row.rate()?, row.cpu()?)))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    let height = TOP + ROW_HEIGHT * bars.len() as f64 + 14.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Throughput and CPU of replicators, load {load}\">\n\
         <style>\n\
         text {{ font: 13px system-ui, sans-serif; fill: #24292f; }}\n\
         .title {{ font-weight: 600; }}\n\
         .bar {{ fill: #8c959f; }}\n\
         .own {{ fill: #1a7f37; }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3; }} .bar {{ fill: #6e7681; }} .own {{ fill: #3fb950; }}\n\
         }}\n\
         </style>\n\
         <text class=\"title\" x=\"{NAMES_WIDTH}\" y=\"20\">MB/s (more is better)</text>\n\
         <text class=\"title\" x=\"{}\" y=\"20\">CPU seconds per GiB (less is better)</text>\n\
         <text x=\"{NAMES_WIDTH}\" y=\"40\">load {load}, medians</text>\n",
        NAMES_WIDTH + PANEL_WIDTH
    );
    let most =
        |value: &dyn Fn(&(&str, f64, f64)) -> f64| bars.iter().map(value).fold(0.0, f64::max).max(1e-9);
    let (most_rate, most_cpu) = (most(&|bar| bar.1), most(&|bar| bar.2));
    let mut y = TOP;
    for (name, rate, cpu) in bars {
        let class = if ["verbatim", "adaptive"].contains(&name) { "own" } else { "bar" };
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            NAMES_WIDTH - 8.0,
            y + 13.0
        );
        for (left, value, most) in
            [(NAMES_WIDTH, rate, most_rate), (NAMES_WIDTH + PANEL_WIDTH, cpu, most_cpu)]
        {
            // The smallest bar can still be seen.
            let width = ((PANEL_WIDTH - FIGURE_WIDTH) * value / most).max(1.5);
            let digits = digits(value);
            let _ = writeln!(
                text,
                "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{value:.digits$}</text>",
                left + width + 6.0,
                y + 13.0
            );
        }
        y += ROW_HEIGHT;
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::run::Figures;
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let row = |name: &str, rate: f64, cpu: f64| Row {
            name: name.to_owned(),
            is_replicator: name != "relay",
            runs: vec![Figures {
                megabytes_per_second: rate,
                cpu_seconds_per_gib: cpu,
                ..Figures::default()
            }],
            failure: None,
        };
        let text =
            svg("plain", &[row("verbatim", 800.0, 0.25), row("mm2", 40.0, 25.0), row("relay", 7000.0, 0.1)]);
        assert!(text.contains(">800</text>") && text.contains(">0.25</text>"), "{text}");
        assert!(text.contains("width=\"260.0\"") && text.contains("width=\"13.0\""), "{text}");
        assert!(!text.contains("relay"));
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"));
    }
}
