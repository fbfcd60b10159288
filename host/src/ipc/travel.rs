//! How what is made of descriptors travels among bytes.
//!
//! While a value is encoded for another process, each descriptor in it is put aside and a number written in its place; there
//! the descriptors come with the bytes, and the number finds its own. serde has no room for that beside the value, so it is
//! kept with the thread.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Error;
use crate::socket::Socket;

thread_local! {
    /// Those that were met, while something is encoded for another process.
    static MET: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
    /// Those that came, while it is decoded.
    static CAME: RefCell<Vec<Option<OwnedFd>>> = const { RefCell::new(Vec::new()) };
    /// What is dropped now lives on in another process.
    static GIVEN: Cell<bool> = const { Cell::new(false) };
}

/// Encodes, with what was met.
pub(crate) fn pack<R>(encode: impl FnOnce() -> R) -> (R, Vec<OwnedFd>) {
    struct Restore(Option<Vec<OwnedFd>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            MET.set(self.0.take());
        }
    }
    let restore = Restore(MET.replace(Some(Vec::new())));
    let encoded = encode();
    let met = MET.take().unwrap_or_default();
    drop(restore);
    (encoded, met)
}

/// Decodes, with what came. What nothing asks for is closed.
pub(crate) fn unpack<R>(came: Vec<OwnedFd>, decode: impl FnOnce() -> R) -> R {
    struct Restore(Vec<Option<OwnedFd>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CAME.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(CAME.replace(came.into_iter().map(Some).collect()));
    decode()
}

/// Puts a copy of a descriptor aside: the number to be written in its place.
pub(super) fn put(descriptor: BorrowedFd<'_>) -> Result<u32, Error> {
    let copy = descriptor.try_clone_to_owned()?;
    MET.with_borrow_mut(|met| {
        let met = met.as_mut().ok_or(Error::CannotTravel)?;
        met.push(copy);
        Ok(met.len() as u32 - 1)
    })
}

/// The descriptor of this number, once.
pub(super) fn take(number: u32) -> Result<OwnedFd, Error> {
    CAME.with_borrow_mut(|came| came.get_mut(number as usize).and_then(Option::take)).ok_or(Error::CannotTravel)
}

/// Drops what another process has a copy of, and goes on with.
pub(crate) fn give_away<T>(value: T) {
    let before = GIVEN.replace(true);
    drop(value);
    GIVEN.set(before);
}

/// Whether what is dropped now lives on in another process.
pub(super) fn is_given() -> bool {
    GIVEN.get()
}

/// A descriptor that can be an argument of a [`Process`](crate::process::Process), or be sent through a [pipe](super::pipe).
///
/// ```
/// use std::io::{Read, Write};
/// use tidemill_host::ipc::{Descriptor, pipe};
///
/// let (mut mill, mut pond) = pipe(true)?;
/// let (mut from, to) = std::io::pipe()?;
/// mill.send(&Descriptor(to.into()))?;
/// let Descriptor(to) = pond.recv()?;
/// std::fs::File::from(to).write_all(b"tide")?;
/// let mut four = [0; 4];
/// from.read_exact(&mut four)?;
/// assert_eq!(&four, b"tide");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Descriptor(
    /// The descriptor.
    pub OwnedFd,
);

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        put(self.0.as_fd()).map_err(serde::ser::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        take(u32::deserialize(from)?).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The sockets whose end tells the other side of this one's.
static LINES: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// A socket by whose end the other side knows that this one has gone. A forked child that was not given it lets go of it.
#[derive(Debug)]
pub(super) struct Line(pub(super) Socket);

impl Line {
    pub(super) fn new(socket: Socket) -> Self {
        use std::os::fd::AsRawFd as _;
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(socket.as_raw_fd());
        Self(socket)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        use std::os::fd::AsRawFd as _;
        let number = self.0.as_raw_fd();
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = lines.iter().position(|&line| line == number) {
            lines.swap_remove(at);
        }
    }
}

/// The numbers of the sockets that a forked child has to let go of.
pub(crate) fn lines() -> Vec<i32> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
