//! Messages in several buffers, with what travels beside the bytes: descriptors, credentials, times, addresses.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

use nix::libc;
use nix::poll::PollFlags;
use socket2::MsgHdr;

use super::{Address, Error, Flags, Socket, sys};

/// Something that came beside the bytes of a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Control {
    /// Descriptors, close-on-exec, closed when dropped. Python's `SCM_RIGHTS`.
    Descriptors(Vec<OwnedFd>),
    /// Who sent it, vouched for by the kernel. Has to be asked for with [`PassCred`](super::option::PassCred).
    Credentials {
        /// The process.
        pid: i32,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// When the kernel got it. Has to be asked for with [`ReceiveTimestampns`](super::option::ReceiveTimestampns) or
    /// [`ReceiveTimestamp`](super::option::ReceiveTimestamp).
    Timestamp(SystemTime),
    /// Where a datagram arrived. Has to be asked for with [`Ipv4PacketInfo`](super::option::Ipv4PacketInfo) or
    /// [`Ipv6RecvPacketInfo`](super::option::Ipv6RecvPacketInfo).
    PacketInfo {
        /// The number of the interface.
        interface: u32,
        /// The address it was sent to.
        to: IpAddr,
    },
    /// Anything else, as it came.
    Other {
        /// The protocol, `cmsg_level`.
        level: i32,
        /// `cmsg_type`.
        kind: i32,
        /// `cmsg_data`.
        data: Vec<u8>,
    },
}

/// Something to send beside the bytes of a message.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ancillary<'a> {
    /// Descriptors; the receiver gets its own. The kernel takes at most 253. Python's `SCM_RIGHTS`.
    Descriptors(&'a [BorrowedFd<'a>]),
    /// Who sends. The kernel lets only the privileged say anything but the truth.
    Credentials {
        /// The process.
        pid: i32,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// A message that has come in.
#[derive(Debug)]
pub struct Received {
    /// How many bytes of it are in the buffers.
    pub bytes: usize,
    /// What came beside them.
    pub control: Vec<Control>,
    /// Who sent it; `None` where the kernel does not say (streams).
    pub address: Option<Address>,
    /// `MSG_TRUNC`: the datagram was longer than the buffers, and the rest is lost.
    pub truncated: bool,
    /// `MSG_CTRUNC`: there was no room for all that came beside; descriptors that did not fit are closed.
    pub control_truncated: bool,
    /// `MSG_EOR`: the end of a record.
    pub end_of_record: bool,
}

/// The head of each part of a control buffer: its length, then level and type.
const HEAD: usize = size_of::<usize>() + 2 * size_of::<i32>();

/// How many bytes of a control buffer `payload` bytes take: a descriptor is 4, credentials are 12, a timestamp is 16, and
/// packet information 12 or 20. Python's `CMSG_SPACE`.
///
/// ```
/// use tidemill_host::socket::cmsg_space;
/// let room_for_three_descriptors = cmsg_space(3 * 4);
/// assert_eq!(room_for_three_descriptors, 32);
/// ```
#[doc(alias = "CMSG_SPACE")]
pub const fn cmsg_space(payload: usize) -> usize {
    HEAD + payload.next_multiple_of(size_of::<usize>())
}

impl Socket {
    /// Receives a message of up to `size` bytes with up to `control` bytes beside it: see [`cmsg_space`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recvmsg(&self, size: usize, control: usize, flags: Flags) -> Result<(Vec<u8>, Received), Error> {
        let mut data = vec![0; size];
        let received = self.recvmsg_into(&mut [IoSliceMut::new(&mut data)], control, flags)?;
        data.truncate(received.bytes);
        Ok((data, received))
    }

    /// As [`recvmsg`](Self::recvmsg), into the caller's buffers, one after the other.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); [`Error::Os`] with `EMSGSIZE`: more than 1,024 buffers.
    pub fn recvmsg_into(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        control: usize,
        flags: Flags,
    ) -> Result<Received, Error> {
        let mut control = vec![0_usize; control.div_ceil(size_of::<usize>())];
        let received = self.patience().call(self.as_fd(), PollFlags::POLLIN, || {
            sys::recvmsg(self.as_fd(), buffers, &mut control, flags.bits())
        })?;
        let control: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).take(received.control).collect();
        let has = |flag| received.flags & flag != 0;
        let whole: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        Ok(Received {
            // With MSG_TRUNC asked for, the kernel says how long the datagram was.
            bytes: received.bytes.min(whole),
            control: parse(&control),
            address: Address::from_kernel(&received.address),
            truncated: has(libc::MSG_TRUNC),
            control_truncated: has(libc::MSG_CTRUNC),
            end_of_record: has(libc::MSG_EOR),
        })
    }

    /// Sends the buffers as one message, with what goes beside it. To `address`, or to its peer. How many bytes it were.
    ///
    /// # Errors
    /// As [`sendto`](Self::sendto); [`Error::Os`] with `EINVAL`: more than 253 descriptors; `EPERM`: credentials that are
    /// not one's own.
    pub fn sendmsg(
        &self,
        buffers: &[IoSlice<'_>],
        control: &[Ancillary<'_>],
        flags: Flags,
        address: Option<&Address>,
    ) -> Result<usize, Error> {
        let address = address.map(|address| self.checked(address)).transpose()?;
        let control = build(control);
        let mut message = MsgHdr::new().with_buffers(buffers);
        if !control.is_empty() {
            message = message.with_control(&control);
        }
        if let Some(address) = &address {
            message = message.with_addr(address);
        }
        let flags = (flags | Flags::MSG_NOSIGNAL).bits();
        self.call(PollFlags::POLLOUT, |socket| socket.sendmsg(&message, flags))
    }

    /// Sends bytes, at least one, with descriptors beside them. Python's `socket.send_fds`.
    ///
    /// # Errors
    /// As [`sendmsg`](Self::sendmsg).
    pub fn send_fds(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize, Error> {
        self.sendmsg(&[IoSlice::new(bytes)], &[Ancillary::Descriptors(descriptors)], Flags::empty(), None)
    }

    /// Receives up to `size` bytes and up to `descriptors` descriptors. Python's `socket.recv_fds`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_fds(&self, size: usize, descriptors: usize) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
        let (data, received) = self.recvmsg(size, cmsg_space(descriptors * size_of::<i32>()), Flags::empty())?;
        let mut all = Vec::new();
        for control in received.control {
            if let Control::Descriptors(descriptors) = control {
                all.extend(descriptors);
            }
        }
        Ok((data, all))
    }
}

/// The control buffer for what is to be sent.
fn build(parts: &[Ancillary<'_>]) -> Vec<u8> {
    let mut buffer = Vec::new();
    for part in parts {
        let (kind, payload): (i32, Vec<u8>) = match *part {
            Ancillary::Descriptors([]) => continue,
            Ancillary::Descriptors(descriptors) => {
                (libc::SCM_RIGHTS, descriptors.iter().flat_map(|fd| fd.as_raw_fd().to_ne_bytes()).collect())
            }
            Ancillary::Credentials { pid, uid, gid } => {
                (libc::SCM_CREDENTIALS, [pid.to_ne_bytes(), uid.to_ne_bytes(), gid.to_ne_bytes()].concat())
            }
        };
        buffer.extend((HEAD + payload.len()).to_ne_bytes());
        buffer.extend(libc::SOL_SOCKET.to_ne_bytes());
        buffer.extend(kind.to_ne_bytes());
        buffer.extend(&payload);
        buffer.resize(buffer.len().next_multiple_of(size_of::<usize>()), 0);
    }
    buffer
}

/// What is in a control buffer that the kernel filled.
fn parse(mut buffer: &[u8]) -> Vec<Control> {
    let mut parts = Vec::new();
    while let Some((len, rest)) = buffer.split_first_chunk().map(|(&len, rest)| (usize::from_ne_bytes(len), rest)) {
        let Some((&level, rest)) = rest.split_first_chunk() else { break };
        let Some((&kind, _)) = rest.split_first_chunk() else { break };
        let Some(payload) = buffer.get(HEAD..len) else { break };
        parts.push(part(i32::from_ne_bytes(level), i32::from_ne_bytes(kind), payload));
        buffer = buffer.get(len.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    }
    parts
}

fn part(level: i32, kind: i32, payload: &[u8]) -> Control {
    if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return Control::Descriptors(numbers(payload).map(sys::adopt).collect());
    }
    let known = match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => credentials(payload),
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMP) => timestamp(payload, 1000),
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => timestamp(payload, 1),
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => packet_info_4(payload),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => packet_info_6(payload),
        _ => None,
    };
    known.unwrap_or_else(|| Control::Other { level, kind, data: payload.into() })
}

