//! The class path of a Kafka version, by asking Maven.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::{Error, tail};
use super::find_program;

/// Other bindings of slf4j than the one we bring: with two of them the choice would be left to chance.
const OTHER_BINDINGS: &[&str] =
    &["slf4j-reload4j-", "slf4j-log4j12-", "log4j-slf4j-impl-", "log4j-slf4j2-impl-"];

/// Resolves the broker, the command line tools and `extra` artifacts of group `org.apache.kafka`; downloads what is missing.
///
/// `scratch` receives a generated `pom.xml`. Returns the jars joined by `:`.
pub(super) fn class_path(version: &str, extra: &[&str], scratch: &Path) -> Result<String, Error> {
    let maven = find_program("mvn").ok_or(Error::NoMaven)?;
    fs::create_dir_all(scratch).map_err(Error::io(format!("create {}", scratch.display())))?;
    let pom = scratch.join("pom.xml");
    fs::write(&pom, project(version, extra)).map_err(Error::io(format!("write {}", pom.display())))?;
    let answer = scratch.join("classpath.maven");
    let output = Command::new(&maven)
        .args(["-q", "-B", "-Dmdep.includeScope=runtime", "dependency:build-classpath"])
        .arg(format!("-Dmdep.outputFile={}", answer.display()))
        .current_dir(scratch)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("run {}", maven.display())))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        let errors: Vec<&str> = text.lines().filter(|line| line.contains("ERROR")).take(4).collect();
        let output = if errors.is_empty() { tail(&text, 10) } else { errors.join("\n") };
        return Err(Error::Unresolvable { version: version.to_owned(), output });
    }
    let jars = fs::read_to_string(&answer).map_err(Error::io(format!("read {}", answer.display())))?;
    let kept: Vec<&str> = jars
        .trim()
        .split(':')
        .filter(|jar| {
            let file = jar.rsplit('/').next().unwrap_or(jar);
            !OTHER_BINDINGS.iter().any(|binding| file.starts_with(binding))
        })
        .collect();
    Ok(kept.join(":"))
}

/// A project that does nothing but depend on Kafka.
///
/// The tools drag in all of Kafka Connect for one command; without it a Java process starts with half the jars.
fn project(version: &str, extra: &[&str]) -> String {
    let mut dependencies = dependency("org.apache.kafka", "kafka_2.13", version, "");
    let without_connect = if extra.iter().any(|artifact| artifact.starts_with("connect-")) {
        ""
    } else {
        "<exclusions><exclusion><groupId>org.apache.kafka</groupId>\
         <artifactId>connect-runtime</artifactId></exclusion></exclusions>"
    };
    dependencies += &dependency("org.apache.kafka", "kafka-tools", version, without_connect);
    for artifact in extra {
        dependencies += &dependency("org.apache.kafka", artifact, version, "");
    }
    dependencies += &dependency("org.slf4j", "slf4j-simple", "1.7.36", "");
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n\
         <modelVersion>4.0.0</modelVersion>\n\
         <groupId>verbatim.development</groupId><artifactId>kafka</artifactId><version>1</version>\n\
         <dependencies>\n{dependencies}</dependencies>\n</project>\n"
    )
}

fn dependency(group: &str, artifact: &str, version: &str, rest: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
         <version>{version}</version>{rest}</dependency>\n"
    )
}
