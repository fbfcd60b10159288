//! No UDP sockets: what `datagram` is without the feature `udp`. There are none, so that nothing of this is ever called.
#![allow(
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    clippy::needless_pass_by_ref_mut,
    reason = "as in `datagram`"
)]

use super::Smoltcp;
use super::ready::Readiness;
use core::convert::Infallible;
use core::marker::PhantomData;
use core::net::SocketAddr;
use smoltcp::iface::SocketSet;
use smoltcp::phy::Device;

/// How many UDP sockets one stack can have.
pub const DATAGRAM_SOCKETS_MAX: usize = 0;

/// Who waits for them: nobody. A queue has at least one place.
pub(super) type Ready = Readiness<1>;

/// No socket.
pub(super) struct Slot<'a> {
    never: Infallible,
    sockets: PhantomData<SocketSet<'a>>,
}

impl<'a> Slot<'a> {
    pub(super) fn port(&self) -> u16 {
        match self.never {}
    }

    pub(super) fn has_unsent(&self) -> bool {
        match self.never {}
    }

    pub(super) fn is_held_as(&self, _: u16) -> bool {
        match self.never {}
    }

    pub(super) fn set(&self) -> &SocketSet<'a> {
        match self.never {}
    }

    pub(super) fn set_mut(&mut self) -> &mut SocketSet<'a> {
        match self.never {}
    }
}

impl<D: Device, const N: usize> Smoltcp<'_, D, N> {
    pub(super) fn datagram_addr(&self, _: usize) -> Option<SocketAddr> {
        None
    }

    pub(super) fn close_datagram(&mut self, _: usize) {}

    pub(super) fn end_datagrams(&mut self) {}

    pub(super) fn wake_datagrams(&mut self) {}

    pub(super) fn wake_datagram_if_ready(&mut self, _: usize) {}
}
