//! The logic of tidemill: no operating system, no heap, no clock of its own.
//!
//! A program written against this crate runs the same on a microcontroller, on a host and in a deterministic
//! simulator. Time comes in as a value ([`time::Instant`]), what is due next goes out as a value, bytes move
//! through [`net::Stack`], and whatever is not ready yet says [`nb::Error::WouldBlock`].
//!
//! Interrupts: an interrupt sets a flag of [`wake`], or feeds a [`queue::FromInterrupt`], and the loop sees it in its next
//! turn.
//! Nothing else in this crate may be touched from one, but where it says so.
//!
//! | module | what lives there |
//! |---|---|
//! | [`time`] | ticks of one microsecond: `Instant`, `Duration`, `Clock` |
//! | [`random`] | keyed draws: randomness as a pure function |
//! | [`future`] | the life of a future: one state machine for every pool |
//! | [`task`] | the `nb`-style `Task` and what it may wait for |
//! | [`wake`] | flags that an interrupt or another core sets to have a task polled |
//! | [`pool`] | slots for tasks and their results, generational ids |
//! | [`sched`] | events by time, priority and order of entry: Python's `sched` |
//! | [`timer`] | the timer wheel: one-shot and periodic timers in constant time |
//! | [`queue`] | bounded queues between tasks, between cores, and from an interrupt |
//! | [`executor`] | the loop that turns tasks, and says until when it may sleep |
//! | [`cookie`] | cookies as browsers keep them, in a jar of fixed capacity: RFC 6265bis |
//! | [`fetch`] | the download engine: ranges, stealing, resume |
//! | [`frame`] | messages between programs over any wire: one frame, two carriers, channels, requests, an orderly end |
//! | [`http`] | HTTP/1.1 without sockets: client, server, ranges, conditions |
//! | [`robots`] | what a site asks of crawlers: RFC 9309, for one agent, in fixed memory |
//! | [`serve`] | servers of any protocol: so many connections, each a task; echo, lines, datagrams, and their clients |
//! | [`net`] | the network trait, its adapters, and the smoltcp stack; address classes, ports and their services |
//! | [`url`] | URLs: RFC 3986, Python's `urllib.parse`, and the URL Standard in a fixed buffer |
//!
//! | feature | what it adds |
//! |---|---|
//! | `smoltcp` | the TCP/IP stack of worlds without an operating system |
//! | `ipv6`, `udp` | that stack speaks IPv6, and UDP, as well |
//! | `idna` | domains beyond ASCII in URLs, by Unicode tables of 28 KiB |
//! | `serde` | frames carry typed messages, written by postcard |
//! | `auth` | the ends of a link prove that they have the same key, by HMAC-SHA-256 |
//! | `defmt` | every type can be formatted by defmt, and state changes are traced through it, at its level `trace` |
//! | `log` | state changes are traced through log, at its level `trace`; with both, defmt is taken |
//!
//! None is on by default; each works alone and with the others. Without `defmt` and `log` there is no tracing code at all.
#![no_std]
#![warn(clippy::float_arithmetic)]

#[cfg(test)]
extern crate std;

pub mod cookie;
pub mod executor;
pub mod fetch;
pub mod frame;
pub mod future;
pub mod http;
mod list;
mod log;
pub mod net;
mod pace;
pub mod pool;
pub mod queue;
pub mod random;
pub mod robots;
pub mod sched;
pub mod serve;
mod sync;
pub mod task;
pub mod time;
pub mod timer;
pub mod url;
pub mod wake;
