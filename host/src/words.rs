//! What the system says when something fails, in its own words.

use std::io;

use nix::errno::Errno;

/// The words for an error number, without the number.
pub(crate) fn of_number(code: i32) -> String {
    Errno::from_raw(code).desc().to_lowercase()
}

/// The words for an error: the system's where it has a number, else std's.
pub(crate) fn of_error(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), of_number)
}

/// The words for an error of the network.
pub(crate) fn of_network(error: tidemill_core::net::Error) -> String {
    match error {
        tidemill_core::net::Error::Os(code) => of_number(code),
        error => error.to_string(),
    }
}
