//! From properties to a setup.

use super::effect::{self, Effect};
use super::keys::{Flow, Keys};
use super::properties;
use super::providers::Providers;
use crate::config::reader::{self, Found};
use crate::config::{ClusterSettings, FlowSettings, SyncsLocation};
use crate::naming::{HEARTBEATS, Naming, Template};
use std::time::Duration;
use verbatim_pipeline::Isolation;

/// Left out unless the file says otherwise (`DefaultTopicFilter`), besides what can never be copied.
const TOPICS_EXCLUDE: [&str; 1] = [r".*\.replica"];

/// Reads the bytes of an `mm2.properties`.
pub(crate) fn read(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let mut properties = match properties::read(bytes) {
        Ok(properties) => properties,
        Err(error) => {
            found.wrong(error.line, "\\u has to be followed by four hexadecimal digits");
            return found;
        }
    };
    let (providers, unknown) = Providers::of(&properties);
    for (key, class) in unknown {
        let line = properties.get(&key).or_else(|| properties.get("config.providers")).map_or(0, |p| p.line);
        found.wrong(line, format!("{key}: {class:?} is not one of Kafka's own config providers (EnvVarConfigProvider, FileConfigProvider, DirectoryConfigProvider)"));
    }
    for property in properties.values_mut() {
        property.value = providers.resolve(&property.value);
    }
    let mut keys = Keys::new(properties, found);
    keys.read();
    keys.found
}

impl Keys {
    fn read(&mut self) {
        let aliases = self.aliases();
        for alias in &aliases {
            self.found.clusters.insert(alias.clone());
            if let Some(cluster) = self.cluster(alias) {
                self.found.setup.clusters.insert(alias.clone(), cluster);
            }
        }
        for source in &aliases {
            for target in aliases.iter().filter(|target| *target != source) {
                let pair = Flow { source: source.clone(), target: target.clone() };
                if let Some(flow) = self.flow(&pair) {
                    self.found.setup.flows.push(flow);
                    self.found.flow_lines.push(self.flow_lines(&pair));
                }
            }
        }
        if self.found.setup.flows.is_empty() && self.found.errors.is_empty() {
            self.found.wrong(0, "no flow is enabled; write A->B.enabled = true");
        }
        self.name_the_rest(&aliases);
    }

    fn aliases(&mut self) -> Vec<String> {
        let aliases: Vec<String> = self.list("clusters").unwrap_or_default();
        if aliases.is_empty() {
            self.found.wrong(0, "clusters is missing: the names of the clusters, such as clusters = A, B");
        }
        aliases
    }

