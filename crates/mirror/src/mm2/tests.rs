use crate::config::Setup;
use crate::config::reader::Found;
use crate::naming::Naming;
use std::time::Duration;
use verbatim_pipeline::Isolation;

fn read(text: &str) -> Found {
    let mut found = super::read(text.as_bytes());
    found.check();
    found
}

fn setup(text: &str) -> Setup {
    let found = read(text);
    assert_eq!(found.errors, [], "{text}");
    found.setup
}

fn said(problems: &[crate::config::Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

const TWO: &str = "clusters = A, B\nA.bootstrap.servers = a:9092\nB.bootstrap.servers = b:9092, c:9092\n";

#[test]
fn a_pair_has_two_flows_and_the_other_only_beats() {
    let setup = setup(&format!("{TWO}A->B.enabled = true\nA->B.topics = orders, x\\\\.y"));
    assert_eq!(setup.clusters.get("B").unwrap().bootstrap, "b:9092,c:9092");
    let [there, back] = &setup.flows[..] else { panic!("{setup:?}") };
    assert!(there.is_enabled && !back.is_enabled);
    assert_eq!((&*there.name, &*back.name), ("A-B", "B-A"));
    assert_eq!(there.topics, ["orders", r"x\.y"]);
    assert_eq!(there.isolation, Isolation::ReadUncommitted);
    assert_eq!(there.replication_factor, Some(2));
    assert_eq!(there.groups.interval, None, "sync.group.offsets.enabled is false by default");
    for flow in [there, back] {
        assert_eq!(flow.beacons.heartbeats, Some(Duration::from_secs(1)));
    }
}

#[test]
fn a_flow_with_nothing_to_do_is_not_there() {
    let setup =
        setup(&format!("{TWO}A->B.enabled = TRUE\nemit.heartbeats.enabled = false\nB->A.enabled = true \n"));
    let [flow] = &setup.flows[..] else { panic!("{setup:?}") };
    assert_eq!((&*flow.name, flow.beacons.heartbeats), ("A-B", None));
}

#[test]
fn keys_of_a_flow_come_before_those_of_all() {
    let setup = setup(&format!(
        "{TWO}A->B.enabled = true\nB->A.enabled = true\ntopics = all.*\nB->A.topics = back\nreplication.policy.separator = _\n\
         B->A.replication.policy.class = org.apache.kafka.connect.mirror.IdentityReplicationPolicy\n\
         sync.group.offsets.enabled = true\nsync.group.offsets.interval.seconds = 7\nA->B.sync.topic.configs.enabled = false\n\
         A.consumer.isolation.level = read_committed\nB.consumer.auto.offset.reset = latest\n\
         use.defaults.from = source\nreplication.factor = -1"
    ));
    let [there, back] = &setup.flows[..] else { panic!("{setup:?}") };
    assert_eq!((&there.topics[..], &back.topics[..]), (&["all.*".to_owned()][..], &["back".to_owned()][..]));
    assert_eq!(there.naming, Naming::Prefix { separator: "_".to_owned() });
    assert_eq!(back.naming, Naming::Identity { separator: "_".to_owned() });
    assert_eq!(there.groups.interval, Some(Duration::from_secs(7)));
    assert_eq!((there.configs.interval, back.configs.interval.is_some()), (None, true));
    assert_eq!((there.isolation, back.isolation), (Isolation::ReadCommitted, Isolation::ReadUncommitted));
    assert_eq!((there.start.len(), &back.start[..]), (0, &["latest".to_owned()][..]));
    assert!(there.configs.use_source_defaults);
    assert_eq!(there.replication_factor, Some(-1), "the default of the target");
}

/// As MirrorMaker 2: whether there is a flow is asked of the values as they stand, what it does of the trimmed ones, which a key for all
/// flows may give as well.
#[test]
fn the_flows_that_mirror_maker_would_run_are_run() {
    for (keys, expected) in [
        ("A->B.enabled = true ", &[("A-B", true), ("B-A", false)][..]),
        ("A->B.enabled = true \nemit.heartbeats.enabled = false\nB->A.enabled = true", &[("B-A", true)]),
        ("enabled = true", &[("A-B", true), ("B-A", true)]),
        ("enabled = true\nB->A.enabled = false", &[("A-B", true), ("B-A", false)]),
        ("A->B.enabled = true\r\nemit.heartbeats.enabled = false\r\n", &[("A-B", true)]),
    ] {
        let setup = setup(&format!("{TWO}{keys}"));
        let found: Vec<(&str, bool)> =
            setup.flows.iter().map(|flow| (&*flow.name, flow.is_enabled)).collect();
        assert_eq!(found, expected, "{keys}");
    }
    let blank = format!("{TWO}emit.heartbeats.enabled = false\nB->A.enabled = true\nA->B.enabled = true ");
    let warnings = said(&read(&blank).warnings);
    assert!(
        warnings.iter().any(|warning| warning.contains("line 6") && warning.contains("without a blank")),
        "{warnings:?}"
    );
    let beats = setup(&format!("{TWO}A->B.enabled = true\nA->B.emit.heartbeats.enabled = true "));
    assert!(beats.flows[0].beacons.heartbeats.is_some());
}

#[test]
fn what_would_change_the_records_is_refused() {
    const SMT: &str = "org.apache.kafka.connect.transforms";
    for (keys, said_of) in [
        (
            format!("A->B.transforms = drop\nA->B.transforms.drop.type = {SMT}.Filter"),
            "line 5: A->B.transforms = drop: ",
        ),
        (
            format!("transforms = route\ntransforms.route.type = {SMT}.RegexRouter"),
            "line 5: transforms = route: ",
        ),
        ("A->B.predicates = isTomb".to_owned(), "line 5: A->B.predicates = isTomb: "),
        (
            "value.converter = org.apache.kafka.connect.json.JsonConverter".to_owned(),
            "line 5: value.converter = ",
        ),
        (
            "A.consumer.interceptor.classes = com.acme.Mask".to_owned(),
            "line 5: A.consumer.interceptor.classes = ",
        ),
        ("target.cluster.alias = dr".to_owned(), "line 5: target.cluster.alias = dr: "),
    ] {
        let errors = said(&read(&format!("{TWO}A->B.enabled = true\n{keys}")).errors);
        assert!(errors.len() == 1 || said_of.contains("target"), "{keys}: {errors:?}");
        assert!(errors.first().is_some_and(|error| error.starts_with(said_of)), "{keys}: {errors:?}");
    }
    let bytes = "value.converter = org.apache.kafka.connect.converters.ByteArrayConverter\ntransforms =\n\
                 internal.key.converter = org.apache.kafka.connect.json.JsonConverter";
    setup(&format!("{TWO}A->B.enabled = true\n{bytes}"));
}

/// How names were kept before Kafka 3.0, and names with another alias than the file's.
#[test]
fn aliases_of_connectors_name_the_copies() {
    for (clusters, keys, orders, heartbeats) in [
        (
            ["A", "B"],
            "replication.policy.separator =\nsource.cluster.alias =\ntarget.cluster.alias =",
            "orders",
            "heartbeats",
        ),
        (
            ["source", "target"],
            "replication.policy.separator =\nsource.cluster.alias =\ntarget.cluster.alias =",
            "orders",
            "heartbeats",
        ),
        (["A", "B"], "source.cluster.alias = usdf", "usdf.orders", "usdf.heartbeats"),
        (
            ["A", "B"],
            "A->B.source.cluster.alias = usdf\nreplication.policy.separator = _",
            "usdf_orders",
            "usdf_heartbeats",
        ),
        (["A", "B"], "source.cluster.alias = A", "A.orders", "A.heartbeats"),
    ] {
        let [a, b] = clusters;
        let setup = setup(&format!(
            "clusters = {a}, {b}\n{a}.bootstrap.servers = a:1\n{b}.bootstrap.servers = b:1\n{a}->{b}.enabled = true\n{keys}"
        ));
        let naming = setup.flows[0].topic_naming();
        assert_eq!(
            (&*naming.target_of("orders"), &*naming.target_of("heartbeats")),
            (orders, heartbeats),
            "{keys}"
        );
        let printed = setup.to_string();
        let mut again = crate::config::read_toml(printed.as_bytes());
        again.check();
        assert_eq!(again.errors, [], "{printed}");
        assert_eq!(again.setup, setup, "{printed}");
    }
}

#[test]
fn the_examples_are_read_without_errors() {
    for (name, text, flows) in [
        ("active-active", include_str!("../../examples/active-active.mm2.properties"), 2),
        ("active-passive", include_str!("../../examples/active-passive.mm2.properties"), 2),
        ("identity", include_str!("../../examples/identity.mm2.properties"), 2),
    ] {
        let found = read(text);
        assert_eq!(found.errors, [], "{name}");
        assert_eq!(found.setup.flows.len(), flows, "{name}");
        let printed = found.setup.to_string();
        let mut again = crate::config::read_toml(printed.as_bytes());
        again.check();
        assert_eq!((again.errors, again.warnings), (vec![], vec![]), "{printed}");
        assert_eq!(again.setup, found.setup, "{printed}");
    }
}

#[test]
fn what_has_no_effect_is_named_once_with_its_line() {
    let found = read(&format!(
        "{TWO}A->B.enabled = true\ntasks.max = 10\nA->B.tasks.max = 4\nA->C.topics = x\nmy.own = 1\nA.producer.linger.ms = 5\n\
         offset.lag.max = 1\n"
    ));
    assert_eq!(found.errors, []);
    let warnings = said(&found.warnings);
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    for (warning, begins) in warnings.iter().zip([
        "line 5: tasks.max: without effect",
        "line 6: A->B.tasks.max: without effect",
        "line 7: A->C.topics: without effect: not a flow",
        "line 8: my.own: this key is not known",
        "line 9: A.producer.linger.ms: without effect",
        "line 10: offset.lag.max: without effect",
    ]) {
        assert!(warning.starts_with(begins), "{warning}");
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let found = read(
        "clusters = A, B\nA.bootstrap.servers = a:9092\nA.security.protocol = SASL_SSL\nA->B.enabled = true\n\
         replication.policy.class = com.acme.Policy\ntopics = (\nemit.checkpoints.interval.seconds = soon\n\
         sync.topic.configs.enabled = yes\n",
    );
    let errors = said(&found.errors);
    for part in [
        "B.bootstrap.servers is missing",
        "line 3: A.security.protocol = SASL_SSL is not supported",
        "line 5: replication.policy.class = com.acme.Policy: Java classes are not run. If it names copies by their cluster",
        "`(` is not a regular expression",
        "line 7: emit.checkpoints.interval.seconds: \"soon\" is not a number",
        "line 8: sync.topic.configs.enabled: \"yes\" is neither true nor false",
    ] {
        assert_eq!(
            errors.iter().filter(|error| error.contains(part)).count(),
            if part.starts_with('`') { 2 } else { 1 },
            "{part}: {errors:#?}"
        );
    }
}

#[test]
fn references_to_the_environment_are_resolved() {
    let text = "clusters = A, B\nconfig.providers = env\nconfig.providers.env.class = \
                org.apache.kafka.common.config.provider.EnvVarConfigProvider\nA.bootstrap.servers = ${env:HOME}:1\n\
                B.bootstrap.servers = b:1\nA->B.enabled = true";
    let home = std::env::var("HOME").unwrap();
    let found = super::read(text.as_bytes());
    assert_eq!(found.setup.clusters.get("A").unwrap().bootstrap, format!("{home}:1"));
}
