//! tidemill on an operating system.

pub mod download;
