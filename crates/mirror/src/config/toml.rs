//! The TOML form: `[clusters.NAME]` and `[[flows]]`.

use super::reader::{
    Found, Given, Left, Section, Value, boolean, bytes, interval, interval_or_off, lines_of, replicas,
    separator,
};
use super::{ClusterSettings, FlowSettings, Setup, SyncsLocation};
use crate::naming::{Naming, Template, is_reserved};
use crate::rates::parse_rate;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use verbatim_pipeline::{Batching, Forward, Isolation, Offsets, OnSourceAccident};

pub(crate) fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
            found.wrong(line, "this is not UTF-8");
            return found;
        }
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            let place = error.span().and_then(|span| text.get(span)).filter(|place| !place.contains('\n'));
            let what = match (error.message(), place) {
                // The parser says that there is one, and where.
                (message @ "duplicate key", Some(key)) => format!("{message}: {key}"),
                (message, _) => message.to_owned(),
            };
            found.wrong(line, what);
            return found;
        }
    };
    let mut clusters = BTreeMap::new();
    let mut flows = Vec::new();
    let mut max_rate = None;
    for (key, value) in table.into_inner() {
        let line = line_of(text, key.span().start);
        match (key.get_ref().as_ref(), value.into_inner()) {
            ("clusters", DeValue::Table(table)) => clusters = given(table, text),
            ("flows", DeValue::Array(array)) => {
                for flow in array {
                    let line = line_of(text, flow.span().start);
                    match flow.into_inner() {
                        DeValue::Table(table) => flows.push((line, given(table, text))),
                        _ => found.wrong(line, "a flow is a table: [[flows]]"),
                    }
                }
            }
            ("max_rate", value) => {
                let read = match value {
                    DeValue::String(text) => rate(&text),
                    DeValue::Integer(number) => rate(&number.to_string()),
                    _ => Err("a text is expected: \"100MiB\" for 100 MiB/s".to_owned()),
                };
                match read {
                    Ok(rate) => max_rate = rate,
                    Err(problem) => found.wrong(line, format!("max_rate: {problem}")),
                }
            }
            ("clusters", _) => found.wrong(line, "clusters are tables: [clusters.NAME]"),
            ("flows", _) => found.wrong(line, "flows are tables: [[flows]]"),
            (other, _) => found.wrong(line, unknown("", other, &["clusters", "flows", "max_rate"])),
        }
    }
    let mut left = Vec::new();
    let mut setup = Setup { max_rate, ..Setup::default() };
    for (name, cluster) in clusters {
        found.clusters.insert(name.clone());
        let Value::Table(keys) = cluster.value else {
            found.wrong(cluster.line, format!("clusters.{name}: a table is expected: [clusters.{name}]"));
            continue;
        };
        found.cluster_lines.insert(name.clone(), lines_of(&keys));
        let prefix = format!("clusters.{name}.");
        let mut section = Section { prefix, keys, known: Vec::new(), errors: &mut found.errors };
        let is_given = section.keys.contains_key("bootstrap");
        let bootstrap = section.take("bootstrap", addresses);
        let ca_file = section.text("ca_file", |text| Ok(text.into()));
        left.extend(section.left());
        if !is_given {
            found.wrong(cluster.line, format!("clusters.{name}.bootstrap is missing: HOST:PORT[,...]"));
        }
        if let Some(bootstrap) = bootstrap {
            setup.clusters.insert(name, ClusterSettings { bootstrap, ca_file });
        }
    }
    for (line, keys) in flows {
        let lines = lines_of(&keys);
        let mut section =
            Section { prefix: "flows.".to_owned(), keys, known: Vec::new(), errors: &mut found.errors };
        let source = section.text("from", |text| Ok(text.to_owned()));
        let target = section.text("to", |text| Ok(text.to_owned()));
        let mut flow =
            FlowSettings::new(source.as_deref().unwrap_or_default(), target.as_deref().unwrap_or_default());
        let names_topics = section.keys.contains_key("topics");
        read_flow(&mut section, &mut flow);
        left.extend(section.left());
        // Not to be left out by a slip of the pen: everything would be copied.
        if flow.is_enabled && !names_topics {
            found.wrong(line, "flows.topics is missing: regular expressions for names of topics, such as [\"orders.*\"]; [\".*\"] for all");
        }
        for (key, value) in [("from", &source), ("to", &target)] {
            if value.is_none() {
                found.wrong(line, format!("flows.{key} is missing: the name of a cluster"));
            }
        }
        if source.is_some() && target.is_some() {
            setup.flows.push(flow);
            found.flow_lines.push(lines);
        }
    }
    for Left { prefix, key, line, known } in left {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        found.wrong(line, unknown(&prefix, &key, &known));
    }
    if setup.flows.is_empty() && found.errors.is_empty() {
        found.wrong(0, "there is no flow; write [[flows]] with from, to and topics");
    }
    found.setup = setup;
    found
}

