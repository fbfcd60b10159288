//! The download engine against a server that says whatever the input says.
#![no_main]
use core::net::SocketAddr;
use libfuzzer_sys::fuzz_target;
use tidemill_core::fetch::{Fetch, Options, Sink, Slot, Source};
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::time::EPOCH;

/// Each connection is answered with the next bytes of the input, in pieces, then ends.
struct Net<'a> {
    input: &'a [u8],
    left: Vec<usize>,
    ready: Vec<Token>,
}

impl Stack for Net<'_> {
    fn listen(&mut self, _: SocketAddr, _: usize) -> Result<Handle, Error> {
        Err(Error::Full)
    }
    fn accept(&mut self, _: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        Err(Error::Stale.into())
    }
    fn connect(&mut self, _: SocketAddr) -> Result<Handle, Error> {
        let Some((&len, rest)) = self.input.split_first() else { return Err(Error::Refused) };
        self.input = rest;
        self.left.push(usize::from(len) * 8);
        Ok(Handle::new(self.left.len() as u16 - 1, 0))
    }
    fn connected(&mut self, _: Handle) -> nb::Result<(), Error> {
        Ok(())
    }
    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        let left = &mut self.left[socket.index()];
        let count = buf.len().min(*left).min(self.input.len());
        buf[..count].copy_from_slice(&self.input[..count]);
        self.input = &self.input[count..];
        *left -= count;
        Ok(count)
    }
    fn send(&mut self, _: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        Ok(buf.len())
    }
    fn shutdown(&mut self, _: Handle) -> Result<(), Error> {
        Ok(())
    }
    fn close(&mut self, _: Handle) {}
    fn abort(&mut self, _: Handle) {}
    fn local_addr(&self, _: Handle) -> Result<SocketAddr, Error> {
        Err(Error::Stale)
    }
    fn watch(&mut self, _: Handle, _: Interest, token: Token) -> Result<(), Error> {
        self.ready.push(token);
        Ok(())
    }
    fn next_ready(&mut self) -> Option<Token> {
        self.ready.pop()
    }
}

/// Holds that nothing is written beyond the length that was told.
struct Bounded(Option<u64>);

impl Sink for Bounded {
    type Error = ();
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), ()> {
        let end = offset.checked_add(data.len() as u64).expect("an offset in a file");
        assert!(self.0.is_none_or(|total| end <= total));
        Ok(())
    }
    fn set_len(&mut self, total: u64) -> Result<(), ()> {
        self.0 = Some(total);
        Ok(())
    }
    fn restart(&mut self) -> Result<(), ()> {
        self.0 = None;
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let mut net = Net { input, left: vec![], ready: vec![] };
    let source = Source::new("http://192.0.2.1/f").expect("a URL");
    let slots = [const { Slot::<512>::EMPTY }; 3];
    let options = Options { split_min: 16, ..Options::default() };
    let mut fetch = Fetch::<_, _, 512, 1>::new(options, [source], Bounded(None), slots, None);
    let mut now = EPOCH;
    for _ in 0..5_000 {
        let next = fetch.turn(now, &mut net, &mut [0; 600]);
        if fetch.is_closed() {
            return;
        }
        now = next.expect("something to wait for").max(now);
    }
    panic!("no end");
});
