//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once. SIGHUP: read again.

use crate::output;
use std::process;
use std::time::{Duration, Instant};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C and SIGTERM. The first process of a container has nothing to end it unless it listens.
pub(crate) struct Endings {
    #[cfg(unix)]
    interrupts: Option<Signal>,
    #[cfg(unix)]
    terminations: Option<Signal>,
}

impl Endings {
    /// From now on they do not end the process by themselves.
    pub(crate) fn listen() -> Self {
        #[cfg(unix)]
        return Self {
            interrupts: signal(SignalKind::interrupt()).ok(),
            terminations: signal(SignalKind::terminate()).ok(),
        };
        #[cfg(not(unix))]
        Self {}
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            () = heard(&mut self.interrupts) => {}
            () = heard(&mut self.terminations) => {}
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await);
    }

    /// Waits for the first; from then on the next one ends the process, unless it comes at once: supervisors send several.
    pub(crate) async fn first(mut self) {
        /// Signals within this time are one.
        const TOGETHER: Duration = Duration::from_millis(500);
        self.next().await;
        let asked = Instant::now();
        tokio::spawn(async move {
            self.next().await;
            while asked.elapsed() < TOGETHER {
                self.next().await;
            }
            output::aside(b"verbatim: ended at once; what was under way is looked up at the next start\n");
            process::exit(130);
        });
    }

    /// What `beginning` comes to; `None`, and it is dropped, if a signal comes first.
    pub(crate) async fn unless<T>(&mut self, beginning: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            () = self.next() => {
                output::aside(b"verbatim: ended before it began to copy\n");
                None
            }
            begun = beginning => Some(begun),
        }
    }
}

/// SIGHUPs. One that comes while another is seen to is not lost.
pub(crate) struct Hangups(#[cfg(unix)] Option<Signal>);

impl Hangups {
    /// From now on they do not end the process.
    pub(crate) fn listen() -> Self {
        Self(
            #[cfg(unix)]
            signal(SignalKind::hangup()).ok(),
        )
    }

    /// Waits for the next; for ever where there is none.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        heard(&mut self.0).await;
        #[cfg(not(unix))]
        std::future::pending().await
    }
}

/// Waits for the next of a kind; for ever where there is none.
#[cfg(unix)]
async fn heard(signals: &mut Option<Signal>) {
    if let Some(signals) = signals
        && signals.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}
