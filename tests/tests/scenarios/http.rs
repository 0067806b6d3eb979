//! Promise: while it copies, `verbatim run --http` tells programs how that goes, and names every partition whose bytes were not forwarded
//! as they came. Needs no Kafka.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use kafka_protocol::messages::ApiKey;
use tokio::runtime::Runtime;
use verbatim_testbroker::{Control, TestCluster, opaque_batch};
use verbatim_tests::TestResult;
use verbatim_tests::kafka::TemporaryDirectory;
use verbatim_tests::scenario::{fill, now_ms};
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;

/// Two clusters.
struct Field {
    source: TestCluster,
    target: TestCluster,
    _runtime: Runtime,
}

impl Field {
    fn new() -> TestResult<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let start = async |id: &str| TestCluster::builder().cluster_id(id).start_tcp().await;
        let (source, target) = (runtime.block_on(start("source"))?, runtime.block_on(start("target"))?);
        Ok(Self { source, target, _runtime: runtime })
    }

    /// A topic of 400 batches, 1,200 records in all, so small that they are merged where a flow may do that.
    fn small(&self, topic: &str) -> TestResult {
        self.source.create_topic(topic, 1, &[]).map_err(|code| code.to_string())?;
        fill(&self.source, topic, 0, 400);
        Ok(())
    }

    /// A topic of five batches that are as large as any.
    fn large(&self, topic: &str) -> TestResult {
        self.source.create_topic(topic, 2, &[]).map_err(|code| code.to_string())?;
        let batch = opaque_batch(vec![1; 60_000].into(), 7, 1).timestamp_ms(now_ms()).build();
        for _ in 0..5 {
            self.source.append(topic, 1, &batch).map_err(|code| code.to_string())?;
        }
        Ok(())
    }

    /// Copies `topics`, with `more` arguments; returns where that can be asked about.
    fn run(&self, topics: &str, more: &[&str]) -> TestResult<(Verbatim, String)> {
        let (from, to) = (self.source.bootstrap(), self.target.bootstrap());
        let arguments = ["run", "--from", &from, "--to", &to, "--topics", topics, "--http", "127.0.0.1:0"];
        let mut running = Verbatim::start(&[&arguments[..], more].concat())?;
        let address = address(&mut running)?;
        Ok((running, address))
    }
}

/// Where the process says that it can be asked.
fn address(running: &mut Verbatim) -> TestResult<String> {
    const BEFORE: &str = "metrics and status: http://";
    running.logs(BEFORE)?;
    let log = running.log();
    let address = log.split_once(BEFORE).and_then(|(_, rest)| rest.lines().next());
    Ok(address.ok_or("no address")?.to_owned())
}

/// The head and the body of an answer.
fn ask(address: &str, method: &str, path: &str) -> TestResult<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of the head")?;
    Ok((head.to_ascii_lowercase(), body.to_owned()))
}

/// Samples by name and labels, in the rules of OpenMetrics: declared before, counters ending in `_total`, and an end.
fn metrics(address: &str) -> TestResult<BTreeMap<String, f64>> {
    let (head, body) = ask(address, "GET", "/metrics")?;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    let body = body.strip_suffix("# EOF\n").ok_or("no end")?;
    let (mut samples, mut declared) = (BTreeMap::new(), String::new());
    for line in body.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or("no kind")?;
            declared = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').ok_or("no value")?;
            assert_eq!(sample.split('{').next(), Some(&*declared), "{line}");
            assert!(samples.insert(sample.to_owned(), value.parse()?).is_none(), "twice: {line}");
        }
    }
    Ok(samples)
}

fn status(address: &str) -> TestResult<serde_json::Value> {
    let (head, body) = ask(address, "GET", "/status")?;
    assert!(head.starts_with("http/1.1 200 ok") && head.contains("content-type: application/json"), "{head}");
    Ok(serde_json::from_str(&body)?)
}

