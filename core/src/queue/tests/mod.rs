//! What crosses the files of this module.

mod behaviours;
mod model;
mod running;

use crate::net::Token;
use crate::task::{Me, Wake};
use std::vec::Vec;

/// Names who was woken.
#[derive(Default)]
struct Woken(Vec<u32>);

impl Wake for Woken {
    fn wake(&mut self, Token(token): Token) {
        self.0.push(token);
    }
}

impl Woken {
    fn take(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.0)
    }
}

fn me(token: u32) -> Me {
    Me::new(Token(token))
}

fn wakes(me: &Me) -> Vec<u32> {
    me.waits().woken.iter().map(|&Token(token)| token).collect()
}
