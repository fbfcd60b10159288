//! What the link says for itself: hello, credit, confirmations, signs of life, goodbye. Each is a mark until it is written,
//! so that a peer, whatever it asks for, has one answer waiting at most.

use super::call::NEVER;
use super::{Error, Link, Phase};
use crate::frame::{Carrier, Flags, Frame, Header, Kind, encode};

/// Why a goodbye is said: the payload of one.
const DONE: u8 = 0;
const DENIED: u8 = 1;
const INCOMPATIBLE: u8 = 2;

impl Link<'_> {
    /// Puts a frame on the stage, which is empty.
    pub(super) fn stage_frame(&mut self, kind: Kind, flags: Flags, channel: u8, parts: [&[u8]; 2]) {
        // What was on the line before the first hello is no part of it.
        let before = usize::from(kind == Kind::Hello && self.config.carrier == Carrier::Line);
        if before > 0
            && let Some(delimiter) = self.regions.stage.first_mut()
        {
            *delimiter = 0;
        }
        let header = Header { kind, flags, channel, sequence: 0 };
        let out = self.regions.stage.get_mut(before..).unwrap_or_default();
        let len = encode(self.config.carrier, self.config.checksum, header, parts, out).unwrap_or(0);
        self.state.stage = 0..(before + len) as u8;
    }

    /// Puts the most urgent frame of the link's own on the stage, if there is one.
    pub(super) fn stage_due(&mut self) {
        if self.state.phase == Phase::Ended {
            return self.stage_last();
        }
        if core::mem::take(&mut self.state.hello_due) {
            if self.config.carrier == Carrier::Line && self.state.phase == Phase::Greeting {
                self.state.retry_at = self.state.now + self.config.retry;
            }
            return self.greet();
        }
        if self.state.phase == Phase::Greeting {
            return;
        }
        if self.state.ack_due {
            return self.confirm();
        }
        if let Some(token) = self.state.pong.take() {
            return self.stage_frame(Kind::Pong, Flags::NONE, 0, [&token.to_le_bytes(), &[]]);
        }
        let window = self.config.window;
        let due = (0..).zip(self.channels.iter_mut()).find(|(_, channel)| channel.credit_due || channel.blocked_due);
        if let Some((number, channel)) = due {
            let (kind, total) = if channel.credit_due {
                (Kind::Credit, channel.tell(window))
            } else {
                channel.blocked_due = false;
                (Kind::Blocked, channel.sent)
            };
            return self.stage_frame(kind, Flags::NONE, number, [&total.to_le_bytes(), &[]]);
        }
        if core::mem::take(&mut self.state.ping_due) {
            let token = self.state.now.as_ticks() as u32;
            return self.stage_frame(Kind::Ping, Flags::NONE, 0, [&token.to_le_bytes(), &[]]);
        }
        if self.state.closing {
            self.say_goodbye();
        }
    }

    fn say_goodbye(&mut self) {
        if self.repeating.is_some() {
            if !self.state.bye_sent {
                self.state.bye_sent = self.queue_frame(Kind::Goodbye, Flags::NONE, 0, 0, [&[DONE], &[]]);
            }
            return;
        }
        if !self.state.queue.is_empty() || (self.state.bye_sent && !self.state.bye_due) {
            return;
        }
        self.state.bye_sent = true;
        self.state.bye_due = false;
        if self.config.carrier == Carrier::Line {
            self.state.retry_at = self.state.now + self.config.retry;
        }
        self.stage_goodbye(DONE);
    }

    fn stage_goodbye(&mut self, reason: u8) {
        let flags = Flags::NONE.with_if(self.state.peer_done, Flags::DONE);
        self.stage_frame(Kind::Goodbye, flags, 0, [&[reason], &[]]);
    }

    /// After the end: a refusal, or the answer to a goodbye or a frame that comes again.
    fn stage_last(&mut self) {
        if core::mem::take(&mut self.state.bye_due) {
            self.stage_goodbye(match self.state.error {
                Some(Error::Denied) => DENIED,
                Some(_) => INCOMPATIBLE,
                None => DONE,
            });
        } else if self.state.ack_due {
            self.confirm();
        }
    }

    fn confirm(&mut self) {
        self.state.ack_due = false;
        let Some(repeating) = &self.repeating else { return };
        let confirmation = repeating.state.confirmation();
        self.stage_frame(Kind::Ack, Flags::NONE, 0, [&confirmation, &[]]);
    }

    /// Ends the link and tells the peer why.
    pub(super) fn refuse(&mut self, error: Error) {
        self.fail(error);
        self.state.bye_due = true;
    }

    /// What was not answered is said again.
    pub(super) fn retry(&mut self) {
        self.state.retry_at = NEVER;
        if self.state.phase == Phase::Greeting {
            self.state.hello_due = true;
            return;
        }
        let mut waits = false;
        for channel in self.channels.iter_mut() {
            channel.blocked_due |= channel.no_credit;
            waits |= channel.no_credit;
        }
        if self.state.bye_sent && !self.state.peer_done && self.repeating.is_none() {
            self.state.bye_due = true;
            waits = true;
        }
        if waits {
            self.state.retry_at = self.state.now + self.config.retry;
        }
    }

    /// The peer says goodbye.
    pub(super) fn goodbye(&mut self, frame: Frame<'_>) {
        match frame.payload {
            [DONE] => {}
            _ if self.state.phase == Phase::Ended => return,
            [DENIED] => return self.fail(Error::Denied),
            _ => return self.fail(Error::Incompatible),
        }
        if self.state.phase == Phase::Greeting {
            return self.stray();
        }
        if !core::mem::replace(&mut self.state.peer_done, true) {
            self.state.farewell = true;
        }
        // It has not heard ours.
        if self.state.bye_sent && self.repeating.is_none() && !frame.header.flags.has(Flags::DONE) {
            self.state.bye_due = self.state.error.is_none();
        }
        self.part();
    }

    /// Ends the link if both have said goodbye, and all is out.
    pub(super) fn part(&mut self) {
        if self.state.bye_sent && self.state.peer_done && self.is_flushed() {
            self.end(None);
        }
    }

    /// The peer gives credit.
    pub(super) fn credited(&mut self, frame: Frame<'_>) {
        let (Some(channel), Some(limit)) =
            (self.channels.get_mut(usize::from(frame.header.channel)), frame.payload.first_chunk())
        else {
            return self.stray();
        };
        let limit = u32::from_le_bytes(*limit);
        if limit.wrapping_sub(channel.limit) < 1 << 31 {
            channel.limit = limit;
            channel.writable |= core::mem::take(&mut channel.no_credit);
        }
    }

    /// The peer waits for credit, and tells how much it has spent: what is missing of it was lost.
    pub(super) fn peer_blocked(&mut self, frame: Frame<'_>) {
        let (Some(channel), Some(sent)) =
            (self.channels.get_mut(usize::from(frame.header.channel)), frame.payload.first_chunk())
        else {
            return self.stray();
        };
        if self.repeating.is_none() {
            channel.lost_until(u32::from_le_bytes(*sent));
        }
        channel.credit_due = true;
    }
}
