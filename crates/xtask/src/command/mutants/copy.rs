//! A second copy of the workspace that is rebuilt as little as possible.

use std::io;
use std::path::Path;
use std::{collections::BTreeSet, fs};

/// What cargo or git put there.
const LEFT_OUT: [&str; 4] = ["target", ".git", "dist", "artifacts"];

/// Makes `to` the same as `from`. Files that are the same already are not touched, so that cargo does not build them again.
pub(super) fn refresh(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let (source, copy) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            refresh(&source, &copy)?;
        } else {
            let content = fs::read(&source)?;
            if fs::read(&copy).ok().as_ref() != Some(&content) {
                fs::write(&copy, content)?;
            }
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if names.contains(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_what_it_is_a_copy_of() -> io::Result<()> {
        let root = crate::kafka::target_directory().join(format!("copy-{}", std::process::id()));
        let (from, to) = (root.join("from"), root.join("to"));
        for folder in ["from/a/b", "from/target"] {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::write(from.join("a/b/c"), "1")?;
        fs::write(from.join("d"), "2")?;
        refresh(&from, &to)?;
        let untouched = fs::metadata(to.join("d"))?.modified()?;
        fs::remove_dir_all(from.join("a/b"))?;
        fs::write(from.join("a/e"), "3")?;
        refresh(&from, &to)?;
        assert_eq!(fs::read_to_string(to.join("a/e"))?, "3");
        assert!(!to.join("a/b").exists() && !to.join("target").exists());
        assert_eq!(fs::metadata(to.join("d"))?.modified()?, untouched);
        fs::remove_dir_all(root)
    }
}
