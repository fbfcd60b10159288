//! tidemill on an operating system: what `tidemill-core` leaves to a world, bound to sockets, files and threads.
//!
//! | module | what lives there |
//! |---|---|
//! | [`cookies`] | cookies in files: Netscape's `cookies.txt`, and LWP's |
//! | [`download`] | files, resume journal and progress around [`tidemill_core::fetch`] |
//! | [`frame`] | the checksum of core's frames, by the processor |
//! | [`http`] | Python's `urllib.request`: `urlopen`, `Request`, openers and their handlers |
//! | [`ipc`] | pipes, queues, locks and connections between processes |
//! | [`net`] | OS sockets behind [`tidemill_core::net::Stack`], the readiness loop, name resolution |
//! | [`process`] | functions run in other processes, pools of these, and commands side by side |
//! | [`remote`] | tasks on another machine, as a microcontroller behind a serial line, and their futures |
//! | [`serve`] | a folder, served over HTTP |
//! | [`dispatch`] | `asyncore` and `asynchat`: handlers for many sockets on one thread |
//! | [`socket`] | Python's `socket`: every family, type and call |
//! | [`threads`] | `concurrent.futures` and `threading`: a pool, futures, thread-locals, timers, a scheduler, queues |
//! | [`tls`] | whom a client trusts, and who a server is |
//! | `url` | with the feature `idna`: domains beyond ASCII |
//!
//! A folder served, and a file of it downloaded, both over the system's sockets:
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicBool, Ordering::Relaxed}};
//! use tidemill_host::download::{self, Event, Observer, Target, download};
//! use tidemill_host::serve::{self, Server};
//!
//! struct Quiet;
//! impl Observer for Quiet {
//!     fn observe(&mut self, _: &Event<'_>) {}
//! }
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("tide.txt"), "high water")?;
//! let mut server = Server::bind(&serve::Options::new(folder.path(), "127.0.0.1:0".parse()?), |_| ())?;
//! let (address, waker, stop) = (server.local_addr(), server.waker(), Arc::new(AtomicBool::new(false)));
//! let thread = std::thread::spawn({
//!     let stop = stop.clone();
//!     move || server.run(&stop)
//! });
//!
//! let copy = folder.path().join("copy.txt");
//! let options = download::Options::new(&format!("http://{address}/tide.txt"), Target::File(copy.clone()));
//! assert_eq!(download(&options, &mut Quiet)?.bytes, 10);
//! assert_eq!(std::fs::read(copy)?, b"high water");
//!
//! stop.store(true, Relaxed);
//! waker.wake();
//! thread.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cookies;
pub mod dispatch;
pub mod download;
pub mod frame;
pub mod http;
pub mod ipc;
mod log;
pub mod net;
pub mod process;
pub mod remote;
pub mod serve;
pub mod socket;
pub mod threads;
pub mod tls;
#[cfg(feature = "idna")]
pub mod url;
mod words;
