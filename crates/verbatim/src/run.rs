//! `verbatim run`: connects, mirrors, shows progress, ends when told to.

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::http::{Door, Watched};
use crate::output;
use crate::progress::Progress;
use crate::signals::Endings;
use std::path::PathBuf;
use std::time::Instant;
use verbatim_mirror::{Mirror, MirrorConfig, StartOf, is_flow_name};
use verbatim_pipeline::{Cluster, ClusterConfig, FlowError, Isolation};
use verbatim_wire::transport::TlsConfig;

pub(crate) async fn run(arguments: RunArguments) -> Result<(), Failure> {
    let RunArguments {
        from,
        to,
        topics,
        until_caught_up,
        name,
        offsets,
        start,
        on_source_accident,
        follow_retention,
        read_uncommitted,
        from_ca_file,
        to_ca_file,
        memory,
        batching,
        no_splice,
        verify_source,
        max_rate,
        config: _,
        http,
        flows,
        takeover,
    } = arguments;
    // clap asks for no file where other options exclude one.
    for (option, is_given) in [("--takeover", takeover), ("--flows", !flows.is_empty())] {
        if is_given {
            return Err(Failure::WithoutFile(option));
        }
    }
    // Demanded where there is no configuration file.
    let (from, to, topics) = (from.unwrap_or_default(), to.unwrap_or_default(), topics.unwrap_or_default());
    let started = Instant::now();
    // All that can be checked without a cluster comes first.
    let source = cluster_config("--from", &from, "--from-ca-file", from_ca_file)?;
    let target = cluster_config("--to", &to, "--to-ca-file", to_ca_file)?;
    let mut config = MirrorConfig::new(&topics)?;
    if !is_flow_name(&name) {
        return Err(Failure::Name(name));
    }
    config.flow.name.clone_from(&name);
    config.flow.offsets = offsets.into();
    config.flow.on_source_accident = on_source_accident.into();
    config.flow.follow_retention = follow_retention;
    config.starts = start.iter().map(|text| StartOf::parse(text)).collect::<Result<_, _>>()?;
    config.rates.set(max_rate, Vec::new());
    config.flow.batching = batching.into();
    config.flow.splice = !no_splice;
    config.flow.verify_source = verify_source;
    if let Some(mebibytes) = memory {
        let bytes = (mebibytes as usize) << 20;
        (config.flow.budget_bytes, config.flow.far_budget_bytes) = (bytes, bytes);
    }
    if read_uncommitted {
        config.flow.isolation = Isolation::ReadUncommitted;
    }
    config.may_wait_for_topics = !until_caught_up;

    let mut endings = Endings::listen();
    let door = Door::open(http).await?;
    let begin = Box::pin(async {
        let (source, target) = tokio::join!(connect("--from", source), connect("--to", target));
        Ok::<_, Failure>(Mirror::start(source?, target?, config).await?)
    });
    let Some(begun) = endings.unless(begin).await else { return Ok(()) };
    let mirror = begun?;
    if mirror.topics() == 0 {
        tracing::warn!("no topic of the source cluster matches --topics {topics} yet; waiting for one");
    }
    let _telling = door.map(|door| door.tell(Watched::Flow { name, view: mirror.flow().view() }));
    copy(mirror, endings, Progress::start(started), until_caught_up).await
}

fn cluster_config(
    option: &'static str,
    address: &str,
    ca_option: &'static str,
    ca_file: Option<PathBuf>,
) -> Result<ClusterConfig, Failure> {
    let mut config = ClusterConfig::new(address).map_err(|source| Failure::Address { option, source })?;
    // Whoever names authorities does not expect plaintext.
    if let Some(file) = ca_file.as_ref().filter(|_| !config.bootstrap.is_tls()) {
        return Err(Failure::CaFile {
            option: ca_option,
            file: file.clone(),
            address: config.bootstrap.to_string(),
        });
    }
    config.tls = TlsConfig { ca_file };
    Ok(config)
}

async fn connect(option: &'static str, config: ClusterConfig) -> Result<Cluster, Failure> {
    let address = config.bootstrap.to_string();
    Cluster::connect(config).await.map_err(|source| Failure::Connect { option, address, source })
}

/// Copies until caught up, told to end, or nothing is left that runs.
async fn copy(
    mut mirror: Mirror,
    endings: Endings,
    mut progress: Progress,
    until_caught_up: bool,
) -> Result<(), Failure> {
    let outcome = tokio::select! {
        () = endings.first() => {
            tracing::info!("ending: letting what is under way be answered; Ctrl-C again ends at once");
            Ok(())
        }
        outcome = watch(&mut mirror, &mut progress, until_caught_up) => outcome,
    };
    let status = mirror.flow().status().await?;
    let ended = mirror.into_flow().shutdown().await;
    let answered = output::answer(&progress.finish(&status));
    outcome?;
    ended?;
    answered
}

async fn watch(mirror: &mut Mirror, progress: &mut Progress, until_caught_up: bool) -> Result<(), Failure> {
    mirror.say_offsets("").await?;
    if !until_caught_up {
        return keep_up(mirror, progress).await;
    }
    let mut redraw = tokio::time::interval(progress.interval());
    loop {
        tokio::select! {
            _ = redraw.tick() => {}
            outcome = mirror.flow().caught_up() => {
                if outcome.is_err() && mirror.reseed_stopped().await? {
                    mirror.discover().await?;
                    continue;
                }
                return Ok(outcome?);
            }
        }
        let status = mirror.flow().status().await?;
        progress.show(&status);
        if status.partitions.is_empty() {
            return Err(Failure::Flow(FlowError::Ended));
        }
    }
}

/// Takes up what is new on the source, until nothing is left that runs.
async fn keep_up(mirror: &mut Mirror, progress: &mut Progress) -> Result<(), Failure> {
    let (view, policy) = (mirror.flow().view(), mirror.policy());
    let shown = async {
        let mut redraw = tokio::time::interval(progress.interval());
        loop {
            redraw.tick().await;
            let status = view.status().await?;
            progress.show(&status);
            let is_over =
                !status.partitions.is_empty() && status.stopped().count() == status.partitions.len();
            if is_over && !Mirror::will_reseed(policy, &status) {
                let stopped = status.stopped().map(|(name, reason)| (name.clone(), reason.clone()));
                return Err(Failure::Flow(FlowError::Stopped(stopped.collect())));
            }
        }
    };
    // Side by side: a terminal is drawn more often than the source is looked at, and must not break that off.
    tokio::select! {
        ended = mirror.watch() => Err(ended.into()),
        outcome = shown => outcome,
    }
}