fn read_flow(section: &mut Section<'_>, flow: &mut FlowSettings) {
    fn set<T>(place: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *place = value;
        }
    }
    set(&mut flow.name, section.text("name", |text| Ok(text.to_owned())));
    set(&mut flow.is_enabled, section.text("enabled", boolean));
    set(&mut flow.topics, section.list("topics"));
    set(&mut flow.topics_exclude, section.list("topics_exclude"));
    let separator = section.text("separator", separator);
    let separator = separator.unwrap_or_else(|| ".".to_owned());
    flow.naming = Naming::Prefix { separator: separator.clone() };
    set(&mut flow.naming, section.text("naming", |text| naming(text, separator)));
    set(&mut flow.rename, section.take("rename", table_of_text));
    set(&mut flow.offsets, section.text("offsets", offsets));
    set(&mut flow.forward, section.text("forward", forward).map(Some));
    set(&mut flow.shares_target, section.text("target_is_shared", boolean));
    set(&mut flow.start, section.list("start"));
    set(&mut flow.on_source_accident, section.text("on_source_accident", accident));
    set(&mut flow.follow_retention, section.text("follow_retention", boolean));
    set(&mut flow.isolation, section.text("isolation", isolation));
    set(&mut flow.batching, section.text("batching", batching));
    set(&mut flow.splice, section.text("splice", boolean));
    set(&mut flow.verify_source, section.text("verify_source", boolean));
    set(&mut flow.memory_bytes, section.text("memory", bytes).map(Some));
    set(&mut flow.max_rate, section.text("max_rate", rate));
    set(&mut flow.topic_max_rate, section.list("topic_max_rate"));
    set(&mut flow.replication_factor, section.text("replication_factor", replicas).map(Some));
    set(&mut flow.refresh_topics, section.text("refresh_topics", interval));
    set(&mut flow.configs.interval, section.text("sync_configs", interval_or_off));
    set(&mut flow.configs.exclude, section.list("configs_exclude"));
    set(&mut flow.configs.use_source_defaults, section.text("use_source_defaults", boolean));
    set(&mut flow.acls.interval, section.text("sync_acls", interval_or_off));
    set(&mut flow.acls.removes, section.text("remove_acls", boolean));
    set(&mut flow.groups.include, section.list("groups"));
    set(&mut flow.groups.exclude, section.list("groups_exclude"));
    set(&mut flow.groups.interval, section.text("sync_groups", interval_or_off));
    set(&mut flow.groups.goes_back, section.text("sync_groups_back", boolean));
    let beacons = &mut flow.beacons;
    set(&mut beacons.heartbeats, section.text("heartbeats", interval_or_off));
    set(&mut beacons.heartbeats_topic, section.text("heartbeats_topic", writable));
    set(&mut beacons.copies_heartbeats, section.text("copy_heartbeats", boolean));
    set(&mut beacons.checkpoints, section.text("checkpoints", interval_or_off));
    set(&mut beacons.checkpoints_topic, section.text("checkpoints_topic", writable).map(Some));
    set(&mut beacons.offset_syncs, section.text("offset_syncs", location));
    set(&mut beacons.offset_syncs_topic, section.text("offset_syncs_topic", writable).map(Some));
    set(&mut beacons.replication_factor, section.text("beacons_replication_factor", replicas).map(Some));
}

/// What is said of a key that nobody knows: in a file of our own it is a mistake, and may be one that changes what is copied.
fn unknown(prefix: &str, key: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, key), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min();
    match nearest {
        Some((_, nearest)) => format!("{prefix}{key}: this key is not known; did you mean {nearest}?"),
        None => format!("{prefix}{key}: this key is not known; known here are {}", known.join(", ")),
    }
}

