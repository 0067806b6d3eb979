//! `cargo xtask dist`: the static binary, and the proof that it is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::arguments::Arguments;
use super::process::{cargo, output, run as run_command};
use super::{Failure, workspace};
use crate::elf;
use crate::kafka::{find_program, target_directory};

const DEFAULT_TARGET: &str = "x86_64-unknown-linux-musl";

pub(super) fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let target = arguments.value("--target")?.unwrap_or_else(|| DEFAULT_TARGET.to_owned());
    arguments.nothing()?;
    require_target(&target)?;
    require_musl_compiler(&target)?;
    run_command(cargo().args([
        "build",
        "--profile",
        "dist",
        "--locked",
        "--package",
        "verbatim",
        "--target",
        &target,
    ]))?;

    let built = target_directory().join(&target).join("dist/verbatim");
    let dist = workspace().join("dist");
    let binary = dist.join(format!("verbatim-{}-{target}", env!("CARGO_PKG_VERSION")));
    fs::create_dir_all(&dist).map_err(Failure::while_doing("create dist/"))?;
    // Not over a file that may be running.
    let _ = fs::remove_file(&binary);
    fs::copy(&built, &binary).map_err(Failure::while_doing(format!("copy {}", built.display())))?;

    let content = fs::read(&binary).map_err(Failure::while_doing(format!("read {}", binary.display())))?;
    let needs = elf::needs(&content).map_err(Failure::while_doing("read the ELF headers"))?;
    if !needs.is_static() {
        let linker = if needs.interpreter { "a dynamic linker and " } else { "" };
        let libraries = needs.libraries;
        return Err(Failure::Failed(format!("the binary needs {linker}{libraries} shared libraries")));
    }
    println!("static: it names no interpreter (PT_INTERP) and no shared library (DT_NEEDED)");
    match run_in_empty_root(&binary)? {
        Some(printed) => println!("runs in an empty root directory: {printed}"),
        None => println!("not run in an empty root directory: neither chroot nor unshare is permitted here"),
    }
    let mib = content.len() as f64 / f64::from(1 << 20);
    println!("{} ({mib:.1} MiB)", binary.strip_prefix(workspace()).unwrap_or(&binary).display());
    Ok(())
}

/// The standard library for `target`, installed through rustup when missing.
pub(super) fn require_target(target: &str) -> Result<(), Failure> {
    let installed =
        output(Command::new("rustup").args(["target", "list", "--installed"]).current_dir(workspace()))
            .map(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line == target));
    match installed {
        Some(true) => Ok(()),
        Some(false) => {
            println!("the Rust target {target} is missing: installing it");
            run_command(Command::new("rustup").args(["target", "add", target]).current_dir(workspace()))
        }
        // No rustup: the toolchain comes from elsewhere and either has the target, or cargo says so.
        None => Ok(()),
    }
}

/// The C compiler for musl, which the C parts of the dependencies need; from Debian's `musl-tools` when missing.
pub(super) fn require_musl_compiler(target: &str) -> Result<(), Failure> {
    if !target.ends_with("-musl") || find_program("musl-gcc").is_some() {
        return Ok(());
    }
    println!("musl-gcc is missing: installing the package musl-tools");
    let apt = || Command::new("apt-get");
    if find_program("apt-get").is_none() {
        return Err(Failure::Failed("musl-gcc is missing: install musl's C compiler wrapper".to_owned()));
    }
    // Only if the package is not known yet: the lists may be fresh, and fetching them is slow.
    if output(apt().args(["install", "-y", "-q", "musl-tools"])).is_none() {
        run_command(apt().args(["update", "-q"]))?;
        run_command(apt().args(["install", "-y", "-q", "musl-tools"]))?;
    }
    Ok(())
}

/// Runs `verbatim --version` where there is nothing else to load; `None` where this user may not do that.
fn run_in_empty_root(binary: &Path) -> Result<Option<String>, Failure> {
    let root = EmptyRoot::new()?;
    fs::copy(binary, root.0.join("verbatim")).map_err(Failure::while_doing("copy the binary"))?;
    let permitted = |prefix: &[&str]| -> Option<Command> {
        let (program, arguments) = prefix.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).arg(&root.0).arg("/verbatim");
        Some(command)
    };
    for prefix in [&["chroot"][..], &["unshare", "--user", "--map-root-user", "chroot"][..]] {
        let Some(mut command) = permitted(prefix) else { continue };
        let Ok(result) = command.arg("--version").output() else { continue };
        let said = String::from_utf8_lossy(&result.stderr).into_owned();
        if result.status.success() {
            let printed = String::from_utf8_lossy(&result.stdout).trim().to_owned();
            if !printed.contains(env!("CARGO_PKG_VERSION")) {
                let message = format!("verbatim --version prints {printed:?}, which is not the version");
                return Err(Failure::Failed(message));
            }
            return Ok(Some(printed));
        }
        if !["Operation not permitted", "Permission denied"].iter().any(|refusal| said.contains(refusal)) {
            return Err(Failure::Failed(format!(
                "the binary fails in an empty root directory: {}",
                said.trim()
            )));
        }
    }
    Ok(None)
}

/// A directory with nothing in it, removed in the end.
struct EmptyRoot(PathBuf);

impl EmptyRoot {
    fn new() -> Result<Self, Failure> {
        let path = target_directory().join(format!("empty-root-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(Failure::while_doing(format!("create {}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for EmptyRoot {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
