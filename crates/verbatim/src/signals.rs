//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once. SIGHUP: read again.

use crate::output;
use std::process;

/// Waits for the first signal; from then on the next one ends the process.
pub(crate) async fn first() {
    next().await;
    tokio::spawn(async {
        next().await;
        output::aside(b"verbatim: ended at once; what was under way is looked up at the next start\n");
        process::exit(130);
    });
}

/// SIGHUPs. One that comes while another is seen to is not lost.
pub(crate) struct Hangups(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Hangups {
    /// From now on they do not end the process.
    pub(crate) fn listen() -> Self {
        Self(
            #[cfg(unix)]
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        )
    }

    /// Waits for the next; for ever where there is none.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(hangups) = &mut self.0
            && hangups.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn next() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn next() {
    drop(tokio::signal::ctrl_c().await);
}
