//! Promise: where a right is missing, what works goes on, and what does not is said once, with the ACL to add.

use std::fs;

use verbatim_tests::TestResult;
use verbatim_tests::java::Programs;
use verbatim_tests::kafka::{self, TemporaryDirectory};
use verbatim_tests::oracle::{Acl, AclResource, BatchBuilder, Client, NewTopic, Operation};
use verbatim_tests::verbatim::{PATIENCE, Verbatim};
use verbatim_tests::waiting::wait_until;
use verbatim_tests::workload::now_ms;
use xtask::kafka::Options;

#[test]
fn what_works_goes_on() -> TestResult {
    let Some(distribution) = kafka::distribution()? else { return Ok(()) };
    let guarded = |name: &str| {
        Options::new(name)
            .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .property("allow.everyone.if.no.acl.found", "true")
    };
    let clusters = kafka::start_two(&distribution, guarded("rights-source"), guarded("rights-target"))?;
    let (source, target) = (clusters.source.bootstrap(), clusters.target.bootstrap());
    let programs = Programs::compile(&distribution)?;
    let (mut at_source, mut at_target) = (Client::new(&source), Client::new(&target));
    let hello = BatchBuilder::new().key_value(now_ms(), b"hello", b"world").build();
    for topic in ["plain", "secretive", "uncreatable"] {
        at_source.create_topic(&NewTopic::new(topic, 1).config("retention.ms", "86400000"))?;
        at_source.produce(topic, 0, &hello)?;
    }
    let all_but = |denied| {
        let acl = |operation, allow| Acl { resource: AclResource::Cluster, operation, allow };
        [acl(Operation::All, true), acl(denied, false)]
    };
    // Not to be seen on the source: the configs of one topic, and all ACLs. Not to be created on the target: one topic.
    programs.acls(
        &source,
        &["User:* secretive LITERAL DESCRIBE_CONFIGS DENY", "User:* secretive LITERAL READ ALLOW"],
        &[],
    )?;
    programs.acls(&target, &["User:* a.uncreatable LITERAL CREATE DENY"], &[])?;
    at_source.create_acls(&all_but(Operation::Describe))?;
    at_target.create_acls(&all_but(Operation::Create))?;

    let folder = TemporaryDirectory::new("rights")?;
    let path = folder.path().join("flows.toml");
    let text = format!(
        "[clusters.a]\nbootstrap = \"{source}\"\n[clusters.b]\nbootstrap = \"{target}\"\n[[flows]]\nfrom = \"a\"\nto = \"b\"\n\
         topics = [\".*\"]\nrefresh_topics = \"1s\"\nsync_configs = \"1s\"\nsync_acls = \"1s\"\nsync_groups = \"1s\"\nheartbeats = \"1s\"\n"
    );
    fs::write(&path, text)?;
    let mut verbatim = Verbatim::start(&["run", &path.display().to_string()])?;
    let said = [
        "topic secretive is created with the target's defaults, because its configs cannot be read: source cluster: describe \
         configs of topic secretive: TOPIC_AUTHORIZATION_FAILED (29)",
        "grant DESCRIBE_CONFIGS on the topic to verbatim's principal",
        "not copied: target cluster: create topic a.uncreatable: TOPIC_AUTHORIZATION_FAILED (29)",
        "grant CREATE on the topic or the cluster to verbatim's principal",
        "ACLs are not carried over: source cluster: describe the ACLs of topics: CLUSTER_AUTHORIZATION_FAILED (31)",
        "grant DESCRIBE on the cluster to verbatim's principal",
        "configs of topic secretive are not kept up to date",
    ];
    for line in said {
        verbatim.logs(line)?;
    }
    for topic in ["a.plain", "a.secretive"] {
        wait_until(&format!("{topic} to be copied"), PATIENCE, || {
            Ok(at_target.topics()?.iter().any(|found| found == topic) && at_target.end(topic, 0)? == 1)
        })?;
    }
    // Long enough for all of it to be tried again.
    std::thread::sleep(std::time::Duration::from_secs(4));
    at_source.produce("plain", 0, &hello)?;
    wait_until("the copy to go on", PATIENCE, || Ok(at_target.end("a.plain", 0)? == 2))?;

    // The right is given: the topic is taken up.
    programs.acls(&target, &[], &["User:* a.uncreatable LITERAL CREATE DENY"])?;
    wait_until("the topic to be created", PATIENCE, || {
        Ok(at_target.topics()?.iter().any(|found| found == "a.uncreatable")
            && at_target.end("a.uncreatable", 0)? == 1)
    })?;
    verbatim.signal("INT")?;
    let ended = verbatim.ended(PATIENCE)?.expect(0)?;
    for line in said {
        let times = ended.stderr.matches(line).count();
        let expected = if line.starts_with("grant DESCRIBE_CONFIGS") { 2 } else { 1 };
        assert!((1..=expected).contains(&times), "{times} times {line:?}:\n{}", ended.stderr);
    }
    Ok(())
}
