//! `verbatim run CONFIG`: all flows of a file.

use crate::arguments::{ConfigArguments, RunArguments};
use crate::failure::Failure;
use crate::http::{Door, Watched};
use crate::output;
use crate::progress::Progress;
use crate::signals::{Endings, Hangups};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use verbatim_mirror::{
    Fleet, FleetView, MirrorError, Setup, Takeover, look_for_takeover, plan_flow, report_groups,
};
use verbatim_pipeline::Status;

/// Reads a configuration; what has no effect in it is logged.
pub(crate) fn read(path: &Path) -> Result<Setup, Failure> {
    let (setup, warnings) = Setup::read(path)?;
    for warning in warnings {
        tracing::warn!("{}: {warning}", path.display());
    }
    Ok(setup)
}

/// The flows that are meant; all, unless some are named.
fn chosen(path: &Path, only: &[String]) -> Result<Setup, Failure> {
    let mut setup = read(path)?;
    let known: Vec<String> = setup.flows.iter().map(|flow| flow.name.clone()).collect();
    if let Some(unknown) = only.iter().find(|name| !known.contains(name)) {
        return Err(Failure::NoSuchFlow { name: unknown.clone(), known: known.join(", ") });
    }
    if !only.is_empty() {
        setup.flows.retain(|flow| only.contains(&flow.name));
    }
    Ok(setup)
}

/// Says of which flow an error is.
fn of(flow: &str) -> impl FnOnce(MirrorError) -> Failure {
    let flow = flow.to_owned();
    move |source| Failure::OfFlow { flow, source }
}

/// Prints a configuration as TOML.
pub(crate) fn convert(arguments: &ConfigArguments) -> Result<(), Failure> {
    output::answer(&chosen(&arguments.config, &arguments.flows)?.to_string())
}

/// Prints what the flows would change.
pub(crate) async fn plan(arguments: &ConfigArguments) -> Result<(), Failure> {
    let setup = chosen(&arguments.config, &arguments.flows)?;
    for flow in setup.flows.iter().filter(|flow| flow.is_enabled) {
        output::answer(&plan_flow(&setup, flow).await.map_err(of(&flow.name))?.to_string())?;
    }
    Ok(())
}

/// Prints where the groups of the flows stand.
pub(crate) async fn groups(arguments: &ConfigArguments) -> Result<(), Failure> {
    let setup = chosen(&arguments.config, &arguments.flows)?;
    for flow in setup.flows.iter().filter(|flow| flow.is_enabled) {
        output::answer(&report_groups(&setup, flow).await.map_err(of(&flow.name))?.to_string())?;
    }
    Ok(())
}

/// Runs the flows of `path`, or those of `only`.
pub(crate) async fn run(path: &Path, arguments: &RunArguments) -> Result<(), Failure> {
    let RunArguments { flows: only, until_caught_up, takeover, http, .. } = arguments;
    let until_caught_up = *until_caught_up;
    let started = Instant::now();
    let hangups = Hangups::listen();
    let mut setup = chosen(path, only)?;
    if until_caught_up {
        setup.flows.retain(|flow| flow.is_enabled);
    }
    let mut endings = Endings::listen();
    let door = Door::open(*http).await?;
    let takeovers = if *takeover {
        let Some(found) = endings.unless(look_for_takeovers(&setup)).await else { return Ok(()) };
        found?
    } else {
        BTreeMap::new()
    };
    let fleet = Fleet::start_from(&setup, &takeovers);
    let view = fleet.view();
    let _telling = door.map(|door| door.tell(Watched::Fleet(view.clone())));
    let mut progress = Progress::start(started);
    let caught_up =
        async { if until_caught_up { view.clone().caught_up().await } else { std::future::pending().await } };
    let failed = tokio::select! {
        () = endings.first() => {
            tracing::info!("ending: letting what is under way be answered; Ctrl-C again ends at once");
            Vec::new()
        }
        failed = caught_up => failed,
        failed = show(&view, &mut progress) => failed,
        failed = follow(hangups, path, &fleet) => failed,
    };
    let status = status(&view).await;
    fleet.shutdown().await;
    let answered = output::answer(&progress.finish(&status));
    if failed.is_empty() {
        return answered;
    }
    let listed: Vec<String> = failed.iter().map(|(flow, why)| format!("flow {flow}: {why}")).collect();
    Err(Failure::Flows(listed.join("\n")))
}

/// Looks where a MirrorMaker 2 stands that the flows replace, and prints it.
async fn look_for_takeovers(setup: &Setup) -> Result<BTreeMap<String, Takeover>, Failure> {
    let mut takeovers = BTreeMap::new();
    for flow in setup.flows.iter().filter(|flow| flow.is_enabled) {
        let found = look_for_takeover(setup, &flow.name).await.map_err(of(&flow.name))?;
        output::answer(&format!("flow {}:\n{found}", flow.name))?;
        takeovers.insert(flow.name.clone(), found);
    }
    Ok(takeovers)
}

/// Reads the file again with every SIGHUP, for its rates; never ends.
async fn follow(mut hangups: Hangups, path: &Path, fleet: &Fleet) -> Vec<(String, String)> {
    loop {
        hangups.next().await;
        match read(path) {
            Ok(setup) => {
                fleet.set_rates(&setup);
                tracing::info!(
                    "{}: read again; its rates hold now, other changes with the next start",
                    path.display()
                );
            }
            Err(failure) => tracing::error!("{}: read again, and not taken: {failure}", path.display()),
        }
    }
}

/// Shows how far the flows are; never ends.
async fn show(view: &FleetView, progress: &mut Progress) -> Vec<(String, String)> {
    let mut redraw = tokio::time::interval(progress.interval());
    loop {
        redraw.tick().await;
        progress.show(&status(view).await);
    }
}

async fn status(view: &FleetView) -> Status {
    Status::merged(view.report().await.into_iter().filter_map(|report| report.status))
}
