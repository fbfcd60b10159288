//! Which of a host's ready tasks is polled next: usually the one that has been ready longest, else what the seed draws
//! or a plan lists.
//!
//! A choice is numbered among all that the host ever had, its reboots included, and only where there was one: with one
//! task ready there is nothing to choose. So a pick can be struck from a plan without a word about the others.

use std::collections::BTreeMap;

use tidemill_core::net::Pick;
use tidemill_core::random::{below, draw};

/// What the draws are for, as the first word of their key.
const DRAW_ORDER: u64 = 0x6F72_6465;

/// Who chooses.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Rule {
    /// Nobody: first in, first out.
    #[default]
    Longest,
    /// What is listed; else first in, first out.
    Listed,
    /// The seed, unless something is listed.
    Seed(u64),
}

/// The choices of one host.
#[derive(Default, Debug)]
pub struct Order {
    rule: Rule,
    host: u64,
    /// The number of the next choice.
    next: u64,
    listed: BTreeMap<u64, u32>,
    /// The choices that were not the longest ready since the world last looked: number, and how many were passed over.
    pub(crate) picked: Vec<(u64, u32)>,
}

impl Order {
    pub(crate) fn begin(&mut self, rule: Rule, host: u32) {
        *self = Self { rule, host: host.into(), ..Self::default() };
    }

    pub(crate) fn set_rule(&mut self, rule: Rule) {
        self.rule = rule;
    }

    pub(crate) fn list(&mut self, nth: u64, pick: u32) {
        self.listed.insert(nth, pick);
    }

    pub(crate) fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32 {
        if self.rule == Rule::Longest {
            return 0;
        }
        let ready = ready();
        if ready < 2 {
            return 0;
        }
        let nth = self.next;
        self.next += 1;
        let pick = match (self.listed.remove(&nth), self.rule) {
            (Some(pick), _) => pick.min(ready - 1),
            (None, Rule::Seed(seed)) => self.drawn(seed, nth, ready),
            (None, _) => 0,
        };
        if pick > 0 {
            self.picked.push((nth, pick));
        }
        pick
    }

    /// How often a choice is left to chance at all differs from seed to seed: some bugs need one swap, some need many.
    fn drawn(&self, seed: u64, nth: u64, ready: u32) -> u32 {
        let share = 1 << below(draw(seed, &[DRAW_ORDER]), 5);
        let bits = draw(seed, &[DRAW_ORDER, self.host, nth]);
        if below(bits, share) > 0 { 0 } else { below(draw(bits, &[DRAW_ORDER]), ready.into()) as u32 }
    }
}

impl Pick for &mut Order {
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32 {
        (**self).pick(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rule: Rule) -> Order {
        let mut order = Order::default();
        order.begin(rule, 1);
        order
    }

    #[test]
    fn nothing_is_chosen_unless_somebody_wants_to() {
        let mut longest = order(Rule::Longest);
        longest.list(0, 3);
        assert_eq!(longest.pick(|| unreachable!("nobody asks")), 0);
        let mut seed = order(Rule::Seed(7));
        assert!((0..100).all(|_| seed.pick(|| 1) == 0));
        assert_eq!(seed.next, 0);
    }

    #[test]
    fn what_the_seed_picks_can_be_listed_and_replayed() {
        let mut apart = 0;
        for seed in 0..20 {
            let mut drawn = order(Rule::Seed(seed));
            let picks: Vec<u32> = (0..200).map(|n| drawn.pick(|| 2 + n % 5)).collect();
            let mut listed = order(Rule::Listed);
            drawn.picked.iter().for_each(|&(nth, pick)| listed.list(nth, pick));
            assert_eq!((0..200).map(|n| listed.pick(|| 2 + n % 5)).collect::<Vec<u32>>(), picks);
            assert!((0..200).all(|n| picks[n as usize] < 2 + n % 5));
            apart += usize::from(picks.iter().any(|&pick| pick > 0));
        }
        assert!(apart > 15, "{apart}");
    }

    #[test]
    fn a_pick_beyond_the_last_ready_task_is_the_last() {
        let mut listed = order(Rule::Listed);
        listed.list(0, 9);
        assert_eq!(listed.pick(|| 3), 2);
    }
}
