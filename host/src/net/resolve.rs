//! Names to addresses, off the loop.
//!
//! The system's resolver blocks, for half a minute when it goes badly, so each look-up gets a short-lived thread of its
//! own: one name whose servers are dead holds up no other. At most [`MAX_LOOKUPS`] run at once. A literal address needs
//! no thread. The answer is at most [`MAX_ADDRESSES`] addresses in the order in which to try them: as the system sorted
//! them, but with the families taking turns (RFC 8305, section 4), so that one dead family costs a single attempt.
//!
//! ```
//! use tidemill_host::net::{Net, resolve::Resolver};
//!
//! let mut net = Net::new(1)?;
//! let mut resolver = Resolver::new(net.waker());
//! let lookup = resolver.start("localhost", 80)?;
//! let addresses = loop {
//!     match resolver.poll(lookup) {
//!         Err(nb::Error::WouldBlock) => net.wait(None)?,
//!         Err(nb::Error::Other(error)) => return Err(error.into()),
//!         Ok(addresses) => break addresses,
//!     }
//! };
//! assert!(addresses.iter().all(|address| address.port() == 80));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::Waker;

/// How many addresses of one name are kept.
pub const MAX_ADDRESSES: usize = 8;

/// How many look-ups may be under way at once, those given up included.
pub const MAX_LOOKUPS: usize = 16;

/// The longest name the domain name system can carry, in bytes (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

/// Why there is no address.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The name is empty, too long, or holds a NUL: no resolver could be asked.
    Name,
    /// [`MAX_LOOKUPS`] are under way: poll or give up another first.
    Full,
    /// The resolver says no, in its own words; another try later may do.
    Failed(String),
    /// The look-up is over: its answer has been taken, or it was given up.
    Stale,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name => f.write_str("not a host name"),
            Self::Full => f.write_str("too many names are being looked up"),
            Self::Failed(reason) => f.write_str(reason),
            Self::Stale => f.write_str("stale look-up"),
        }
    }
}

impl std::error::Error for Error {}

/// Names a look-up of one [`Resolver`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lookup {
    index: usize,
    generation: u64,
}

type Answer = Result<Vec<SocketAddr>, Error>;

#[derive(Debug)]
enum State {
    Free,
    Asked,
    /// Nobody waits any more, but the thread has not come back.
    GivenUp,
    Answered(Answer),
}

/// Looks names up without blocking its owner. See the [module](self).
#[derive(Debug)]
pub struct Resolver {
    waker: Waker,
    slots: [(u64, State); MAX_LOOKUPS],
    answers: Receiver<(usize, Answer)>,
    answer_to: Sender<(usize, Answer)>,
}

impl Resolver {
    /// A resolver that uses `waker` whenever an answer has come in.
    pub fn new(waker: Waker) -> Self {
        let (answer_to, answers) = channel();
        Self { waker, slots: [const { (0, State::Free) }; MAX_LOOKUPS], answers, answer_to }
    }

    /// Starts to look `host` up: a name, or a literal address (IPv6 with or without brackets).
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Full`]; [`Error::Failed`] if the system gives no thread.
    pub fn start(&mut self, host: &str, port: u16) -> Result<Lookup, Error> {
        if host.is_empty() || host.len() > MAX_NAME || host.contains('\0') {
            return Err(Error::Name);
        }
        self.collect();
        let index = self.slots.iter().position(|(_, state)| matches!(state, State::Free)).ok_or(Error::Full)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let state = if let Ok(ip) = bare.parse::<IpAddr>() {
            State::Answered(Ok(vec![SocketAddr::new(ip, port)]))
        } else {
            self.ask(index, bare.to_owned(), port)?;
            State::Asked
        };
        let slot = &mut self.slots[index];
        slot.0 += 1;
        slot.1 = state;
        Ok(Lookup { index, generation: slot.0 })
    }

    fn ask(&self, index: usize, host: String, port: u16) -> Result<(), Error> {
        let (answer_to, waker) = (self.answer_to.clone(), self.waker.clone());
        let ask = move || {
            let answer = (host.as_str(), port).to_socket_addrs();
            let answer = answer.map(in_turns).map_err(|error| Error::Failed(error.to_string()));
            // The resolver may be gone by now: then nobody wants to know.
            let _ = answer_to.send((index, answer));
            waker.wake();
        };
        thread::Builder::new()
            .name("tidemill-resolve".to_owned())
            .spawn(ask)
            .map(drop)
            .map_err(|error| Error::Failed(error.to_string()))
    }

    /// The answer, once: at least one and at most [`MAX_ADDRESSES`] addresses, best first.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Stale`].
    pub fn poll(&mut self, lookup: Lookup) -> nb::Result<Vec<SocketAddr>, Error> {
        self.collect();
        let (generation, state) = &mut self.slots[lookup.index];
        if *generation != lookup.generation {
            return Err(Error::Stale.into());
        }
        match std::mem::replace(state, State::Free) {
            State::Answered(answer) => Ok(answer?),
            State::Free => Err(Error::Stale.into()),
            waiting => {
                let given_up = matches!(waiting, State::GivenUp);
                *state = waiting;
                Err(if given_up { Error::Stale.into() } else { nb::Error::WouldBlock })
            }
        }
    }

    /// Gives a look-up up. Its slot is free when the system's resolver has come back.
    pub fn give_up(&mut self, lookup: Lookup) {
        self.collect();
        let (generation, state) = &mut self.slots[lookup.index];
        if *generation == lookup.generation {
            *state = match state {
                State::Asked | State::GivenUp => State::GivenUp,
                State::Answered(_) | State::Free => State::Free,
            };
        }
    }

    fn collect(&mut self) {
        while let Ok((index, answer)) = self.answers.try_recv() {
            let state = &mut self.slots[index].1;
            *state = if matches!(state, State::GivenUp) { State::Free } else { State::Answered(answer) };
        }
    }
}

