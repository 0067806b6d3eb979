//! TLS 1.2 and 1.3 over TCP, through rustls.

use super::low_water::LowWater;
use super::{Connector, Opening, TcpConfig, TcpConnector, TransportError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;

/// Whom to trust.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// PEM file with the authorities that sign the brokers' certificates; `None` takes the system's.
    pub ca_file: Option<PathBuf>,
}

/// The trust settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    /// The file cannot be read or holds no certificate.
    #[error("{path}: no usable certificate in this PEM file")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate in it is not one.
    #[error("a trusted certificate was refused")]
    Certificate(#[source] rustls::Error),
    /// No authorities at all.
    #[error("no trusted certificate found on this system; name a PEM file of authorities")]
    NoAuthorities,
    /// The provider has no common protocol version.
    #[error("TLS could not be set up")]
    Setup(#[source] rustls::Error),
}

/// Opens TLS connections.
#[derive(Clone)]
pub struct TlsConnector {
    tcp: TcpConnector,
    tls: tokio_rustls::TlsConnector,
}

impl std::fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConnector").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

impl TlsConnector {
    /// A connector that trusts what `config` names.
    ///
    /// # Errors
    /// When the trusted certificates cannot be loaded.
    pub fn new(tcp: TcpConfig, config: &TlsConfig) -> Result<Self, TlsConfigError> {
        Self::trusting(tcp, trusted(config)?)
    }

    fn trusting(tcp: TcpConfig, roots: RootCertStore) -> Result<Self, TlsConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Setup)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tcp: TcpConnector::new(tcp), tls: Arc::new(tls).into() })
    }

    /// Shakes hands with the broker `host` over `socket`.
    async fn secure<S>(&self, host: &str, socket: S) -> Result<TlsStream<S>, TransportError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.tls.connect(server_name(host)?, socket).await.map_err(TransportError::Tls)
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, TransportError> {
    ServerName::try_from(host.to_owned())
        .map_err(|error| TransportError::NoSuchHost(io::Error::new(io::ErrorKind::InvalidInput, error)))
}

fn trusted(config: &TlsConfig) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &config.ca_file {
        let unusable = |source| TlsConfigError::CaFile { path: path.clone(), source };
        for certificate in CertificateDer::pem_file_iter(path).map_err(unusable)? {
            roots.add(certificate.map_err(unusable)?).map_err(TlsConfigError::Certificate)?;
        }
        if roots.is_empty() {
            return Err(unusable(rustls::pki_types::pem::Error::NoItemsFound));
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() { Err(TlsConfigError::NoAuthorities) } else { Ok(roots) }
}

impl Connector for TlsConnector {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Opening<'a> {
        Box::pin(async move {
            // A name that no certificate can have is refused before anybody is bothered.
            server_name(host)?;
            let tcp = self.tcp.open(host, port).await?;
            let stream = self.secure(host, LowWater::new(tcp)).await?;
            Ok(Box::new(stream) as Box<dyn super::Stream>)
        })
    }
}

#[cfg(test)]
mod tests;
