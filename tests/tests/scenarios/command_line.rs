//! Promise: what is typed wrongly is said, with what to do instead, before any cluster is contacted; and whoever reads the output may
//! go away at any time. Needs no Kafka.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use verbatim_testbroker::TestCluster;
use verbatim_tests::TestResult;
use verbatim_tests::scenario::fill;
use verbatim_tests::verbatim::{PATIENCE, Verbatim, executable};

/// A file of the test's own, removed with it.
struct Config(PathBuf);

impl Config {
    fn new(name: &str, text: &str) -> TestResult<Self> {
        let path = std::env::temp_dir().join(format!("verbatim-{}-{name}", std::process::id()));
        fs::write(&path, text)?;
        Ok(Self(path))
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const FLOWS: &str = "[clusters.a]\nbootstrap = \"a:1\"\n[clusters.b]\nbootstrap = \"b:1\"\n[[flows]]\nfrom = \"a\"\nto = \"b\"\ntopics = [\".*\"]\n";

/// Runs to the end; returns the exit code and what was said on stderr.
fn run(arguments: &[&str], stdout: Stdio) -> TestResult<(Option<i32>, String)> {
    let child = Command::new(executable()?).args(arguments).stdout(stdout).stderr(Stdio::piped()).spawn()?;
    let output = child.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Expects exit code 64, and one line on stderr with all `words` in it.
fn wrong_usage(arguments: &[&str], words: &[&str]) -> TestResult {
    let (code, said) = run(arguments, Stdio::null())?;
    assert_eq!((code, said.lines().count()), (Some(64), 1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    Ok(())
}

/// A pipe that nobody reads.
fn broken() -> TestResult<Stdio> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    Ok(writer.into())
}

/// Two clusters and what it takes to copy `topic` from one to the other.
async fn copy_of(topic: &str) -> TestResult<(TestCluster, TestCluster, Vec<String>)> {
    let source = TestCluster::builder().cluster_id("a").start_tcp().await?;
    let target = TestCluster::builder().cluster_id("b").start_tcp().await?;
    source.create_topic(topic, 1, &[]).map_err(|code| code.to_string())?;
    fill(&source, topic, 0, 20);
    let (from, to) = (source.bootstrap(), target.bootstrap());
    let words = ["run", "--from", &from, "--to", &to, "--topics", topic, "--until-caught-up"];
    let arguments = words.map(str::to_owned).to_vec();
    Ok((source, target, arguments))
}

/// Before it listens for the signal that ends it as any program; from its first request on it ends with a word and 0.
#[test]
fn an_early_ctrl_c_ends_it() -> TestResult {
    for has_connected in [false, true] {
        // Nobody answers: it has something to wait for whenever the signal comes.
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let cluster = silent.local_addr()?.to_string();
        let verbatim = Verbatim::start(&["run", "--from", &cluster, "--to", &cluster, "--topics", "orders"])?;
        let _connection = if has_connected { Some(silent.accept()?) } else { None };
        verbatim.signal("INT")?;
        let ended = verbatim.ended(PATIENCE)?;
        let is_said = ended.complaint() == "verbatim: ended before it began to copy";
        assert!(is_said && ended.code == Some(0) || !has_connected && ended.code.is_none(), "{ended:?}");
    }
    Ok(())
}

#[test]
fn a_reader_who_is_gone_is_no_failure() -> TestResult {
    let flows = Config::new("gone.toml", FLOWS)?;
    assert_eq!(run(&["convert", &flows.path()], broken()?)?, (Some(0), String::new()));
    assert_eq!(run(&["--help"], broken()?)?, (Some(0), String::new()));
    Ok(())
}

/// Topics of a file's flow that cannot be copied are named at the end, and the exit code is 1; the others are copied.
#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_not_copied_are_a_failure() -> TestResult {
    let (source, target, _) = copy_of("t-00").await?;
    let mut rename = String::new();
    for number in 0..13 {
        let topic = format!("t-{number:02}");
        if number > 0 {
            source.create_topic(&topic, 1, &[]).map_err(|code| code.to_string())?;
        }
        rename += &format!("\"{topic}\" = \"same\", ");
    }
    source.create_topic("other", 1, &[]).map_err(|code| code.to_string())?;
    fill(&source, "other", 0, 3);
    let text = FLOWS.replace("a:1", &source.bootstrap()).replace("b:1", &target.bootstrap());
    let flows = Config::new("left-out.toml", &format!("{text}rename = {{ {rename} }}\n"))?;
    let path = flows.path();
    let copy = move || {
        run(&["run", &path, "--until-caught-up"], Stdio::null()).map_err(|error| format!("{error:?}"))
    };
    let (code, said) = tokio::task::spawn_blocking(copy).await??;
    assert_eq!(code, Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    for words in ["verbatim: flow a-b: not copied", "topics t-01, t-02, ", "t-10 and 2 more"] {
        assert!(last.contains(words), "{words:?} is not in {said}");
    }
    assert_eq!(target.log("same", 0).map_err(|code| code.to_string())?.len(), 20);
    assert_eq!(target.log("a.other", 0).map_err(|code| code.to_string())?.len(), 3);
    Ok(())
}

/// Where offsets cannot be preserved is said with the reason, whether the topics were typed or stand in a file.
#[tokio::test(flavor = "multi_thread")]
async fn why_offsets_are_translated() -> TestResult {
    for is_file in [false, true] {
        let (source, target, mut arguments) = copy_of("held").await?;
        target.create_topic("held", 1, &[]).map_err(|code| code.to_string())?;
        fill(&target, "held", 0, 2);
        let text = FLOWS.replace("a:1", &source.bootstrap()).replace("b:1", &target.bootstrap());
        let flows = Config::new("translated.toml", &format!("{text}naming = \"identity\"\n"))?;
        if is_file {
            arguments = ["run", &flows.path(), "--until-caught-up"].map(str::to_owned).to_vec();
        }
        let copy = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&arguments, Stdio::null()).map_err(|error| format!("{error:?}"))
        };
        let (code, said) = tokio::task::spawn_blocking(copy).await??;
        let before = if is_file { "flow a-b: " } else { "" };
        let expected = format!(
            "{before}partition 0 of topic held: offsets are translated, because the target partition already held records"
        );
        assert_eq!((code, said.matches(&expected).count()), (Some(0), 1), "{said}");
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() -> TestResult {
    let flows = Config::new("full.toml", FLOWS)?;
    for arguments in [&["convert", &flows.path()][..], &["--help"], &["demo", "--size", "1"]] {
        let full = File::options().write(true).open("/dev/full")?;
        let (code, said) = run(arguments, full.into())?;
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.starts_with("verbatim: the answer could not be written: "), "{said}");
    }
    Ok(())
}

/// The summary and the log have no readers; the copy is made all the same, and its exit code is that of the copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_nobody_watches() -> TestResult {
    let (_source, target, arguments) = copy_of("unwatched").await?;
    let copy = move || -> Result<Option<i32>, String> {
        let mut command = Command::new(executable().map_err(|error| error.to_string())?);
        let broken = || broken().map_err(|error| format!("{error:?}"));
        command.args(["--log", "trace"]).args(arguments).stdout(broken()?).stderr(broken()?);
        Ok(command.status().map_err(|error| error.to_string())?.code())
    };
    assert_eq!(tokio::task::spawn_blocking(copy).await??, Some(0));
    let copied = target.log("unwatched", 0).map_err(|code| code.to_string())?;
    assert_eq!(copied.len(), 20);
    Ok(())
}

/// Options that would have had no effect. The addresses are nobody's: to contact them would be exit code 1.
#[test]
fn options_without_effect_are_refused() -> TestResult {
    let run = |more: &[&str], words: &[&str]| -> TestResult {
        let arguments = ["run", "--from", "no-such-host.invalid:1", "--to", "no-such-host.invalid:2"];
        wrong_usage(&[&arguments[..], &["--topics", "t"], more].concat(), words)
    };
    run(&["--takeover"], &["--takeover", "verbatim run FILE --takeover"])?;
    run(&["--flows", "x"], &["--flows", "verbatim run FILE --flows"])?;
    run(&["--from-ca-file", "ca.pem"], &["--from-ca-file ca.pem", "write tls://no-such-host.invalid:1"])?;
    run(&["--to-ca-file", "ca.pem"], &["--to-ca-file ca.pem", "write tls://no-such-host.invalid:2"])?;
    let create = ["topic", "create", "t", "--partitions", "1", "--at", "no-such-host.invalid:1"];
    wrong_usage(&[&create[..], &["--ca-file", "ca.pem"]].concat(), &["write tls://no-such-host.invalid:1"])
}
