//! What there is to run: one cargo command builds every test program and the product, and says where they are.
//!
//! It is one command for the whole workspace, because every other set of packages would be another set of features, and so another
//! build of most dependencies.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::Failure;
use super::super::process::{cargo, shown};

/// A program with tests in it.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// What its tests are called by: the package without `verbatim-`, or the name of the test program.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// The directory that cargo would run it in.
    pub(super) directory: PathBuf,
}

/// What was built.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) programs: Vec<Program>,
    /// The product itself, for the tests that run it as its user does.
    pub(super) product: Option<PathBuf>,
}

/// Builds everything; `None` where it does not build, which cargo has then explained.
pub(super) fn build() -> Result<Option<Built>, Failure> {
    let mut command = cargo();
    command.args(["build", "--locked", "--workspace", "--lib", "--bins", "--tests"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    println!("+ {}", shown(&command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let doing = "run cargo build";
    let mut child = command.spawn().map_err(Failure::while_doing(doing))?;
    let mut built = Built::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            built.note(&line.map_err(Failure::while_doing(doing))?);
        }
    }
    let succeeded = child.wait().map_err(Failure::while_doing(doing))?.success();
    built.programs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(succeeded.then_some(built))
}

impl Built {
    /// Takes note of a line of cargo's: one artifact, whose fields come in an order that cargo keeps.
    fn note(&mut self, line: &str) {
        let Some(path) = text_after(line, "\"executable\":\"") else { return };
        let Some(manifest) = text_after(line, "\"manifest_path\":\"") else { return };
        let Some((_, target)) = line.split_once("\"target\":{") else { return };
        let (Some(kind), Some(name)) =
            (text_after(target, "\"kind\":[\""), text_after(target, "\"name\":\""))
        else {
            return;
        };
        let directory = Path::new(manifest).parent().unwrap_or(Path::new(".")).to_path_buf();
        if !line.contains("\"test\":true},\"features\"") {
            if name == "verbatim" && kind == "bin" {
                self.product = Some(PathBuf::from(path));
            }
            return;
        }
        let name = match kind {
            "test" => name.to_owned(),
            // The library and the program of one package may be called the same.
            "bin" => format!("{}-program", name.trim_start_matches("verbatim-")),
            _ => name.trim_start_matches("verbatim_").to_owned(),
        };
        self.programs.push(Program { name, path: PathBuf::from(path), directory });
    }
}

/// What stands between `before` and the next quotation mark. Paths of ours have none in them.
fn text_after<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    line.split_once(before)?.1.split('"').next()
}

impl Program {
    /// The names of its tests.
    pub(super) fn tests(&self) -> Result<Vec<String>, Failure> {
        let doing = || format!("list the tests of {}", self.path.display());
        let listed = self.command().arg("--list").output().map_err(Failure::while_doing(doing()))?;
        if !listed.status.success() {
            return Err(Failure::Failed(format!("cannot {}: it ended with {}", doing(), listed.status)));
        }
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        Ok(text.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect())
    }

    /// A command that runs it as cargo would.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.directory).env("CARGO_MANIFEST_DIR", &self.directory);
        command.stdin(Stdio::null());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_read_as_cargo_writes_it() {
        let line = |kind: &str, name: &str, test: bool| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"package_id\":\"p\",\"manifest_path\":\"/w/tests/Cargo.toml\",\"target\":{{\"kind\":[\"{kind}\"],\
                 \"crate_types\":[\"bin\"],\"name\":\"{name}\",\"src_path\":\"/w/x.rs\",\"edition\":\"2024\"}},\"profile\":{{\"opt_level\":\"0\",\
                 \"test\":{test}}},\"features\":[],\"filenames\":[\"/t/x\"],\"executable\":\"/t/{name}-1\",\"fresh\":false}}"
            )
        };
        let mut built = Built::default();
        built.note(&line("test", "scenarios", true));
        built.note(&line("lib", "verbatim_wire", true));
        built.note(&line("bin", "verbatim", true));
        built.note(&line("bin", "verbatim", false));
        built.note("{\"reason\":\"compiler-artifact\",\"executable\":null}");
        let names: Vec<&str> = built.programs.iter().map(|program| program.name.as_str()).collect();
        assert_eq!(names, ["scenarios", "wire", "verbatim-program"]);
        assert_eq!(built.product.as_deref(), Some(Path::new("/t/verbatim-1")));
        assert_eq!(
            built.programs.first().map(|found| found.directory.as_path()),
            Some(Path::new("/w/tests"))
        );
    }
}
