//! How a link begins: each end greets, tells what it can take, proves that it has the key, and says what it has seen.
//!
//! ```text
//! us                                        peer
//! hello(what we can take)               ->
//!                                       <-  hello(what it can take, seen: ours, proof)
//! hello(ours, seen: its, proof, done)   ->
//! ```
//! Both may begin. A hello without `done` is answered, one with it is not, so that it ends. Until then nothing else is
//! read, and nothing longer than a hello.

use super::{Error, Link, Phase};
use crate::frame::{Flags, Frame, Kind, VERSION};

/// The part of a hello that stays the same: version, features, channels, a zero, payload, window and nonce.
pub(super) const FIXED_LEN: usize = 28;
const SEEN_LEN: usize = 4;
const PROOF_LEN: usize = 32;

/// The longest payload before the link is open.
pub(super) const HELLO_MAX: usize = FIXED_LEN + SEEN_LEN + PROOF_LEN;

const RELIABLE: u8 = 1;
const AUTH: u8 = 2;

/// What the peer has told of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    fixed: [u8; FIXED_LEN],
}

impl Peer {
    pub(super) const UNKNOWN: Self = Self { fixed: [0; FIXED_LEN] };

    /// No peer has version 0.
    const fn is_known(&self) -> bool {
        self.fixed[0] != 0
    }

    pub(super) const fn channels(&self) -> u8 {
        self.fixed[2]
    }

    const fn payload_max(&self) -> u32 {
        let [_, _, _, _, a, b, c, d, ..] = self.fixed;
        u32::from_le_bytes([a, b, c, d])
    }

    pub(super) const fn window(&self) -> u32 {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = self.fixed;
        u32::from_le_bytes([a, b, c, d])
    }
}

impl Link<'_> {
    fn fixed(&self) -> [u8; FIXED_LEN] {
        let features =
            if self.config.reliable { RELIABLE } else { 0 } | if self.config.key.is_some() { AUTH } else { 0 };
        let [p0, p1, p2, p3] = (self.config.payload_max as u32).to_le_bytes();
        let [w0, w1, w2, w3] = (self.config.window as u32).to_le_bytes();
        let mut fixed = [0; FIXED_LEN];
        if let Some((head, nonce)) = fixed.split_first_chunk_mut() {
            *head = [VERSION, features, self.channels.len() as u8, 0, p0, p1, p2, p3, w0, w1, w2, w3];
            nonce.copy_from_slice(&self.config.nonce);
        }
        fixed
    }

    /// Puts a hello on the stage.
    pub(super) fn greet(&mut self) {
        let fixed = self.fixed();
        let known = self.state.peer.is_known();
        let flags = Flags::NONE.with_if(known, Flags::SEEN).with_if(self.state.phase != Phase::Greeting, Flags::DONE);
        let mut rest = [0; SEEN_LEN + PROOF_LEN];
        let (seen, proof) = rest.split_at_mut(SEEN_LEN);
        seen.copy_from_slice(&nonce_start(&self.state.peer.fixed));
        let mut len = SEEN_LEN;
        if known && let Some(key) = self.config.key {
            proof.copy_from_slice(&proof::make(key, &fixed, &self.state.peer.fixed));
            len += PROOF_LEN;
        }
        self.stage_frame(Kind::Hello, flags, 0, [&fixed, rest.get(..len).unwrap_or_default()]);
    }

    /// The peer greets.
    pub(super) fn greeted(&mut self, frame: Frame<'_>) {
        let Some((fixed, rest)) = frame.payload.split_first_chunk::<FIXED_LEN>() else {
            self.state.stats.stray += 1;
            return;
        };
        if self.state.phase != Phase::Greeting {
            if *fixed != self.state.peer.fixed {
                self.fail(Error::Restarted);
            } else if !frame.header.flags.has(Flags::DONE) {
                self.state.hello_due = true;
            }
            return;
        }
        let ours = self.fixed();
        let peer = Peer { fixed: *fixed };
        let [_, features, ..] = *fixed;
        // A peer that has no key, or sends our own hello back to have its answer from us.
        if (features ^ ours[1]) & AUTH != 0 || (self.config.key.is_some() && *fixed == ours) {
            return self.refuse(Error::Denied);
        }
        if !peer.is_known()
            || features != ours[1]
            || (peer.payload_max() as usize) < super::config::PAYLOAD_MIN
            || (peer.window() as usize) < super::config::WINDOW_MIN
        {
            return self.refuse(Error::Incompatible);
        }
        self.state.peer = peer;
        self.state.hello_due = !frame.header.flags.has(Flags::DONE);
        let Some((seen, proof)) = rest.split_first_chunk::<SEEN_LEN>() else { return };
        if !frame.header.flags.has(Flags::SEEN) || *seen != nonce_start(&ours) {
            return;
        }
        if let Some(key) = self.config.key
            && !proof::holds(key, fixed, &ours, proof)
        {
            return self.refuse(Error::Denied);
        }
        self.open();
    }

    fn open(&mut self) {
        self.state.phase = Phase::Open;
        self.state.opened = true;
        let window = self.state.peer.window();
        let frame_max = self.config.frame_max().min(window as usize / 2 - crate::frame::HEADER_LEN);
        self.state.frame_max =
            frame_max.min(self.state.peer.payload_max() as usize).min(crate::frame::PAYLOAD_MAX) as u32;
        self.state.retry_at = super::call::NEVER;
        for channel in self.channels.iter_mut() {
            channel.open(self.config.window, window);
        }
    }
}

const fn nonce_start(fixed: &[u8; FIXED_LEN]) -> [u8; SEEN_LEN] {
    let [_, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d, ..] = *fixed;
    [a, b, c, d]
}

/// HMAC-SHA-256 of the two hellos, the prover's first: it holds for this link, this way round, and nothing else.
#[cfg(feature = "auth")]
mod proof {
    use super::{FIXED_LEN, PROOF_LEN};
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    const LABEL: &[u8] = b"tidemill frame 1";

    fn mac(key: &[u8], prover: &[u8; FIXED_LEN], verifier: &[u8; FIXED_LEN]) -> Option<Hmac<Sha256>> {
        // Keys of any length are taken, also empty ones.
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(LABEL);
        mac.update(prover);
        mac.update(verifier);
        Some(mac)
    }

    pub(super) fn make(key: &[u8], prover: &[u8; FIXED_LEN], verifier: &[u8; FIXED_LEN]) -> [u8; PROOF_LEN] {
        mac(key, prover, verifier).map_or([0; PROOF_LEN], |mac| mac.finalize().into_bytes().into())
    }

    /// In a time that does not tell how much of it is right.
    pub(super) fn holds(key: &[u8], prover: &[u8; FIXED_LEN], verifier: &[u8; FIXED_LEN], proof: &[u8]) -> bool {
        mac(key, prover, verifier).is_some_and(|mac| mac.verify_slice(proof).is_ok())
    }
}

/// Without the feature no endpoint has a key.
#[cfg(not(feature = "auth"))]
mod proof {
    use super::{FIXED_LEN, PROOF_LEN};

    pub(super) fn make(_: &[u8], _: &[u8; FIXED_LEN], _: &[u8; FIXED_LEN]) -> [u8; PROOF_LEN] {
        [0; PROOF_LEN]
    }

    pub(super) fn holds(_: &[u8], _: &[u8; FIXED_LEN], _: &[u8; FIXED_LEN], _: &[u8]) -> bool {
        false
    }
}
