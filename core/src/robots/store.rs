//! What is kept: the agent's name, then records of a kind, a length of two bytes, and text.

use super::RobotsView;
use super::parse::token;

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// Rules of groups that name the agent.
    Allow,
    Disallow,
    /// Rules of groups for everybody.
    AllowAny,
    DisallowAny,
    SiteMap,
}

/// The record in front: its kind, its text, and what follows it.
fn first(records: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [kind, low, high, rest @ ..] = records else { return None };
    let (text, rest) = rest.split_at_checked(u16::from_le_bytes([*low, *high]).into())?;
    Some((*kind, text, rest))
}

impl RobotsView {
    /// The agent's name, in lower case.
    pub(super) fn agent(&self) -> &[u8] {
        self.bytes.get(..self.agent).unwrap_or_default()
    }

    /// The texts of all records of a kind, in order.
    pub(super) fn records(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.get(self.agent..self.used).unwrap_or_default();
        let all = core::iter::from_fn(move || {
            let (kind, text, after) = first(rest)?;
            rest = after;
            Some((kind, text))
        });
        all.filter_map(move |(found, text)| (found == kind as u8).then_some(text))
    }

    pub(super) fn set_agent(&mut self, agent: &str) {
        let token = token(agent.as_bytes());
        match self.bytes.get_mut(..token.len()) {
            Some(room) => {
                room.copy_from_slice(token);
                room.make_ascii_lowercase();
                self.agent = token.len();
            }
            // A length that nothing has: everything overflows.
            None => self.agent = usize::MAX,
        }
        self.used = self.agent;
    }

    /// Keeps a part of the line that was collected behind what is in use.
    pub(super) fn keep(&mut self, kind: Kind, text: core::ops::Range<usize>) {
        let (start, len) = (self.used.saturating_add(3), text.len());
        let Ok(short) = u16::try_from(len) else {
            self.overflowed = true;
            return;
        };
        if self.bytes.get(start..start.saturating_add(len)).is_none() {
            self.overflowed = true;
            return;
        }
        self.bytes.copy_within(text, start);
        let [low, high] = short.to_le_bytes();
        self.bytes[self.used..start].copy_from_slice(&[kind as u8, low, high]);
        self.used = start + len;
    }

    /// Gives up the rules for everybody: there are others that name the agent.
    pub(super) fn drop_rules_for_everybody(&mut self) {
        let (mut at, mut kept) = (self.agent, self.agent);
        while let Some((kind, text, _)) = self.bytes.get(at..self.used).and_then(first) {
            let len = 3 + text.len();
            if kind != Kind::AllowAny as u8 && kind != Kind::DisallowAny as u8 {
                self.bytes.copy_within(at..at + len, kept);
                kept += len;
            }
            at += len;
        }
        self.used = kept;
    }
}
