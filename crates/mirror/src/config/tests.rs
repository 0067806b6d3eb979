use super::*;

fn from(name: &str, text: &str) -> Result<(Setup, Vec<Problem>), String> {
    let folder = std::env::temp_dir().join(format!("verbatim-config-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    let read = Setup::read(&path).map_err(|error| error.to_string().replace(&*folder.to_string_lossy(), ""));
    std::fs::remove_dir_all(&folder).unwrap();
    read
}

const TOML: &str = r#"
[clusters.a]
bootstrap = "a:9092,b:9092"

[clusters.b]
bootstrap = "tls://b:9092"
ca_file = "/etc/ca.pem"

[[flows]]
from = "a"
to = "b"
topics = ['orders', 'x\.{1,3}']
naming = "{topic}-of-{source}"
rename = { "old" = "new" }
offsets = "translate"
memory = "64MiB"
start = ["logs=latest"]
sync_groups = "off"
heartbeats = "1s"
"#;

#[test]
fn toml_is_read_and_printed_back() {
    let (setup, warnings) = from("a.toml", TOML).unwrap();
    assert_eq!(warnings, []);
    let [flow] = &setup.flows[..] else { panic!("{setup:?}") };
    assert_eq!(flow.name, "a-b");
    assert_eq!(flow.topics, ["orders", r"x\.{1,3}"]);
    assert_eq!((flow.memory_bytes, flow.groups.interval), (Some(64 << 20), None));
    assert_eq!(flow.topic_naming().target_of("y"), "y-of-a");
    assert_eq!(flow.topic_naming().target_of("old"), "new");
    let printed = setup.to_string();
    let (again, warnings) = from("b.toml", &printed).unwrap();
    assert_eq!((again, warnings), (setup, vec![]), "{printed}");
}

#[test]
fn everything_wrong_is_said_at_once_with_its_line() {
    let text = "[clusters.a]\nbootstrap = \"a\"\nextra = 1\n\n[[flows]]\nfrom = \"a\"\nto = \"c\"\noffsets = \"exact\"\n\
                memory = \"5 parsecs\"\ntopics = [\"b(\"]\n\n[[flows]]\nto = \"a\"\n";
    let problems = from("a.toml", text).unwrap_err();
    for part in [
        "/a.toml:8: flows.offsets: \"exact\" is none of preserve, translate and auto",
        "/a.toml:9: flows.memory: \"parsecs\" is not a unit",
        "/a.toml:12: flows.from is missing",
        "/a.toml:7: flow a-c: to = \"c\" is not one of the clusters",
        "/a.toml:10: flow a-c, topics: `b(` is not a regular expression",
        "/a.toml:2: cluster a:",
        "/a.toml:3: clusters.a.extra: this key is not known; known here are bootstrap, ca_file",
        "/a.toml:12: flows.topics is missing",
    ] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    for (line, part) in [
        ("start = [\"first\"]", "flow a-b, start first: "),
        ("topic_max_rate = [\"x=fast\"]", "flow a-b, "),
        ("groups_exclude = [\"(\"]", "flow a-b, groups_exclude: `(` is not a regular expression"),
        ("name = \"a/b\"", "flow \"a/b\": a name has"),
        ("to = \"c\"", "duplicate key: to"),
    ] {
        let text = TOML.replace("start = [\"logs=latest\"]\n", "");
        let problems = from("c.toml", &format!("{text}{line}\n")).unwrap_err();
        assert!(problems.starts_with(&format!("/c.toml:19: {part}")), "{problems}");
    }
    let problems = from("b.toml", "[clusters.a\n").unwrap_err();
    assert!(problems.contains("/b.toml:1: "), "{problems}");
}

#[test]
fn what_others_keep_for_themselves_is_no_target() {
    for (line, key) in [
        ("rename = { \"small\" = \"__verbatim.east-west\" }", "rename"),
        ("rename = { \"x\" = \"y\", \"small\" = \"__consumer_offsets\" }", "rename"),
        ("checkpoints_topic = \"__transaction_state\"", "checkpoints_topic"),
    ] {
        let text = TOML.replace("rename = { \"old\" = \"new\" }", line);
        let problems = from("own.toml", &text).unwrap_err();
        assert!(problems.starts_with(&format!("/own.toml:14: flows.{key}: \"__")), "{problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn what_cannot_be_is_refused_when_read() {
    for (line, part) in [
        ("separator = \"/\"", "flows.separator: '/' cannot be in a topic's name"),
        ("replication_factor = 0", "flows.replication_factor: 0 replicas cannot be"),
        ("beacons_replication_factor = -2", "flows.beacons_replication_factor: -2 replicas cannot be"),
        ("refresh_topics = \"0s\"", "flows.refresh_topics: an interval cannot be zero"),
        ("sync_acls = 0", "flows.sync_acls: an interval cannot be zero (`off` switches this off)"),
    ] {
        let problems = from("refused.toml", &format!("{TOML}{line}\n")).unwrap_err();
        assert!(problems.starts_with(&format!("/refused.toml:20: {part}")), "{problems}");
    }
    from("allowed.toml", &format!("{TOML}separator = \"-\"\nreplication_factor = -1\n")).unwrap();
}

#[test]
fn authorities_are_not_named_for_plaintext() {
    let problems = from("plain.toml", &TOML.replace("tls://b", "b")).unwrap_err();
    assert!(problems.starts_with("/plain.toml:7: cluster b: ca_file is for TLS"), "{problems}");
    assert!(problems.contains("write tls://b:9092"), "{problems}");
}

/// A slip of the pen must not copy what was not meant.
#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    for (wrong, right, said) in [
        (
            "topics = ['orders'",
            "topic = ['orders'",
            "/a.toml:12: flows.topic: this key is not known; did you mean topics?",
        ),
        ("[[flows]]", "[[flow]]", "/a.toml:9: flow: this key is not known; did you mean flows?"),
        ("ca_file", "cafile", "/a.toml:7: clusters.b.cafile: this key is not known; did you mean ca_file?"),
        (
            "heartbeats =",
            "colour =",
            "/a.toml:19: flows.colour: this key is not known; known here are from, to, name, enabled, ",
        ),
    ] {
        let problems = from("a.toml", &TOML.replace(wrong, right)).unwrap_err();
        assert!(problems.lines().any(|line| line.starts_with(said)), "{problems}");
    }
    let problems = from("a.toml", &TOML.replace("topics = ['orders', 'x\\.{1,3}']\n", "")).unwrap_err();
    assert!(problems.starts_with("/a.toml:9: flows.topics is missing: regular expressions"), "{problems}");
    // One that only sends heartbeats has no use for them.
    from("b.toml", &TOML.replace("topics = ['orders', 'x\\.{1,3}']\n", "enabled = false\n")).unwrap();
}

#[test]
fn addresses_may_be_a_list() {
    let (setup, _) =
        from("list.toml", &TOML.replace("\"a:9092,b:9092\"", "[\"a:9092\", \"b:9092\"]")).unwrap();
    assert_eq!(setup.clusters.get("a").unwrap().bootstrap, "a:9092,b:9092");
    for wrong in ["{ a = 1 }", "[]"] {
        let problems = from("list.toml", &TOML.replace("\"a:9092,b:9092\"", wrong)).unwrap_err();
        assert!(
            problems.starts_with("/list.toml:3: clusters.a.bootstrap: addresses are expected"),
            "{problems}"
        );
        assert_eq!(problems.lines().count(), 1, "one error for one mistake: {problems}");
    }
}

/// Whatever copies are called, none is copied back to where it came from; where names tell nothing, that is refused.
#[test]
fn no_copy_goes_round_under_any_name() {
    let both_ways = |aliases: [&str; 2], naming: &str| {
        let mut text = String::new();
        for alias in aliases {
            text += &format!("[clusters.\"{alias}\"]\nbootstrap = \"h:1\"\n");
        }
        for (from, to) in [(aliases[0], aliases[1]), (aliases[1], aliases[0])] {
            text += &format!(
                "[[flows]]\nfrom = \"{from}\"\nto = \"{to}\"\nname = \"{}\"\ntopics = [\".*\"]\n{naming}\n",
                from.replace('.', "-")
            );
        }
        from("round.toml", &text).map(|(setup, _)| setup)
    };
    for (aliases, naming) in [
        (["us-east", "eu-west"], "naming = \"{source}.{topic}\""),
        (["us-east", "eu-west"], "naming = \"copy-of-{topic}\""),
        (["us-east", "eu-west"], "naming = \"{topic}-{source}\""),
        (["us-east", "eu-west"], "separator = \"-\""),
        (["us_east", "eu_west"], "separator = \"_\""),
        (["dc.a", "dc.b"], "separator = \".\""),
        (["a", "a.b"], "separator = \".\""),
    ] {
        let setup = both_ways(aliases, naming).unwrap();
        let [there, back] = &setup.flows[..] else { panic!("{setup:?}") };
        let [there, back] = [there, back].map(|flow| crate::fleet::topics_of(flow).unwrap());
        for topic in ["orders", "heartbeats"] {
            let copy = there.target_of(topic).unwrap();
            assert_eq!(back.target_of(&copy), None, "{aliases:?} {naming}: {copy}");
            assert!(back.is_left_out_as_cycle(&copy), "{aliases:?} {naming}: {copy}");
        }
    }
    let problems = both_ways(["primary", "backup"], "separator = \"\"").unwrap_err();
    assert!(
        problems.contains("flow primary: with an empty separator the name of a copy, such as primaryorders"),
        "{problems}"
    );
}

#[test]
fn names_that_are_kept_must_not_lead_in_circles() {
    let setup = |flows: &[(&str, &str, &str, &str)]| {
        let mut text = String::new();
        for cluster in ["a", "b", "c", "d"] {
            text += &format!("[clusters.{cluster}]\nbootstrap = \"{cluster}:1\"\n");
        }
        for (from, to, topics, naming) in flows {
            text += &format!(
                "[[flows]]\nfrom = \"{from}\"\nto = \"{to}\"\ntopics = [\"{topics}\"]\nnaming = \"{naming}\"\n"
            );
        }
        from("circles.toml", &text).map(|(setup, _)| setup)
    };
    let identity = "identity";
    for (flows, expected) in [
        (&[("a", "b", ".*", "prefix"), ("b", "a", ".*", "prefix")][..], (false, false)),
        (&[("a", "b", "x.*", identity), ("b", "a", "y.*", identity)], (false, false)),
        (&[("a", "b", ".*", identity), ("b", "c", ".*", identity)], (false, false)),
        (&[("a", "b", ".*", identity), ("b", "a", ".*", "prefix")], (false, false)),
        (&[("a", "c", "x", identity), ("b", "c", "y", identity)], (false, false)),
        (&[("a", "c", "x.*", identity), ("b", "c", "x.*", identity)], (false, true)),
        (&[("a", "b", ".*", identity), ("b", "a", "orders", "{topic}")], (true, true)),
        (
            &[
                ("a", "b", ".*", identity),
                ("a", "c", ".*", identity),
                ("b", "a", ".*", identity),
                ("b", "c", ".*", identity),
                ("c", "a", ".*", identity),
                ("c", "b", ".*", identity),
            ],
            (true, true),
        ),
    ] {
        for flow in setup(flows).unwrap().flows {
            assert_eq!((flow.is_local, flow.shares_target), expected, "{} of {flows:?}", flow.name);
        }
    }
    let ring = [("a", "b", ".*", identity), ("b", "c", ".*", identity), ("c", "a", ".*", identity)];
    for (flow, carries) in setup(&ring).unwrap().flows.iter().zip(["c", "a", "b"]) {
        assert_eq!((flow.is_local, &flow.carries[..]), (true, &[carries.to_owned()][..]), "{}", flow.name);
    }
    // A diamond: what a sends gets to d by one way only.
    let diamond = [
        ("a", "b", ".*", identity),
        ("a", "c", ".*", identity),
        ("b", "d", ".*", identity),
        ("c", "d", ".*", identity),
    ];
    let flows = setup(&diamond).unwrap().flows;
    assert!(flows.iter().all(|flow| flow.is_local), "{flows:?}");
    let carries: Vec<_> = flows.iter().map(|flow| flow.carries.concat()).collect();
    assert_eq!(carries, ["", "", "a", ""]);
}
