//! One socket of the table: who holds it, and how it got where it is.

use super::demux::Peer;
use crate::net::Error;
use crate::time::Instant;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};

/// Who holds a slot's socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Role {
    /// Nobody: the socket is closed and has no peer.
    Free,
    /// A listener: it waits for a connection, or holds one that was not accepted yet.
    Spare { listener: usize },
    /// A caller of `connect` who has not been told that it is up. With `failed` set it never will be.
    Connecting,
    /// A caller, and the connection has been up.
    Up,
    /// Nobody any more: it was closed or aborted and has yet to part from its peer.
    Lingering,
}

/// A slot of the table.
pub(super) struct Slot<'a> {
    /// Holds its socket, and no other.
    pub(super) set: SocketSet<'a>,
    pub(super) role: Role,
    /// Goes up when its holder gives the socket up, so that the handle is stale from then on.
    pub(super) generation: u16,
    /// State and unacknowledged bytes when last seen, and since when they have been so.
    seen: (State, usize),
    pub(super) since: Instant,
    /// The peer has ended its half. smoltcp forgets this when TIME-WAIT ends, so we keep it.
    pub(super) eof: bool,
    /// The holder has ended our half.
    pub(super) shut: bool,
    /// Why the connection is no more.
    pub(super) failed: Option<Error>,
}

/// The TCP socket of a set that holds one.
pub(super) fn tcp<'s, 'a>(set: &'s mut SocketSet<'a>) -> &'s mut Socket<'a> {
    // The handle of the first.
    set.get_mut(SocketHandle::default())
}

impl<'a> Slot<'a> {
    /// A free slot with this socket; `set` is empty and has room for it.
    pub(super) fn new(mut set: SocketSet<'a>, socket: Socket<'a>) -> Self {
        set.add(socket);
        Self {
            set,
            role: Role::Free,
            generation: 0,
            seen: (State::Closed, 0),
            since: crate::time::EPOCH,
            eof: false,
            shut: false,
            failed: None,
        }
    }

    pub(super) fn socket(&self) -> &Socket<'a> {
        self.set.get(SocketHandle::default())
    }

    pub(super) fn socket_mut(&mut self) -> &mut Socket<'a> {
        tcp(&mut self.set)
    }

    /// Who its socket talks to, if anybody.
    pub(super) fn peer(&self) -> Option<Peer> {
        let socket = self.socket();
        Some(Peer { remote: socket.remote_endpoint()?, port: socket.local_endpoint()?.port })
    }

    /// Begins a new life in `role`.
    pub(super) fn occupy(&mut self, role: Role, now: Instant) {
        self.role = role;
        self.seen = self.look();
        self.since = now;
        self.eof = false;
        self.shut = false;
        self.failed = None;
    }

    /// Its holder gives it up.
    pub(super) fn release(&mut self, now: Instant) {
        self.role = Role::Lingering;
        self.generation = self.generation.wrapping_add(1);
        self.since = now;
    }

    fn look(&self) -> (State, usize) {
        let socket = self.socket();
        (socket.state(), socket.send_queue())
    }

    /// Notes the outcome of a `connect` under way. After every frame, because a batch may bring the handshake's end *and* a
    /// reset, and afterwards that looks like a refusal.
    pub(super) fn observe_connecting(&mut self) {
        if self.is_connecting() {
            match self.socket().state() {
                State::SynSent | State::SynReceived => {}
                // Only a reset ends a handshake here: our own timeout sets `failed` itself.
                State::Closed => self.failed = Some(Error::Refused),
                _ => self.role = Role::Up,
            }
        }
    }

    /// Notes what the socket looks like now; whether the peer has just ended its half.
    pub(super) fn observe(&mut self, now: Instant) -> bool {
        let seen = self.look();
        if seen != self.seen {
            self.seen = seen;
            self.since = now;
        }
        let ended = !self.eof && matches!(seen.0, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        self.eof |= ended;
        ended
    }

    /// Whether a caller holds it.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.role, Role::Connecting | Role::Up)
    }

    /// Whether the outcome of a `connect` is open.
    pub(super) fn is_connecting(&self) -> bool {
        self.role == Role::Connecting && self.failed.is_none()
    }

    /// Whether `recv` would not block.
    pub(super) fn can_read(&self) -> bool {
        self.failed.is_some() || self.role == Role::Up && (self.eof || self.socket().can_recv())
    }

    /// Whether `send` or `connected` would not block.
    pub(super) fn can_write(&self) -> bool {
        let socket = self.socket();
        self.failed.is_some() || self.role == Role::Up && (self.shut || socket.can_send() || !socket.may_send())
    }
}

/// Whether everything we sent was acknowledged and only the peer can bring more: nothing is lost by cutting it off.
pub(super) fn is_spent(state: State) -> bool {
    matches!(state, State::Closed | State::TimeWait | State::FinWait2)
}

/// Whether the peer owes us an acknowledgement.
pub(super) fn is_outstanding(socket: &Socket<'_>) -> bool {
    socket.send_queue() > 0 || matches!(socket.state(), State::FinWait1 | State::Closing | State::LastAck)
}

/// Leaves the socket closed and without a peer, and nothing more to be sent.
pub(super) fn wipe(socket: &mut Socket<'_>) {
    socket.abort();
    // `listen` is smoltcp's only public way to forget a peer. It cannot fail: the socket is closed, the port not 0.
    let _ = socket.listen(1);
    socket.abort();
}
