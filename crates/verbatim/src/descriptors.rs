//! File descriptors: connections to every broker of two clusters, and pipes for payloads.

/// Raises the soft limit of open files to the hard one, as Java and Go do. Where that is refused the soft one has to do.
#[cfg(target_os = "linux")]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn raise_limit() {}
