//! `Acls`: access control lists of topics, through Kafka's own admin client.

use std::collections::BTreeSet;

use super::{Error, Programs};

impl Programs {
    /// Creates and deletes ACLs, each as `PRINCIPAL TOPIC PATTERN OPERATION PERMISSION`, and returns all that are there then.
    pub fn acls(&self, bootstrap: &str, create: &[&str], delete: &[&str]) -> Result<BTreeSet<String>, Error> {
        let (create, delete) = (create.join(","), delete.join(","));
        let words = ["--bootstrap", bootstrap, "--create", &create, "--delete", &delete];
        let printed = self.run("Acls", &words.map(str::to_owned))?;
        Ok(printed.lines().map(str::to_owned).collect())
    }
}
