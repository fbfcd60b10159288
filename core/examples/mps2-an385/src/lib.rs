//! A small firmware on tidemill: what its applications share.
//!
//! | module | what lives there | runs on |
//! |---|---|---|
//! | [`lan9118`] | the Ethernet controller behind smoltcp's `Device` | anything that has its registers |
//! | [`get`] | one GET, as a task | every world |
//! | [`remote`] | named requests over a serial line | every world |
//! | [`jobs`] | the tasks that can be asked for by name | every world |
//! | [`download`] | files of several connections, into memory, summed up | every world |
//! | [`mirror`] | a file, downloaded until it is there; tells how it went | every world |
//! | [`session`] | cookies and redirects | every world |
//! | [`pages`] | a status page and metrics | every world |
//! | [`services`] | echoes and greetings over TCP and UDP | every world |
//! | `board` | this board: clock, UARTs, network, memory, faults, logs, and the loop that sleeps | the board |
//!
//! Each application is a file in `src/bin`. What is not `board` knows no hardware, and is tested on the host:
//! `cargo test --lib --no-default-features --target x86_64-unknown-linux-gnu`.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(target_os = "none")]
pub mod board;
pub mod download;
pub mod get;
pub mod jobs;
pub mod lan9118;
pub mod mirror;
pub mod pages;
pub mod remote;
pub mod services;
pub mod session;
