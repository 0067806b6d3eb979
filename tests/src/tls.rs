//! An authority for a test, and brokers with certificates that it signed.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use xtask::kafka::Options;

use crate::TestResult;
use crate::kafka::TemporaryDirectory;

/// Signs certificates; its files are removed with it.
pub struct Authority {
    directory: TemporaryDirectory,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, and a first key for a broker that names no address yet.
    pub fn new(name: &str) -> TestResult<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let authority = Self { directory: TemporaryDirectory::new(name)?, issuer };
        fs::write(authority.ca_file(), authority.issuer.pem())?;
        authority.certify(IpAddr::from([127, 0, 0, 1]))?;
        Ok(authority)
    }

    /// Its own certificate, in PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Opens a TLS listener on the brokers, with the key of [`certify`](Self::certify).
    pub fn listener(&self, options: Options) -> Options {
        options
            .secure("SSL")
            .property("listener.name.client.ssl.keystore.type", "PEM")
            .property("listener.name.client.ssl.keystore.location", self.key_store().display().to_string())
    }

    /// A new key for the broker at `address`; it is read when the broker starts.
    pub fn certify(&self, address: IpAddr) -> TestResult {
        let mut params = CertificateParams::new(Vec::new())?;
        params.subject_alt_names = vec![SanType::IpAddress(address)];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(fs::write(self.key_store(), key.serialize_pem() + &certificate.pem())?)
    }

    fn key_store(&self) -> PathBuf {
        self.directory.path().join("broker.pem")
    }
}
