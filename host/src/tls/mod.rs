//! TLS 1.2 and 1.3 (by rustls) under the connections of [`net`](crate::net): whom a client trusts, and who a server is.
//!
//! A [`Trust`] is what [`Net`](crate::net::Net) holds servers to in `connect_secure`: the roots of the system, or those of
//! one file. An [`Identity`] is the certificate and key of a server, for [`Net::listen_secure`](crate::net::Net::listen_secure).
//! Both are cheap to clone, and shared by all connections. The protocol spoken inside is agreed to be HTTP/1.1 (ALPN).
//! A connection holds at most about 128 KiB: 64 KiB on their way out, and a record or a handshake on its way in.
//!
//! ```no_run
//! use tidemill_core::net::Stack;
//! use tidemill_host::net::Net;
//! use tidemill_host::tls::{Identity, Trust};
//!
//! let mut net = Net::new(8)?;
//! let identity = Identity::from_pem_files("server.pem".as_ref(), "server.key".as_ref())?;
//! let listener = net.listen_secure("127.0.0.1:0".parse()?, 16, &identity)?;
//! net.set_trust(Trust::from_pem_file("ca.pem".as_ref())?);
//! let client = net.connect_secure(net.local_addr(listener)?, "localhost")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

pub(crate) use error::reason;
pub(crate) use session::Session;

/// The one protocol that is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// Why certificates or a key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read, or is not PEM.
    File(PathBuf, pem::Error),
    /// There is no certificate in the file.
    NoCertificate(PathBuf),
    /// The system has no root certificates; why, if it says so.
    NoRoots(String),
    /// The certificate and the key do not go together, or are of a kind that cannot be used.
    Unusable(rustls::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, pem::Error::Io(error)) => {
                write!(f, "{}: {}", path.display(), crate::words::of_error(error))
            }
            Self::File(path, pem::Error::NoItemsFound) => write!(f, "{}: no private key in it", path.display()),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoCertificate(path) => write!(f, "{}: no certificate in it", path.display()),
            Self::NoRoots(why) => write!(f, "the system has no root certificates: {why}"),
            Self::Unusable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::Unusable(error) => Some(error),
            Self::NoCertificate(_) | Self::NoRoots(_) => None,
        }
    }
}

/// Who may vouch for a server.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The system's roots, read now. The variables `SSL_CERT_FILE` and `SSL_CERT_DIR` put others in their place.
    ///
    /// # Errors
    /// [`Error::NoRoots`].
    pub fn system() -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
            return Err(Error::NoRoots(why));
        }
        Self::roots(roots)
    }

    /// The certificates of a PEM file and no others: those of authorities, or of one server that vouches for itself.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::NoCertificate`], [`Error::Unusable`].
    pub fn from_pem_file(path: &Path) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(Error::Unusable)?;
        }
        Self::roots(roots)
    }

    fn roots(roots: RootCertStore) -> Result<Self, Error> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let mut config = builder.map_err(Error::Unusable)?.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![ALPN.into()];
        Ok(Self(Arc::new(config)))
    }
}

/// Who a server is.
#[derive(Clone, Debug)]
pub struct Identity(pub(crate) Arc<ServerConfig>);

impl Identity {
    /// From a PEM file with the server's certificate and those between it and a root, in this order, and one with its
    /// private key (PKCS#8, SEC1 or PKCS#1). Both may be the same file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::NoCertificate`], [`Error::Unusable`].
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| Error::File(key.into(), error))?;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(Error::Unusable)?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(Error::Unusable)?;
        config.alpn_protocols = vec![ALPN.into()];
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |error| Error::File(path.into(), error);
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() { Err(Error::NoCertificate(path.into())) } else { Ok(found) }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
