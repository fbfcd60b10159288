//! End to end: the `tidemill` binary as a real process, against real servers and clients.
//!
//! [`Tidemill`] runs the binary in a folder of its own. It downloads from an [`Nginx`], a [`Python`] server, or an
//! [`Odd`] one that answers each request as a test wants it, and [`Serving`] is `tidemill serve`. What travels is
//! [`Content`]: bytes drawn from a seed, which need not be kept to be compared.
//!
//! ```
//! use tidemill_tests::e2e::{Answer, Content, Odd};
//! use std::io::{Read, Write};
//!
//! let content = Content::new(7, 1000);
//! let server = Odd::new(move |asked| Answer::honest(asked, content).cut_after(10));
//! let mut client = std::net::TcpStream::connect(server.address())?;
//! client.write_all(b"GET /f HTTP/1.1\r\nHost: h\r\nRange: bytes=100-\r\n\r\n")?;
//! let mut answer = Vec::new();
//! client.read_to_end(&mut answer)?;
//! assert!(answer.starts_with(b"HTTP/1.1 206 ") && answer.ends_with(&content.bytes(100..110)));
//! assert_eq!(server.asked()[0].range, Some((100, None)));
//! # Ok::<(), std::io::Error>(())
//! ```

mod apache;
mod command;
mod content;
mod nginx;
mod odd;
mod python;
mod serving;
mod tinyproxy;

pub use apache::Apache;
pub use command::{Outcome, Running, Tidemill};
pub use content::{Content, Random};
pub use nginx::{Logged, Nginx};
pub use odd::{Answer, Asked, Odd};
pub use python::Python;
pub use serving::Serving;
pub use tinyproxy::Tinyproxy;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to come up.
const STARTUP: Duration = Duration::from_secs(10);

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until `address` accepts connections; false: `child` has ended before.
fn comes_up(child: &mut Child, address: SocketAddr) -> bool {
    let start = Instant::now();
    while start.elapsed() < STARTUP {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("nothing listens at {address} after {STARTUP:?}");
}

/// Says aloud that something was not tested, past the test harness, which would keep it to itself.
pub fn not_tested(what: &str) {
    let _ = writeln!(std::io::stderr(), "\nNOT TESTED: {what}");
}