/// How many threads of [`addresses`] are under way.
static ASKING: AtomicUsize = AtomicUsize::new(0);

/// The addresses of a host, as [`Resolver`] finds them, for who can wait, but no longer than `within`. At most
/// [`MAX_LOOKUPS`] wait at once in the whole process.
///
/// # Errors
/// [`Error::Name`], [`Error::Full`], [`Error::Failed`]; `None` if there was no answer in time.
pub fn addresses(host: &str, port: u16, within: Duration) -> Result<Option<Vec<SocketAddr>>, Error> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Some(vec![SocketAddr::new(ip, port)]));
    }
    if host.is_empty() || host.len() > MAX_NAME || host.contains('\0') {
        return Err(Error::Name);
    }
    if ASKING.fetch_add(1, Ordering::Relaxed) >= MAX_LOOKUPS {
        ASKING.fetch_sub(1, Ordering::Relaxed);
        return Err(Error::Full);
    }
    let (answer_to, answers) = channel();
    let host = bare.to_owned();
    let ask = move || {
        let answer = (host.as_str(), port).to_socket_addrs().map(in_turns);
        ASKING.fetch_sub(1, Ordering::Relaxed);
        // Whoever asked may have given up.
        let _ = answer_to.send(answer.map_err(|error| Error::Failed(error.to_string())));
    };
    if let Err(error) = thread::Builder::new().name("tidemill-resolve".to_owned()).spawn(ask) {
        ASKING.fetch_sub(1, Ordering::Relaxed);
        return Err(Error::Failed(error.to_string()));
    }
    answers.recv_timeout(within).map_or(Ok(None), |answer| answer.map(Some))
}

/// The addresses with their families taking turns, each family in its given order.
fn in_turns(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in found.take(16 * MAX_ADDRESSES) {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let six_first = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = unique.into_iter().partition(|address| address.is_ipv6() == six_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(MAX_ADDRESSES);
    while ordered.len() < MAX_ADDRESSES {
        let before = ordered.len();
        ordered.extend(first.next());
        ordered.extend(second.next());
        if ordered.len() == before {
            break;
        }
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;

    fn answer(resolver: &mut Resolver, net: &mut Net, lookup: Lookup) -> Answer {
        loop {
            match resolver.poll(lookup) {
                Ok(addresses) => return Ok(addresses),
                Err(nb::Error::Other(error)) => return Err(error),
                Err(nb::Error::WouldBlock) => net.wait(None).unwrap(),
            }
        }
    }

    #[test]
    fn families_take_turns_each_in_its_own_order() {
        let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1", "[::2]:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(in_turns(found.into_iter()), expected);
        let many = (0..40).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(in_turns(many.clone()), many.take(MAX_ADDRESSES).collect::<Vec<_>>());
    }

    #[test]
    fn a_literal_needs_no_thread() {
        let mut resolver = Resolver::new(Net::new(1).unwrap().waker());
        for (host, expected) in [("127.0.0.1", "127.0.0.1:8"), ("[::1]", "[::1]:8"), ("::1", "[::1]:8")] {
            let lookup = resolver.start(host, 8).unwrap();
            assert_eq!(resolver.poll(lookup), Ok(vec![expected.parse().unwrap()]));
            assert_eq!(resolver.poll(lookup), Err(nb::Error::Other(Error::Stale)), "an answer is taken once");
        }
    }

    #[test]
    fn a_name_is_found_and_a_wrong_one_fails_with_a_reason() {
        let mut net = Net::new(1).unwrap();
        let mut resolver = Resolver::new(net.waker());
        let lookup = resolver.start("localhost", 80).unwrap();
        assert!(answer(&mut resolver, &mut net, lookup).unwrap().iter().all(|address| address.ip().is_loopback()));
        let lookup = resolver.start("no such name", 80).unwrap();
        assert!(matches!(answer(&mut resolver, &mut net, lookup), Err(Error::Failed(reason)) if !reason.is_empty()));
        for bad in ["", "a\0b", &"a".repeat(256)] {
            assert_eq!(resolver.start(bad, 80), Err(Error::Name));
        }
    }

    #[test]
    fn lookups_are_bounded_and_one_given_up_gives_its_place_back() {
        let mut resolver = Resolver::new(Net::new(1).unwrap().waker());
        let lookups: Vec<_> = (0..MAX_LOOKUPS).map(|_| resolver.start("127.0.0.1", 1).unwrap()).collect();
        assert_eq!(resolver.start("127.0.0.1", 1), Err(Error::Full));
        resolver.give_up(lookups[3]);
        assert_eq!(resolver.poll(lookups[3]), Err(nb::Error::Other(Error::Stale)));
        assert!(resolver.start("127.0.0.1", 1).is_ok());
        assert_eq!(resolver.poll(lookups[3]), Err(nb::Error::Other(Error::Stale)), "the place has another occupant");
    }
}
