//! What rustls complains about, as a caller of [`tidemill_core::net::Stack`] learns it.

use rustls::{CertificateError, Error};
use tidemill_core::net::TlsError;

/// The distinct outcome behind an error of rustls.
pub(crate) fn reason(error: &Error) -> TlsError {
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsError::WrongName,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsError::Expired,
            _ => TlsError::Certificate,
        },
        // What is no record at all begins with a type that there is not, or claims to be larger than a record can be.
        Error::InvalidMessage(_) => TlsError::NotTls,
        Error::AlertReceived(_) => TlsError::Alert,
        _ => TlsError::Protocol,
    }
}