    /// `MirrorMakerConfig.clusterProps`, as far as it means something here.
    fn cluster(&mut self, alias: &str) -> Option<ClusterSettings> {
        let line = self.line(&format!("{alias}.bootstrap.servers"));
        let Some(bootstrap) = self.of_cluster(alias, "bootstrap.servers") else {
            self.found.wrong(0, format!("{alias}.bootstrap.servers is missing: HOST:PORT[,HOST:PORT...]"));
            return None;
        };
        let protocol = self.of_cluster(alias, "security.protocol").unwrap_or_else(|| "PLAINTEXT".to_owned());
        let bootstrap = bootstrap.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        let bootstrap = match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => bootstrap,
            "SSL" => format!("tls://{bootstrap}"),
            _ => {
                let line = self.line(&format!("{alias}.security.protocol"));
                self.found.wrong(
                    line,
                    format!("{alias}.security.protocol = {protocol} is not supported yet; there are PLAINTEXT and SSL"),
                );
                return None;
            }
        };
        let store = self.of_cluster(alias, "ssl.truststore.location");
        let kind = self.of_cluster(alias, "ssl.truststore.type");
        let ca_file = match (store, kind.as_deref()) {
            (Some(store), Some("PEM")) => Some(store.into()),
            (Some(store), _) => {
                self.found.wrong(
                    line,
                    format!(
                        "{alias}.ssl.truststore.location = {store}: Java key stores are not read; export its certificates \
                         (keytool -exportcert -rfc) and set ssl.truststore.type = PEM"
                    ),
                );
                None
            }
            (None, _) => None,
        };
        // Without TLS it is never looked at.
        let ca_file = ca_file.filter(|_| bootstrap.starts_with("tls://"));
        self.found.cluster_lines.insert(alias.to_owned(), [("bootstrap".to_owned(), line)].into());
        Some(ClusterSettings { bootstrap, ca_file })
    }

    /// The flow, if it is enabled or only sends heartbeats (`MirrorMakerConfig.clusterPairs`).
    fn flow(&mut self, pair: &Flow) -> Option<FlowSettings> {
        // Whether there is a flow at all is looked up in the values as they stand, without trimming: `true ` is not true. What it then does
        // its connectors decide, whose values are trimmed, and which know a key `enabled` for all flows as well
        // (`MirrorMakerConfig.clusterPairs`, `connectorBaseConfig`).
        let is_true = |text: Option<String>| text.map(|text| text.eq_ignore_ascii_case("true"));
        let is_named = is_true(self.raw(&pair.key("enabled"))).unwrap_or(false);
        let beats = is_true(self.raw(&pair.key("emit.heartbeats.enabled")))
            .or(is_true(self.raw("emit.heartbeats.enabled")))
            .unwrap_or(true);
        let is_enabled = self.flow_boolean(pair, "enabled", false);
        if !is_named && !beats {
            if is_enabled {
                let line = self.flow_line(pair, "enabled");
                self.found.warn(
                    line,
                    format!(
                        "{}: MirrorMaker 2 does not run this flow, because heartbeats are off and the value is not exactly `true`, \
                         without a blank behind it, in a key of the flow; neither is it run here",
                        pair.key("enabled")
                    ),
                );
            }
            return None;
        }
        let beats = self.flow_boolean(pair, "emit.heartbeats.enabled", true);
        let mut flow = FlowSettings::new(&pair.source, &pair.target);
        flow.is_enabled = is_enabled;
        self.topics(pair, &mut flow);
        self.naming(pair, &mut flow);
        self.configs(pair, &mut flow);
        self.acls(pair, &mut flow);
        self.groups(pair, &mut flow);
        self.beacons(pair, &mut flow, beats);
        (is_enabled || beats).then_some(flow)
    }

    fn topics(&mut self, pair: &Flow, flow: &mut FlowSettings) {
        if let Some(topics) = self.flow_list(pair, "topics") {
            flow.topics = topics;
        }
        let excluded =
            self.flow_list(pair, "topics.exclude").or_else(|| self.flow_list(pair, "topics.blacklist"));
        flow.topics_exclude = excluded.unwrap_or_else(|| TOPICS_EXCLUDE.map(str::to_owned).to_vec());
        if self.flow_boolean(pair, "refresh.topics.enabled", true)
            && let Some(interval) = self.flow_seconds(pair, "refresh.topics.interval.seconds")
        {
            flow.refresh_topics = interval;
        }
        flow.replication_factor = Some(self.flow_replicas(pair, "replication.factor").unwrap_or(2));
        // A plain consumer's default, and MirrorMaker 2's.
        flow.isolation = Isolation::ReadUncommitted;
        for key in ["source.consumer.isolation.level", "consumer.isolation.level"] {
            let of_cluster = format!("{}.consumer.isolation.level", pair.source);
            let given = self.flow_text(pair, key).or_else(|| self.raw(&of_cluster));
            if given.is_some_and(|level| level.trim() == "read_committed") {
                flow.isolation = Isolation::ReadCommitted;
            }
        }
        for key in ["source.consumer.auto.offset.reset", "consumer.auto.offset.reset"] {
            let of_cluster = format!("{}.consumer.auto.offset.reset", pair.source);
            let given = self.flow_text(pair, key).or_else(|| self.raw(&of_cluster));
            if given.is_some_and(|reset| reset.trim() == "latest") {
                flow.start = vec!["latest".to_owned()];
            }
        }
    }

    fn naming(&mut self, pair: &Flow, flow: &mut FlowSettings) {
        let key = "replication.policy.separator";
        let separator = self.raw_of_flow(pair, key).unwrap_or_else(|| ".".to_owned());
        if let Err(problem) = reader::separator(&separator) {
            let line = self.flow_line(pair, key);
            self.found.wrong(line, format!("{key}: {problem}"));
        }
        let key = "replication.policy.class";
        let line = self.flow_line(pair, key);
        let class = self.flow_text(pair, key).unwrap_or_default();
        flow.naming = match class.rsplit('.').next().unwrap_or_default() {
            "" | "DefaultReplicationPolicy" => Naming::Prefix { separator },
            "IdentityReplicationPolicy" => Naming::Identity { separator },
            _ => {
                self.found.wrong(
                    line,
                    format!(
                        "{key} = {class}: Java classes are not run. If it names copies by their cluster, `verbatim convert` this file \
                         without the key; if it keeps names, put naming = \"identity\" into the flow then; if it does something else, \
                         a template such as naming = \"{{topic}}.from.{{source}}\""
                    ),
                );
                return;
            }
        };
        self.aliases_of_flow(pair, flow);
        for key in ["topic.filter.class", "group.filter.class", "config.property.filter.class"] {
            let line = self.flow_line(pair, key);
            if let Some(class) = self.flow_text(pair, key).filter(|class| !class.contains(".mirror.Default"))
            {
                self.found.wrong(
                    line,
                    format!("{key} = {class}: Java classes are not run; write regular expressions instead"),
                );
            }
        }
    }

    /// Connectors call the clusters as these keys say, and only where they are not there as the file calls them
    /// (`MirrorMakerConfig.connectorBaseConfig`). Blank ones, with a blank separator, were the way to keep names before Kafka 3.0.
    fn aliases_of_flow(&mut self, pair: &Flow, flow: &mut FlowSettings) {
        let separator = flow.naming.separator().to_owned();
        if let Some(alias) =
            self.flow_text(pair, "source.cluster.alias").filter(|alias| *alias != pair.source)
        {
            let line = self.flow_line(pair, "source.cluster.alias");
            let prefix = format!("{alias}{separator}");
            if let Err(problem) = reader::separator(&prefix) {
                self.found.wrong(line, format!("source.cluster.alias: {problem}"));
                return;
            }
            if matches!(flow.naming, Naming::Identity { .. }) {
                flow.rename.insert(HEARTBEATS.to_owned(), format!("{prefix}{HEARTBEATS}"));
            } else {
                match Template::new(&format!("{prefix}{{topic}}")) {
                    Ok(template) => flow.naming = Naming::Template(template),
                    Err(error) => self.found.wrong(line, format!("source.cluster.alias: {error}")),
                }
            }
            flow.beacons.checkpoints_topic = Some(format!("{prefix}checkpoints{separator}internal"));
        }
        if let Some(alias) =
            self.flow_text(pair, "target.cluster.alias").filter(|alias| *alias != pair.target)
        {
            if !alias.is_empty() {
                let line = self.flow_line(pair, "target.cluster.alias");
                let problem = format!(
                    "target.cluster.alias = {alias}: MirrorMaker 2 would leave out topics that came from {alias} instead of those that came \
                     from {}; write {alias} in place of {} in clusters and in all keys",
                    pair.target, pair.target
                );
                self.found.wrong(line, problem);
            }
            let location = flow.beacons.offset_syncs;
            let other = if location == Some(SyncsLocation::Target) { &pair.source } else { &alias };
            flow.beacons.offset_syncs_topic =
                Some(format!("mm2-offset-syncs{separator}{other}{separator}internal"));
        }
    }

    fn configs(&mut self, pair: &Flow, flow: &mut FlowSettings) {
        let interval = self.flow_seconds(pair, "sync.topic.configs.interval.seconds");
        flow.configs.interval = interval.or(flow.configs.interval);
        if !self.flow_boolean(pair, "sync.topic.configs.enabled", true) {
            flow.configs.interval = None;
        }
        let excluded = self
            .flow_list(pair, "config.properties.exclude")
            .or_else(|| self.flow_list(pair, "config.properties.blacklist"));
        flow.configs.exclude = excluded.unwrap_or(std::mem::take(&mut flow.configs.exclude));
        let source = self.flow_text(pair, "use.defaults.from");
        flow.configs.use_source_defaults = source.is_some_and(|from| from == "source");
    }

    fn acls(&mut self, pair: &Flow, flow: &mut FlowSettings) {
        /// Looking costs one request: ten minutes, as MirrorMaker 2 waits, are not needed.
        const INTERVAL: Duration = Duration::from_secs(60);
        let interval = self.flow_seconds(pair, "sync.topic.acls.interval.seconds");
        let is_on = self.flow_boolean(pair, "sync.topic.acls.enabled", true);
        flow.acls.interval = is_on.then_some(interval.unwrap_or(INTERVAL));
    }

    fn groups(&mut self, pair: &Flow, flow: &mut FlowSettings) {
        if let Some(groups) = self.flow_list(pair, "groups") {
            flow.groups.include = groups;
        }
        let excluded =
            self.flow_list(pair, "groups.exclude").or_else(|| self.flow_list(pair, "groups.blacklist"));
        if let Some(groups) = excluded {
            flow.groups.exclude = groups;
        }
        let interval = self.flow_seconds(pair, "sync.group.offsets.interval.seconds");
        flow.groups.interval = interval.or(flow.groups.interval);
        if !self.flow_boolean(pair, "sync.group.offsets.enabled", false) {
            flow.groups.interval = None;
        }
    }

    fn beacons(&mut self, pair: &Flow, flow: &mut FlowSettings, beats: bool) {
        const SECOND: Duration = Duration::from_secs(1);
        let interval = self.flow_seconds(pair, "emit.heartbeats.interval.seconds").unwrap_or(SECOND);
        flow.beacons.heartbeats = beats.then_some(interval);
        flow.beacons.copies_heartbeats = self.flow_boolean(pair, "heartbeats.replication.enabled", true);
        let interval = self.flow_seconds(pair, "emit.checkpoints.interval.seconds");
        let writes = self.flow_boolean(pair, "emit.checkpoints.enabled", true);
        flow.beacons.checkpoints = writes.then_some(interval.unwrap_or(60 * SECOND));
        let location = match self.flow_text(pair, "offset-syncs.topic.location").as_deref() {
            Some("target") => SyncsLocation::Target,
            _ => SyncsLocation::Source,
        };
        let writes = self.flow_boolean(pair, "emit.offset-syncs.enabled", true);
        flow.beacons.offset_syncs = writes.then_some(location);
        let key = "replication.policy.internal.topic.separator.enabled";
        if self.flow_text(pair, key).is_some_and(|is_on| is_on.eq_ignore_ascii_case("false")) {
            let other = if location == SyncsLocation::Source { &pair.target } else { &pair.source };
            flow.beacons.checkpoints_topic = Some(format!("{}.checkpoints.internal", pair.source));
            flow.beacons.offset_syncs_topic = Some(format!("mm2-offset-syncs.{other}.internal"));
        }
        for key in ["heartbeats", "checkpoints", "offset-syncs"] {
            let factor = self.flow_replicas(pair, &format!("{key}.topic.replication.factor"));
            flow.beacons.replication_factor = flow.beacons.replication_factor.or(factor);
        }
    }

    fn name_the_rest(&mut self, aliases: &[String]) {
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        for (key, property) in &self.properties {
            if self.taken.contains(key) || key.starts_with("config.providers") {
                continue;
            }
            let flow = key.split_once("->").and_then(|(source, rest)| {
                let target = aliases
                    .iter()
                    .filter(|alias| rest.starts_with(&format!("{alias}.")))
                    .max_by_key(|a| a.len())?;
                aliases.iter().any(|alias| alias == source).then(|| rest.get(target.len() + 1..))?
            });
            let cluster = || aliases.iter().find_map(|alias| key.strip_prefix(&format!("{alias}.")));
            let end = flow.or_else(cluster).unwrap_or(key);
            let why = match effect::of(end, &property.value) {
                Effect::Refused(why) => {
                    errors.push((property.line, format!("{key} = {}: {why}", property.value.trim())));
                    continue;
                }
                Effect::None(why) => format!("{key}: without effect: {why}"),
                Effect::Unknown if key.contains("->") && flow.is_none() => {
                    format!("{key}: without effect: not a flow between two of the clusters")
                }
                Effect::Unknown => format!(
                    "{key}: this key is not known, neither here nor to MirrorMaker 2, and has no effect"
                ),
            };
            warnings.push((property.line, why));
        }
        for (line, why) in warnings {
            self.found.warn(line, why);
        }
        for (line, why) in errors {
            self.found.wrong(line, why);
        }
    }
}
