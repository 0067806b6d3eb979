//! Results written into BENCHMARKS.md, each between the two comments that name it.

use std::fs;
use xtask::command::{Failure, workspace};

/// Puts the text of each name between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`; one that has no such place yet gets
/// one at the end, under a heading.
pub(super) fn write(results: &[(&str, String)]) -> Result<(), Failure> {
    let path = workspace().join("BENCHMARKS.md");
    let doing = || format!("write {}", path.display());
    let mut document = fs::read_to_string(&path).map_err(Failure::while_doing(doing()))?;
    for (name, text) in results {
        document = placed(&document, name, text)?;
    }
    fs::write(&path, document).map_err(Failure::while_doing(doing()))
}

fn placed(document: &str, name: &str, text: &str) -> Result<String, Failure> {
    let (begin, end) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let text = text.trim();
    let place = (document.find(&begin), document.find(&end));
    match place {
        (Some(from), Some(to)) if from < to => {
            let (before, after) = (document.get(..from), document.get(to..));
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            Ok(format!("{before}{begin}\n{text}\n{after}"))
        }
        (None, None) => Ok(format!("{}\n\n## {name}\n\n{begin}\n{text}\n{end}\n", document.trim_end())),
        _ => {
            Err(Failure::Failed(format!("BENCHMARKS.md has one of the comments of {name} without the other")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_replaces_the_one_before() {
        let document = "# Title\n\n<!-- bench:plain -->\nold\n<!-- /bench:plain -->\n\nrest\n";
        let new = placed(document, "plain", "new\n\n").unwrap();
        assert_eq!(new, "# Title\n\n<!-- bench:plain -->\nnew\n<!-- /bench:plain -->\n\nrest\n");
        assert_eq!(placed(&new, "plain", "new").unwrap(), new);
    }

    #[test]
    fn a_result_without_a_place_gets_one() {
        let new = placed("# Title\n", "far", "text").unwrap();
        assert_eq!(new, "# Title\n\n## far\n\n<!-- bench:far -->\ntext\n<!-- /bench:far -->\n");
    }

    #[test]
    fn half_a_place_is_an_error() {
        assert!(placed("<!-- bench:far -->\n", "far", "text").is_err());
        assert!(placed("<!-- /bench:far -->\n<!-- bench:far -->\n", "far", "text").is_err());
    }
}
