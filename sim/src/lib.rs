//! A deterministic world of simulated hosts: real TCP/IP, hostile links, and time that costs nothing.
//!
//! A [`World`] holds hosts and the links between them. Each host runs the program that ships, on the TCP/IP stack that
//! ships; only the wire and the clock are made up. Time is virtual: the world jumps from event to event, so an hour of
//! waiting passes at once. Everything is drawn from one seed, keyed by what it is for, and every event goes into a
//! [`trace`] hash: the same seed gives the same hash on every machine, in debug and in release.
//!
//! | module | what lives there |
//! |---|---|
//! | [`world`] | hosts, links, virtual time; the run loop |
//! | [`host`] | a host that runs a program on a TCP/IP stack |
//! | [`bridge`] | an emulated machine as a host of a world, in lock step |
//! | [`link`] | latency, jitter, rate, queue, loss, damage, reordering, duplicates |
//! | [`frame`] | network cards, and the buffers of frames |
//! | [`fault`] | all that goes wrong, as plain data: of hosts, links, frames, clocks, and of the order of tasks |
//! | [`oracle`] | what must hold in every world: TCP on the wire, HTTP, streams, liveness |
//! | [`mill`] | a simulated download, as a `sim:` URL says |
//! | [`plan`] | a seed and its faults as a file that can be edited and replayed |
//! | [`check`] | seed sweeps that end in a plan to replay |
//! | [`report`] | a run as text, as a capture for Wireshark, and as a page |
//! | [`scenario`] | hosts, links, faults and what must hold, as a file; the built-in ones |
//! | [`serial`] | serial lines, with bits that are wrong and bytes that are lost or inserted |
//! | [`shrink`] | from a plan that fails to the faults that matter |
//! | [`trace`] | what happened, as a hash, and where two runs part |
//!
//! A download through a bad link, twice: the same seed, so the same time and the same hash over all events.
//!
//! ```
//! use tidemill_core::fetch::Options;
//! use tidemill_sim::mill::{Mill, Scenario};
//!
//! let scenario: Scenario = "sim://mill/64KiB?rtt=40ms&loss=2%&seed=7".parse()?;
//! let run = || {
//!     let mut mill = Mill::<40>::new(&scenario);
//!     let outcome = mill.download(&scenario, 4, Options::default()).unwrap().outcome;
//!     (outcome, mill.now(), mill.hash())
//! };
//! let first = run();
//! assert_eq!(first.0, Some(Ok(65_536)));
//! assert_eq!(run(), first);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`World`]: world::World

#![warn(clippy::float_arithmetic)]

pub mod bridge;
pub mod check;
mod checksum;
mod clock;
mod event;
pub mod fault;
pub mod frame;
pub mod host;
pub mod link;
pub mod mill;
pub mod oracle;
mod order;
pub mod plan;
pub mod report;
mod reset;
pub mod scenario;
pub mod serial;
pub mod shrink;
pub mod trace;
pub mod world;
