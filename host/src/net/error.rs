//! What the system's error numbers mean to a caller of [`tidemill_core::net::Stack`].

use std::io;

use nix::libc;
use tidemill_core::net::Error;

/// The distinct outcome behind a system error.
pub(crate) fn failure(error: &io::Error) -> Error {
    let Some(code) = error.raw_os_error() else { return Error::Os(libc::EINVAL) };
    match code {
        libc::ECONNREFUSED => Error::Refused,
        libc::ECONNRESET | libc::ECONNABORTED => Error::Reset,
        libc::ETIMEDOUT => Error::TimedOut,
        libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENETDOWN | libc::EHOSTDOWN | libc::EAFNOSUPPORT => {
            Error::Unreachable
        }
        libc::EADDRINUSE => Error::AddressInUse,
        libc::EACCES | libc::EPERM => Error::Denied,
        libc::ENOTCONN => Error::NotConnected,
        libc::EPIPE => Error::Closed,
        libc::EMSGSIZE => Error::TooLong,
        _ if no_descriptor(error) => Error::Full,
        _ => Error::Os(code),
    }
}

/// Whether the process or the system has no room for another socket.
pub(super) fn no_descriptor(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
