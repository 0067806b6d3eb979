//! What a running copy tells programs, over HTTP: `/metrics` for Prometheus, `/status` as JSON. Reads only.

mod metrics;
mod status;

use crate::failure::Failure;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use verbatim_mirror::{FleetView, FlowReport, FlowState};
use verbatim_pipeline::FlowView;

/// Connections that are served at once; more wait to be accepted.
const CONNECTIONS: usize = 16;
/// How long a client may take to say what it wants, and to take all of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Accepting fails where there are too many open files; then there is no hurry.
const PAUSE: Duration = Duration::from_secs(1);
const PLAIN: &str = "text/plain; charset=utf-8";
const PATHS: &str = "/metrics  for Prometheus (OpenMetrics)\n/status   as JSON\n";

/// What is told of.
#[derive(Clone)]
pub(crate) enum Watched {
    /// The one flow of the command line.
    Flow { name: String, view: FlowView },
    /// Those of a configuration file.
    Fleet(FleetView),
}

impl Watched {
    async fn report(&self) -> Vec<FlowReport> {
        match self {
            Self::Fleet(view) => view.report().await,
            Self::Flow { name, view } => {
                let status = view.status_in_time().await;
                let state =
                    if status.is_some() { FlowState::Running(view.clone()) } else { FlowState::Ended };
                vec![FlowReport { name: name.clone(), state, status }]
            }
        }
    }
}

/// An address that is ours; who asks there waits until there is something to tell.
pub(crate) struct Door(TcpListener);

impl Door {
    /// Takes `address`, if there is one.
    pub(crate) async fn open(address: Option<SocketAddr>) -> Result<Option<Self>, Failure> {
        let Some(address) = address else { return Ok(None) };
        let listening = async {
            let listener = TcpListener::bind(address).await?;
            tracing::info!("metrics and status: http://{}", listener.local_addr()?);
            Ok(listener)
        };
        listening
            .await
            .map(|listener| Some(Self(listener)))
            .map_err(|source| Failure::Http { address, source })
    }

    /// Tells of `watched` until what is returned is dropped.
    pub(crate) fn tell(self, watched: Watched) -> Telling {
        Telling(tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(CONNECTIONS));
            loop {
                // It is never closed.
                let Ok(place) = places.clone().acquire_owned().await else { return };
                match self.0.accept().await {
                    Ok((stream, _)) => {
                        let watched = watched.clone();
                        tokio::spawn(async move {
                            serve(stream, &watched).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::debug!("no connection could be accepted for metrics and status: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }))
    }
}

/// Ends with what is told of.
pub(crate) struct Telling(JoinHandle<()>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One client, until it goes away.
async fn serve(stream: TcpStream, watched: &Watched) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, watched).await) });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    let serving = server.serve_connection(TokioIo::new(stream), service);
    // A client that goes away, or takes too long, has nobody to be told of it.
    drop(tokio::time::timeout(2 * PATIENCE, serving).await);
}

async fn answer(request: &Request<Incoming>, watched: &Watched) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let (kind, write): (_, fn(Vec<FlowReport>) -> String) = match request.uri().path() {
        "/metrics" => (metrics::CONTENT, metrics::written),
        "/status" => ("application/json", |reports| status::written(&reports)),
        "/" => return text(StatusCode::OK, PLAIN, PATHS.to_owned()),
        _ => return text(StatusCode::NOT_FOUND, PLAIN, format!("not found; there are\n{PATHS}")),
    };
    let reports = watched.report().await;
    // Thousands of partitions take milliseconds to write down, which the copy need not wait for.
    match tokio::task::spawn_blocking(move || write(reports)).await {
        Ok(written) => text(StatusCode::OK, kind, written),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
    }
}

fn text(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
