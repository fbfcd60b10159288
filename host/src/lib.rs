//! tidemill on an operating system.
