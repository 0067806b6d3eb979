//! The file of accepted counts: `stage = instructions`, a line each, as TOML.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What stands at the head of the file.
const HEAD: &str = "\
# Instructions that one operation of each hot stage may cost, as counted by `cargo xtask instructions`.
# Written by `cargo xtask instructions --accept`: look at the differences, then commit them with the change that made them.

[instructions]
";

/// Accepted counts by the names of stages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted(BTreeMap<String, u64>);

impl Accepted {
    /// Reads the file's text; the error names the line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut counts = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() || line == "[instructions]" {
                continue;
            }
            let entry = line.split_once('=').and_then(|(name, count)| {
                Some((name.trim().to_owned(), count.trim().replace('_', "").parse().ok()?))
            });
            let (name, count) = entry.ok_or_else(|| format!("line {}: not STAGE = COUNT", number + 1))?;
            if counts.insert(name, count).is_some() {
                return Err(format!("line {}: a stage named twice", number + 1));
            }
        }
        Ok(Self(counts))
    }

    /// The file's text for `counts`, in their order.
    pub(super) fn text(counts: &[(String, u64)]) -> String {
        let mut text = HEAD.to_owned();
        for (name, count) in counts {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} = {count}");
        }
        text
    }

    /// What `stage` may cost.
    pub(super) fn of(&self, stage: &str) -> Option<u64> {
        self.0.get(stage).copied()
    }

    /// Names that are not among `stages`.
    pub(super) fn besides(&self, stages: &[(String, u64)]) -> Vec<&str> {
        let is_gone = |name: &&String| stages.iter().all(|(known, _)| known != *name);
        self.0.keys().filter(is_gone).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let counts = [("walk-64".to_owned(), 12_345), ("crc-move".to_owned(), 7)];
        let read = Accepted::parse(&Accepted::text(&counts)).unwrap();
        assert_eq!(
            (read.of("walk-64"), read.of("crc-move"), read.of("other")),
            (Some(12_345), Some(7), None)
        );
        assert_eq!(read.besides(&counts[..1]), ["crc-move"]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(Accepted::parse("walk = many").unwrap_err().starts_with("line 1"));
        assert!(Accepted::parse("# fine\n\nwalk 5").unwrap_err().starts_with("line 3"));
        assert!(Accepted::parse("walk = 5\nwalk = 6").unwrap_err().contains("twice"));
    }
}
