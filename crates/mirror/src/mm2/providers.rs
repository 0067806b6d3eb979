//! `${provider:path:key}` in values: environment variables, properties files and directories (`ConfigTransformer`).

use super::properties::{self, Properties};
use std::collections::BTreeMap;
use std::path::Path;

/// Kafka's own providers, by the names given to them.
#[derive(Debug, Default)]
pub(super) struct Providers(BTreeMap<String, Provider>);

#[derive(Debug, Clone, Copy)]
enum Provider {
    Environment,
    File,
    Directory,
}

impl Providers {
    /// Those that `config.providers` names; and the names that stand for no provider we have, with their keys.
    pub(super) fn of(properties: &Properties) -> (Self, Vec<(String, String)>) {
        let mut providers = BTreeMap::new();
        let mut unknown = Vec::new();
        let names = properties.get("config.providers").map_or("", |property| property.value.trim());
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let key = format!("config.providers.{name}.class");
            let class = properties.get(&key).map_or("", |property| property.value.trim());
            let provider = match class.rsplit('.').next().unwrap_or_default() {
                "EnvVarConfigProvider" => Provider::Environment,
                "FileConfigProvider" => Provider::File,
                "DirectoryConfigProvider" => Provider::Directory,
                _ => {
                    unknown.push((key, class.to_owned()));
                    continue;
                }
            };
            providers.insert(name.to_owned(), provider);
        }
        (Self(providers), unknown)
    }

    /// `text` with its references replaced; those that cannot be found stay as they are, as in Kafka.
    pub(super) fn resolve(&self, text: &str) -> String {
        let mut resolved = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, reference) = rest.split_at(at);
            resolved.push_str(before);
            let Some(end) = reference.find('}') else {
                rest = reference;
                break;
            };
            let (reference, after) = reference.split_at(end + 1);
            let inner = reference.trim_start_matches("${").trim_end_matches('}');
            match self.value(inner) {
                Some(value) => resolved.push_str(&value),
                None => resolved.push_str(reference),
            }
            rest = after;
        }
        resolved.push_str(rest);
        resolved
    }

    /// The value of `name:[path:]key`.
    fn value(&self, reference: &str) -> Option<String> {
        let (name, rest) = reference.split_once(':')?;
        let (path, key) = rest.rsplit_once(':').unwrap_or(("", rest));
        match self.0.get(name)? {
            Provider::Environment => std::env::var(key).ok(),
            Provider::File => {
                let bytes = std::fs::read(path).ok()?;
                properties::read(&bytes).ok()?.remove(key).map(|property| property.value)
            }
            Provider::Directory => std::fs::read_to_string(Path::new(path).join(key)).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced() {
        let text = "config.providers = e, f, x\nconfig.providers.e.class = \
                    org.apache.kafka.common.config.provider.EnvVarConfigProvider\nconfig.providers.f.class = \
                    org.apache.kafka.common.config.provider.FileConfigProvider\nconfig.providers.x.class = com.acme.Vault";
        let (providers, unknown) = Providers::of(&properties::read(text.as_bytes()).unwrap());
        assert_eq!(unknown, [("config.providers.x.class".to_owned(), "com.acme.Vault".to_owned())]);
        let path = std::env::var("PATH").unwrap();
        assert_eq!(providers.resolve("a ${e:PATH} b"), format!("a {path} b"));
        for unresolved in ["${e:NO_SUCH_VARIABLE_HERE}", "${x:a}", "${f:/no/such/file:a}", "${", "a ${e:PATH"]
        {
            assert_eq!(providers.resolve(unresolved), unresolved);
        }
    }
}