#[test]
fn what_is_told_is_what_is_there() -> TestResult {
    let field = Field::new()?;
    field.small("small")?;
    field.large("large")?;
    let (running, address) = field.run("small,large", &["--batching", "adaptive", "--name", "f"])?;
    let of = |name: &str, topic: &str, partition: i32, more: &str| {
        format!("verbatim_{name}{{flow=\"f\",topic=\"{topic}\",partition=\"{partition}\"{more}}}")
    };
    let is_all = |metrics: &BTreeMap<String, f64>| {
        let has = |topic, partition, records: f64| {
            metrics.get(&of("records_total", topic, partition, "")) == Some(&records)
                && metrics.get(&of("lag_records", topic, partition, "")) == Some(&0.0)
        };
        has("small", 0, 1_200.0) && has("large", 0, 0.0) && has("large", 1, 35.0)
    };
    wait_until("all records to be told of", PATIENCE, || Ok(is_all(&metrics(&address)?)))?;

    let found = metrics(&address)?;
    let value = |key: String| found.get(&key).copied().ok_or(format!("no {key} in {found:?}"));
    let sent = |topic, kind: &str| value(of("batches_total", topic, i32::from(topic == "large"), kind));
    let (verbatim, merged) = (",sent=\"verbatim\"", ",sent=\"merged\"");
    assert!(sent("small", merged)? > 300.0);
    assert_eq!(sent("small", merged)? + sent("small", verbatim)?, 400.0);
    assert_eq!((sent("large", merged)?, sent("large", verbatim)?), (0.0, 5.0));
    for (topic, partition, is_changed) in [("small", 0, 1.0), ("large", 0, 0.0), ("large", 1, 0.0)] {
        assert_eq!(value(of("not_verbatim", topic, partition, ""))?, is_changed, "{topic}");
        assert_eq!(value(of("partition_stopped", topic, partition, ""))?, 0.0);
        let bytes = field.target.log_bytes(topic, partition).map_err(|code| code.to_string())?;
        assert_eq!(value(of("bytes_total", topic, partition, ""))?, bytes as f64, "{topic}");
    }
    assert_eq!(value(of("target_offset", "large", 1, ""))?, 35.0);
    assert_eq!(value("verbatim_flow_up{flow=\"f\"}".to_owned())?, 1.0);
    // Data that stays in the kernel is not copied; its headers are.
    assert!(value("verbatim_copied_bytes_total{flow=\"f\"}".to_owned())? > 1_000.0);

    let status = status(&address)?;
    let flow = &status["flows"][0];
    assert_eq!(
        (&flow["name"], &flow["state"], &flow["lag_records"]),
        (&"f".into(), &"copying".into(), &0.into())
    );
    assert_eq!(flow["not_verbatim"], serde_json::json!([{ "topic": "small", "partition": 0 }]));
    let partitions = flow["partitions"].as_array().ok_or("no partitions")?;
    assert_eq!(partitions.len(), 3);
    for partition in partitions {
        let is_small = partition["topic"] == "small";
        assert_eq!(partition["is_verbatim"], !is_small);
        assert_eq!(partition["offsets"], "preserved");
        assert!(partition["stopped"].is_null());
    }
    running.signal("INT")?;
    let ended = running.ended(PATIENCE)?.expect(0)?;
    assert!(ended.stderr.contains("records went on in new batches in"), "{}", ended.stderr);
    Ok(())
}

/// Of a file's flows one copies and one cannot: its cluster is not there.
#[test]
fn flows_that_fail_are_told_of() -> TestResult {
    let field = Field::new()?;
    field.large("t")?;
    let directory = TemporaryDirectory::new("http")?;
    let path = directory.path().join("flows.toml");
    // Nobody listens on a port that was free a moment ago.
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let text = format!(
        "[clusters.a]\nbootstrap = \"{}\"\n[clusters.b]\nbootstrap = \"{}\"\n[clusters.c]\nbootstrap = \"{nobody}\"\n\
         [[flows]]\nfrom = \"a\"\nto = \"b\"\ntopics = [\"t\"]\n[[flows]]\nfrom = \"a\"\nto = \"c\"\ntopics = [\"t\"]\n",
        field.source.bootstrap(),
        field.target.bootstrap()
    );
    std::fs::write(&path, text)?;
    let mut running = Verbatim::start(&["run", &path.display().to_string(), "--http", "127.0.0.1:0"])?;
    let address = address(&mut running)?;
    wait_until("one flow to copy and one to wait", PATIENCE, || {
        let metrics = metrics(&address)?;
        let records = "verbatim_records_total{flow=\"a-b\",topic=\"t\",partition=\"1\"}";
        let status = status(&address)?;
        let is_waiting = status["flows"][1]["state"] == "waiting";
        Ok(metrics.get(records) == Some(&35.0) && is_waiting)
    })?;
    let found = metrics(&address)?;
    let up = |flow: &str| found.get(&format!("verbatim_flow_up{{flow=\"{flow}\"}}")).copied();
    assert_eq!((up("a-b"), up("a-c")), (Some(1.0), Some(0.0)));
    let status = status(&address)?;
    let why = status["flows"][1]["because"].as_str().ok_or("no reason")?;
    assert!(why.contains(&nobody.to_string()), "{why}");
    assert!(status["flows"][1]["partitions"].is_null());
    Ok(())
}