fn numbers(payload: &[u8]) -> impl Iterator<Item = i32> + '_ {
    payload.as_chunks().0.iter().map(|&number| i32::from_ne_bytes(number))
}

fn credentials(payload: &[u8]) -> Option<Control> {
    let mut fields = numbers(payload);
    Some(Control::Credentials { pid: fields.next()?, uid: fields.next()? as u32, gid: fields.next()? as u32 })
}

/// Seconds since 1970, and a fraction in units of so many nanoseconds.
fn timestamp(payload: &[u8], unit: u32) -> Option<Control> {
    let (seconds, rest) = payload.split_first_chunk()?;
    let seconds = Duration::from_secs(u64::try_from(libc::time_t::from_ne_bytes(*seconds)).ok()?);
    let fraction = libc::c_long::from_ne_bytes(*rest.first_chunk()?);
    let fraction = Duration::from_nanos(u64::try_from(fraction).ok()?.checked_mul(u64::from(unit))?);
    SystemTime::UNIX_EPOCH.checked_add(seconds + fraction).map(Control::Timestamp)
}

/// `in_pktinfo`: the interface, the local address, the address in the packet.
fn packet_info_4(payload: &[u8]) -> Option<Control> {
    let interface = u32::from_ne_bytes(*payload.first_chunk()?);
    let to = Ipv4Addr::from(*payload.get(8..)?.first_chunk::<4>()?);
    Some(Control::PacketInfo { interface, to: to.into() })
}

/// `in6_pktinfo`: the address in the packet, the interface.
fn packet_info_6(payload: &[u8]) -> Option<Control> {
    let (to, rest) = payload.split_first_chunk::<16>()?;
    Some(Control::PacketInfo { interface: u32::from_ne_bytes(*rest.first_chunk()?), to: Ipv6Addr::from(*to).into() })
}
