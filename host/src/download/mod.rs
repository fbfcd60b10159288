//! Downloads into files: what the engine of `core` needs from an operating system.
//!
//! The bytes go into [`PartFile`], beside it the [`Journal`] keeps what is needed to resume, and a [`Hasher`] follows
//! to verify them.

mod checksum;
mod error;
mod journal;
mod part;

pub use checksum::{Hasher, ParseError, Sha256Sum};
pub use error::Error;
pub use journal::{Found, Journal, STATE_MAX};
pub use part::PartFile;