/// A source that closes every connection does not answer; when it does again, so it says.
#[test]
fn clusters_that_are_away_are_told_of() -> TestResult {
    let field = Field::new()?;
    field.large("t")?;
    let (mut running, address) = field.run("t", &[])?;
    let up = |cluster: &str| -> TestResult<Option<f64>> {
        let key = format!("verbatim_cluster_up{{flow=\"default\",cluster=\"{cluster}\"}}");
        Ok(metrics(&address)?.get(&key).copied())
    };
    wait_until("both to answer", PATIENCE, || Ok((up("source")?, up("target")?) == (Some(1.0), Some(1.0))))?;
    for api in [ApiKey::Metadata, ApiKey::Fetch, ApiKey::ApiVersions] {
        field.source.on(api, |_| Control::Disconnect);
    }
    wait_until("the source to be away", PATIENCE, || Ok(up("source")? == Some(0.0)))?;
    assert_eq!(up("target")?, Some(1.0));
    let told = status(&address)?;
    let flow = &told["flows"][0];
    assert_eq!((&flow["source_answers"], &flow["target_answers"]), (&false.into(), &true.into()));
    field.source.clear_rules();
    wait_until("the source to be back", PATIENCE, || Ok(up("source")? == Some(1.0)))?;
    running.logs("source cluster: it answers again")?;
    let said = running.kill();
    assert_eq!(said.matches("asking for leaders failed").count(), 1, "{said}");
    Ok(())
}

#[test]
fn whoever_asks_wrongly_is_told() -> TestResult {
    let field = Field::new()?;
    field.large("t")?;
    let (_running, address) = field.run("t", &[])?;
    let (head, body) = ask(&address, "GET", "/nowhere")?;
    assert!(head.starts_with("http/1.1 404 ") && body.contains("/metrics"), "{head}\n{body}");
    let (head, body) = ask(&address, "GET", "/")?;
    assert!(head.starts_with("http/1.1 200 ") && body.contains("/status"), "{head}\n{body}");
    let (head, _) = ask(&address, "POST", "/metrics")?;
    assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"), "{head}");
    let (head, body) = ask(&address, "HEAD", "/metrics")?;
    assert!(head.starts_with("http/1.1 200 ") && body.is_empty(), "{head}\n{body}");
    // Clients that say nothing do not keep others out for ever, nor the copy from being made.
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&address)).collect::<Result<_, _>>()?;
    assert_eq!(status(&address)?["flows"][0]["name"], "default");
    drop(silent);

    // The address is taken: said before any cluster is asked.
    let nowhere =
        ["run", "--from", "no-such-host.invalid:1", "--to", "no-such-host.invalid:2", "--topics", "t"];
    let at = |address: &str| Verbatim::run(&[&nowhere[..], &["--http", address]].concat());
    let other = at(&address)?.expect(1)?;
    assert_eq!(other.stderr.lines().count(), 1, "{}", other.stderr);
    assert!(other.complaint().starts_with(&format!("verbatim: --http {address}: ")), "{}", other.stderr);
    let wrong = at("localhost")?.expect(64)?;
    assert!(wrong.stderr.contains("--http"), "{}", wrong.stderr);
    Ok(())
}
