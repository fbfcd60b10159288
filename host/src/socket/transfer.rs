//! Bytes in and out: `recv`, `send`, and their relatives.

use std::fs;
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::sendfile::sendfile64;

use super::{Address, Error, Flags, Kind, Patience, Socket, sys};

/// How much of a file is read at once where the kernel cannot send it by itself.
const COPY: usize = 64 * 1024;

/// What one call of `sendfile` takes at most, page aligned.
const SENDFILE_MAX: u64 = 0x7fff_f000;

impl Socket {
    /// Receives up to `size` bytes: what is there of a stream, or one datagram. Empty: the end of the stream, for ever (or
    /// an empty datagram, or a `size` of 0). It takes memory for `size` bytes.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::TimedOut`]; [`Error::Os`]: reset (`ECONNRESET`), not connected (`ENOTCONN`).
    pub fn recv(&self, size: usize, flags: Flags) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; size];
        let bytes = self.recv_into(&mut buffer, flags)?;
        buffer.truncate(bytes);
        Ok(buffer)
    }

    /// As [`recv`](Self::recv), into the caller's buffer; how many bytes it were. With `MSG_TRUNC`, how long the datagram
    /// was, which may be more than the buffer has.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_into(&self, buffer: &mut [u8], flags: Flags) -> Result<usize, Error> {
        if buffer.is_empty() {
            // The kernel would wait for a byte that nobody wants.
            return Ok(0);
        }
        let fd = self.as_raw_fd();
        self.patience().call(self.as_fd(), PollFlags::POLLIN, || Ok(nix::sys::socket::recv(fd, buffer, flags)?))
    }

    /// As [`recv`](Self::recv), and who sent it; `None` where the kernel does not say (streams).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recvfrom(&self, size: usize, flags: Flags) -> Result<(Vec<u8>, Option<Address>), Error> {
        let mut buffer = vec![0; size];
        let (bytes, address) = self.recvfrom_into(&mut buffer, flags)?;
        buffer.truncate(bytes);
        Ok((buffer, address))
    }

    /// As [`recv_into`](Self::recv_into), and who sent it. To fill less than the whole buffer, pass a part of it: Rust's
    /// slices refuse what Python's `nbytes` beyond the buffer is refused for.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recvfrom_into(&self, buffer: &mut [u8], flags: Flags) -> Result<(usize, Option<Address>), Error> {
        let received = self.patience().call(self.as_fd(), PollFlags::POLLIN, || {
            sys::recvmsg(self.as_fd(), &mut [IoSliceMut::new(buffer)], &mut [], flags.bits())
        })?;
        Ok((received.bytes, Address::from_kernel(&received.address)))
    }

    /// Sends what there is room for; how many bytes it were.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::TimedOut`]; [`Error::Os`]: the peer has gone (`EPIPE`, `ECONNRESET`), the datagram
    /// is too long (`EMSGSIZE`).
    pub fn send(&self, bytes: &[u8], flags: Flags) -> Result<usize, Error> {
        self.send_within(self.patience(), bytes, flags)
    }

    fn send_within(&self, patience: Patience, bytes: &[u8], flags: Flags) -> Result<usize, Error> {
        let flags = (flags | Flags::MSG_NOSIGNAL).bits();
        patience.call(self.as_fd(), PollFlags::POLLOUT, || self.raw().send_with_flags(bytes, flags))
    }

    /// Sends all of it. The time limit counts for the whole. After an error nobody knows how much has gone out.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn sendall(&self, mut bytes: &[u8], flags: Flags) -> Result<(), Error> {
        let patience = self.patience();
        loop {
            let sent = self.send_within(patience, bytes, flags)?;
            bytes = bytes.get(sent..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends a datagram to `address`.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`Error::Family`], [`Error::PathLength`], [`Error::PathNul`].
    pub fn sendto(&self, bytes: &[u8], flags: Flags, address: impl Into<Address>) -> Result<usize, Error> {
        let address = self.checked(&address.into())?;
        let flags = (flags | Flags::MSG_NOSIGNAL).bits();
        self.call(PollFlags::POLLOUT, |socket| socket.send_to_with_flags(bytes, &address, flags))
    }

    /// Sends a file from `offset` on, `count` bytes of it or up to its end, without a copy where the kernel can. How many
    /// bytes it were. In the end, also after an error, the file stands behind what was sent. The time limit counts for
    /// each wait.
    ///
    /// # Errors
    /// [`Error::Kind`]: not a stream, or one that never waits. As [`send`](Self::send), and what reading the file fails
    /// with.
    pub fn sendfile(&self, file: &mut fs::File, offset: u64, count: Option<u64>) -> Result<u64, Error> {
        if self.kind() != Kind::Stream || !self.getblocking() {
            return Err(Error::Kind);
        }
        let mut sent = 0;
        let result = self.send_part(file, offset, count.unwrap_or(u64::MAX), &mut sent);
        match file.seek(SeekFrom::Start(offset + sent)) {
            // A pipe stands nowhere.
            Err(error) if error.raw_os_error() != Some(Errno::ESPIPE as i32) => result.and(Err(error.into())),
            _ => result.map(|()| sent),
        }
    }

    fn send_part(&self, file: &mut fs::File, offset: u64, count: u64, sent: &mut u64) -> Result<(), Error> {
        while *sent < count {
            let at = offset.checked_add(*sent).and_then(|at| i64::try_from(at).ok()).ok_or(Errno::EINVAL)?;
            let part = (count - *sent).min(SENDFILE_MAX);
            let call = || Ok(sendfile64(self.raw(), file.as_fd(), Some(&mut at.clone()), part as usize)?);
            match self.patience().call(self.as_fd(), PollFlags::POLLOUT, call) {
                Ok(0) => return Ok(()),
                Ok(bytes) => *sent += bytes as u64,
                // Not a file that the kernel can send from: a pipe, a device.
                Err(Error::Os(Errno::EINVAL | Errno::ENOSYS | Errno::ESPIPE)) if *sent == 0 => {
                    return self.copy_part(file, offset, count, sent);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
    fn copy_part(&self, file: &mut fs::File, offset: u64, count: u64, sent: &mut u64) -> Result<(), Error> {
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        let mut part = vec![0; COPY];
        let mut file = file.take(count);
        loop {
            match file.read(&mut part) {
                Ok(0) => return Ok(()),
                Ok(bytes) => {
                    self.sendall(part.get(..bytes).unwrap_or_default(), Flags::empty())?;
                    *sent += bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
