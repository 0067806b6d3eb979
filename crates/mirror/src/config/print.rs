//! A setup as TOML: what differs from the defaults.

use super::{FlowSettings, Setup, SyncsLocation};
use crate::naming::Naming;
use std::fmt;
use std::time::Duration;
use verbatim_pipeline::{Batching, Forward, Isolation, Offsets, OnSourceAccident};

pub(super) fn print(setup: &Setup, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(rate) = setup.max_rate {
        writeln!(f, "max_rate = {}\n", text(&rate.to_string()))?;
    }
    for (name, cluster) in &setup.clusters {
        writeln!(f, "[clusters.{}]\nbootstrap = {}", key(name), text(&cluster.bootstrap))?;
        if let Some(ca_file) = &cluster.ca_file {
            writeln!(f, "ca_file = {}", text(&ca_file.to_string_lossy()))?;
        }
        writeln!(f)?;
    }
    for (at, flow) in setup.flows.iter().enumerate() {
        if at > 0 {
            writeln!(f)?;
        }
        writeln!(f, "[[flows]]\nfrom = {}\nto = {}", text(&flow.source), text(&flow.target))?;
        for (key, value) in settings(flow) {
            writeln!(f, "{key} = {value}")?;
        }
    }
    Ok(())
}

/// Keys with their values where those are not the defaults.
fn settings(flow: &FlowSettings) -> Vec<(&'static str, String)> {
    let all = all(flow);
    let defaults = all_of_defaults(flow);
    all.into_iter()
        .zip(defaults)
        // Topics always: a file without them is refused.
        .filter(|(value, default)| value != default || value.0 == "topics")
        .map(|(value, _)| value)
        .collect()
}

fn all_of_defaults(flow: &FlowSettings) -> Vec<(&'static str, String)> {
    all(&FlowSettings::new(&flow.source, &flow.target))
}

fn all(flow: &FlowSettings) -> Vec<(&'static str, String)> {
    let (naming, separator) = match &flow.naming {
        Naming::Prefix { separator } => ("prefix".to_owned(), separator.as_str()),
        Naming::Identity { separator } => ("identity".to_owned(), separator.as_str()),
        Naming::Template(template) => (template.to_string(), "."),
    };
    let rename: Vec<String> =
        flow.rename.iter().map(|(from, to)| format!("{} = {}", text(from), text(to))).collect();
    let number = |number: Option<i16>| number.map_or_else(String::new, |number| number.to_string());
    let beacons = &flow.beacons;
    vec![
        ("name", text(&flow.name)),
        ("enabled", flow.is_enabled.to_string()),
        ("topics", list(&flow.topics)),
        ("topics_exclude", list(&flow.topics_exclude)),
        ("naming", text(&naming)),
        ("separator", text(separator)),
        ("rename", format!("{{ {} }}", rename.join(", "))),
        (
            "offsets",
            text(match flow.offsets {
                Offsets::Preserve => "preserve",
                Offsets::Translate => "translate",
                Offsets::Auto => "auto",
            }),
        ),
        (
            "forward",
            text(match flow.forward {
                None => "",
                Some(Forward::Everything) => "all",
                Some(Forward::Local) => "local",
            }),
        ),
        ("target_is_shared", flow.shares_target.to_string()),
        ("start", list(&flow.start)),
        (
            "on_source_accident",
            text(match flow.on_source_accident {
                OnSourceAccident::Stop => "stop",
                OnSourceAccident::Reseed => "reseed",
                OnSourceAccident::Continue => "continue",
            }),
        ),
        ("follow_retention", flow.follow_retention.to_string()),
        (
            "isolation",
            text(match flow.isolation {
                Isolation::ReadCommitted => "read_committed",
                Isolation::ReadUncommitted => "read_uncommitted",
            }),
        ),
        (
            "batching",
            text(match flow.batching {
                Batching::Verbatim => "verbatim",
                Batching::Adaptive => "adaptive",
            }),
        ),
        ("splice", flow.splice.to_string()),
        ("verify_source", flow.verify_source.to_string()),
        ("memory", flow.memory_bytes.map_or_else(String::new, |bytes| bytes.to_string())),
        ("max_rate", text(&flow.max_rate.map_or_else(|| "off".to_owned(), |rate| rate.to_string()))),
        ("topic_max_rate", list(&flow.topic_max_rate)),
        ("replication_factor", number(flow.replication_factor)),
        ("refresh_topics", text(&humantime::format_duration(flow.refresh_topics).to_string())),
        ("sync_configs", interval(flow.configs.interval)),
        ("configs_exclude", list(&flow.configs.exclude)),
        ("use_source_defaults", flow.configs.use_source_defaults.to_string()),
        ("sync_acls", interval(flow.acls.interval)),
        ("remove_acls", flow.acls.removes.to_string()),
        ("groups", list(&flow.groups.include)),
        ("groups_exclude", list(&flow.groups.exclude)),
        ("sync_groups", interval(flow.groups.interval)),
        ("sync_groups_back", flow.groups.goes_back.to_string()),
        ("heartbeats", interval(beacons.heartbeats)),
        ("heartbeats_topic", text(&beacons.heartbeats_topic)),
        ("copy_heartbeats", beacons.copies_heartbeats.to_string()),
        ("checkpoints", interval(beacons.checkpoints)),
        ("checkpoints_topic", text(beacons.checkpoints_topic.as_deref().unwrap_or_default())),
        (
            "offset_syncs",
            text(match beacons.offset_syncs {
                Some(SyncsLocation::Source) => "source",
                Some(SyncsLocation::Target) => "target",
                None => "off",
            }),
        ),
        ("offset_syncs_topic", text(beacons.offset_syncs_topic.as_deref().unwrap_or_default())),
        ("beacons_replication_factor", number(beacons.replication_factor)),
    ]
}

fn interval(interval: Option<Duration>) -> String {
    text(&interval.map_or_else(|| "off".to_owned(), |time| humantime::format_duration(time).to_string()))
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| text(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A string: literal, as regular expressions are full of backslashes, where that can be.
fn text(text: &str) -> String {
    let is_plain = !text.contains(['\\', '"']) && !text.contains(char::is_control);
    if is_plain {
        format!("\"{text}\"")
    } else if !text.contains('\'') && !text.contains(char::is_control) {
        format!("'{text}'")
    } else {
        let escaped: String = text
            .chars()
            .map(|letter| match letter {
                '\\' => "\\\\".to_owned(),
                '"' => "\\\"".to_owned(),
                letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
                letter => letter.to_string(),
            })
            .collect();
        format!("\"{escaped}\"")
    }
}

/// A key, quoted where it has to be.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    if is_bare { name.to_owned() } else { text(name) }
}
