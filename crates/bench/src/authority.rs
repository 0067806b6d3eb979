//! An authority for the clusters' certificates.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use xtask::command::Failure;
use xtask::kafka::{Cluster, Options};

/// Signs certificates; its files are in the directory it was given.
pub(super) struct Authority {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Authority {
    pub(super) fn new(directory: &Path) -> Result<Self, Failure> {
        let signed = || {
            let mut params = CertificateParams::new(Vec::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        let issuer = signed().map_err(|error: rcgen::Error| cannot(&error))?;
        let authority = Self { directory: directory.to_owned(), issuer };
        write(&authority.ca_file(), &authority.issuer.pem())?;
        Ok(authority)
    }

    /// Its own certificate, in PEM.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Opens a TLS listener on the broker, with a certificate that names no address yet.
    pub(super) fn listener(&self, options: Options) -> Result<Options, Failure> {
        let key_store = self.key_store(&options.name);
        self.certify(&key_store, IpAddr::from([127, 0, 0, 1]))?;
        Ok(options
            .secure("SSL")
            .property("listener.name.client.ssl.keystore.type", "PEM")
            .property("listener.name.client.ssl.keystore.location", key_store.display().to_string()))
    }

    /// Gives the broker a certificate for the address it came to listen on, and starts it again with that.
    pub(super) fn certify_broker(&self, cluster: &mut Cluster) -> Result<(), Failure> {
        self.certify(&self.key_store(cluster.name()), cluster.address(1)?.ip())?;
        Ok(cluster.restart(1)?)
    }

    fn certify(&self, key_store: &Path, address: IpAddr) -> Result<(), Failure> {
        let signed = || {
            let mut params = CertificateParams::new(Vec::new())?;
            params.subject_alt_names = vec![SanType::IpAddress(address)];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(key.serialize_pem() + &certificate.pem())
        };
        write(key_store, &signed().map_err(|error: rcgen::Error| cannot(&error))?)
    }

    fn key_store(&self, cluster: &str) -> PathBuf {
        self.directory.join(format!("{cluster}.pem"))
    }
}

fn cannot(error: &rcgen::Error) -> Failure {
    Failure::Failed(format!("cannot make a certificate: {error}"))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(Failure::while_doing(format!("write {}", path.display())))
}
