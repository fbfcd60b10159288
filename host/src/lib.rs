//! tidemill on an operating system: what `tidemill-core` leaves to a world, bound to sockets, files and threads.
//!
//! | module | what lives there |
//! |---|---|
//! | [`download`] | files, resume journal and progress around [`tidemill_core::fetch`] |
//! | [`net`] | OS sockets behind [`tidemill_core::net::Stack`], the readiness loop, name resolution |
//! | [`serve`] | a folder, served over HTTP |

pub mod download;
pub mod net;
pub mod serve;
mod words;
