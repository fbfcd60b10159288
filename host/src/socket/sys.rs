//! The unsafe part: a message received with what comes beside it, for which neither socket2 nor nix has a call that
//! keeps descriptors when something did not fit.
#![expect(unsafe_code, reason = "one system call, and descriptors that it made")]

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;
use socket2::SockAddr;

/// What the kernel left.
pub(super) struct Received {
    pub(super) bytes: usize,
    pub(super) address: SockAddr,
    pub(super) flags: i32,
    /// How much of the control buffer is filled.
    pub(super) control: usize,
}

/// `recvmsg(2)`, with `MSG_CMSG_CLOEXEC`: a descriptor that arrives is close-on-exec from birth.
pub(super) fn recvmsg(
    fd: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    control: &mut [usize],
    flags: i32,
) -> io::Result<Received> {
    let receive = |storage: *mut socket2::SockAddrStorage, len: *mut libc::socklen_t| {
        // SAFETY: all zeroes are a valid msghdr.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = storage.cast();
        // SAFETY: `len` is the pointer that `try_init` gave us, to a length that it set.
        header.msg_namelen = unsafe { *len };
        // An `IoSliceMut` is an iovec, as std guarantees.
        header.msg_iov = buffers.as_mut_ptr().cast();
        header.msg_iovlen = buffers.len() as _;
        header.msg_control = if control.is_empty() { std::ptr::null_mut() } else { control.as_mut_ptr().cast() };
        header.msg_controllen = size_of_val(control) as _;
        // SAFETY: every pointer in `header` is to memory that is borrowed for this call, of the length that stands
        // beside it; the kernel writes no more than that.
        let bytes = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags | libc::MSG_CMSG_CLOEXEC) };
        if bytes < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above; the kernel has set how much of the storage it wrote.
        unsafe { *len = header.msg_namelen };
        Ok((bytes as usize, header.msg_flags, header.msg_controllen as usize))
    };
    // SAFETY: `receive` leaves an address in the storage, and its length; of an unconnected peer the length is 0, and
    // the storage is zeroed.
    let ((bytes, flags, control), address) = unsafe { SockAddr::try_init(receive) }?;
    Ok(Received { bytes, address, flags, control })
}

/// Takes a descriptor that has come in a message: nobody else knows it.
pub(super) fn adopt(descriptor: i32) -> OwnedFd {
    // SAFETY: the caller read it from the SCM_RIGHTS part of a message just received, so the kernel has just made it
    // for this process, and each is adopted once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