/// Addresses: a text with commas, or a list.
fn addresses(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.trim().to_owned()),
        Value::List(list) if !list.is_empty() => Ok(list.join(",")),
        Value::List(_) | Value::Table(_) => {
            Err("addresses are expected: \"HOST:PORT\", with commas between several, or a list of them"
                .to_owned())
        }
    }
}

fn naming(text: &str, separator: String) -> Result<Naming, String> {
    match text {
        "prefix" => Ok(Naming::Prefix { separator }),
        "identity" => Ok(Naming::Identity { separator }),
        template if template.contains('{') => {
            Template::new(template).map(Naming::Template).map_err(|error| error.to_string())
        }
        _ => Err(format!(
            "{text:?} is not a naming; there are \"prefix\", \"identity\" and templates such as \"{{source}}.{{topic}}\""
        )),
    }
}

pub(crate) fn offsets(text: &str) -> Result<Offsets, String> {
    match text {
        "preserve" => Ok(Offsets::Preserve),
        "translate" => Ok(Offsets::Translate),
        "auto" => Ok(Offsets::Auto),
        _ => Err(format!("{text:?} is none of preserve, translate and auto")),
    }
}

fn forward(text: &str) -> Result<Forward, String> {
    match text {
        "all" => Ok(Forward::Everything),
        "local" => Ok(Forward::Local),
        _ => Err(format!("{text:?} is neither all nor local")),
    }
}

fn accident(text: &str) -> Result<OnSourceAccident, String> {
    match text {
        "stop" => Ok(OnSourceAccident::Stop),
        "reseed" => Ok(OnSourceAccident::Reseed),
        "continue" => Ok(OnSourceAccident::Continue),
        _ => Err(format!("{text:?} is none of stop, reseed and continue")),
    }
}

/// Bytes per second, or `off`.
fn rate(text: &str) -> Result<Option<NonZeroU64>, String> {
    match text {
        "off" => Ok(None),
        _ => parse_rate(text).map(Some).map_err(|error| error.to_string()),
    }
}

fn batching(text: &str) -> Result<Batching, String> {
    match text {
        "verbatim" => Ok(Batching::Verbatim),
        "adaptive" => Ok(Batching::Adaptive),
        _ => Err(format!("{text:?} is neither verbatim nor adaptive")),
    }
}

pub(crate) fn isolation(text: &str) -> Result<Isolation, String> {
    match text {
        "read_committed" => Ok(Isolation::ReadCommitted),
        "read_uncommitted" => Ok(Isolation::ReadUncommitted),
        _ => Err(format!("{text:?} is neither read_committed nor read_uncommitted")),
    }
}

fn location(text: &str) -> Result<Option<SyncsLocation>, String> {
    match text {
        "source" => Ok(Some(SyncsLocation::Source)),
        "target" => Ok(Some(SyncsLocation::Target)),
        "off" | "false" => Ok(None),
        _ => Err(format!("{text:?} is none of source, target and off")),
    }
}

fn table_of_text(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let wrong = || "a table of names is expected: { \"source topic\" = \"target topic\" }".to_owned();
    let Value::Table(table) = value else { return Err(wrong()) };
    let pair = |(key, given): (&String, &Given)| match &given.value {
        Value::Text(text) => Ok((key.clone(), writable(text)?)),
        _ => Err(wrong()),
    };
    table.iter().map(pair).collect()
}

/// The name of a topic that may be written to.
fn writable(topic: &str) -> Result<String, String> {
    if is_reserved(topic) {
        return Err(format!(
            "{topic:?} is a topic that Kafka or verbatim keeps for itself; take another name"
        ));
    }
    Ok(topic.to_owned())
}

fn given(table: DeTable<'_>, text: &str) -> BTreeMap<String, Given> {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let line = line_of(text, key.span().start);
        (key.into_inner().into_owned(), Given { line, value: plain(value.into_inner(), text) })
    };
    table.into_iter().map(entry).collect()
}

fn plain(value: DeValue<'_>, text: &str) -> Value {
    let one = |value: DeValue<'_>| match value {
        DeValue::String(string) => string.into_owned(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(is_so) => is_so.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    };
    match value {
        DeValue::Array(array) => Value::List(array.into_iter().map(|item| one(item.into_inner())).collect()),
        DeValue::Table(table) => Value::Table(given(table, text)),
        other => Value::Text(one(other)),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
