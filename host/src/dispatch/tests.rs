use super::*;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use tidemill_core::serve::Terminator;
use tidemill_core::time::{Clock as _, Duration};

const LOCAL: &str = "127.0.0.1:0";

/// `LEN n` and n bytes are answered by these bytes backwards; `QUIT` ends it.
struct Backwards {
    counting: bool,
    ends: Rc<RefCell<Vec<Option<Error>>>>,
}

impl Conversation for Backwards {
    fn found_terminator(&mut self, message: &[u8], out: &mut Outgoing<'_>) {
        if std::mem::take(&mut self.counting) {
            let backwards: Vec<u8> = message.iter().rev().copied().collect();
            out.push(&backwards).unwrap();
            out.set_terminator(Terminator::Bytes(b"\r\n"));
        } else if let Some(len) = message.strip_prefix(b"LEN ") {
            self.counting = true;
            out.set_terminator(Terminator::Count(std::str::from_utf8(len).unwrap().parse().unwrap()));
        } else {
            assert_eq!(out.push(&[0; 65]), Err(Error::TooLong));
            out.push(b"BYE\r\n").unwrap();
            out.close_when_done();
        }
    }

    fn handle_close(&mut self, error: Option<Error>) {
        self.ends.borrow_mut().push(error);
    }
}

/// Takes so many guests, then closes.
struct Door {
    left: usize,
    ends: Rc<RefCell<Vec<Option<Error>>>>,
}

impl Handler for Door {
    fn handle_accept(&mut self, channel: &mut Channel<'_>, _: SocketAddr) -> Option<Box<dyn Handler>> {
        self.left -= 1;
        if self.left == 0 {
            channel.close();
        }
        let conversation = Backwards { counting: false, ends: self.ends.clone() };
        Some(Box::new(Chat::<_, 64>::new(conversation, Terminator::Bytes(b"\r\n"))))
    }
}

fn talk(address: SocketAddr, said: &[u8], piece: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let said = said.to_vec();
    let sender = thread::spawn(move || {
        // It may be cut off before all was said.
        let _ = said.chunks(piece).try_for_each(|piece| sender.write_all(piece));
        let _ = sender.shutdown(Shutdown::Write);
    });
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    sender.join().unwrap();
    heard
}

#[test]
fn messages_by_line_and_by_length_are_answered_however_they_are_cut() {
    let ends = Rc::<RefCell<Vec<_>>>::default();
    let mut dispatcher = Dispatcher::new(Net::new(64).unwrap());
    let door = Door { left: 9, ends: ends.clone() };
    let address = dispatcher.listen(LOCAL.parse().unwrap(), 16, Box::new(door)).unwrap();
    let guests: Vec<_> = (1..=8)
        .map(|piece| {
            let said = [b"LEN 5\r\nab\r\ncLEN 0\r\nLEN 3\r\nxyz".repeat(50), b"QUIT\r\nmore".to_vec()].concat();
            thread::spawn(move || talk(address, &said, piece * 3))
        })
        .collect();
    let long = thread::spawn(move || talk(address, &[b'x'; 1000], 100));
    dispatcher.run().unwrap();
    for guest in guests {
        let expected = [b"c\n\rbazyx".repeat(50), b"BYE\r\n".to_vec()].concat();
        assert_eq!(guest.join().unwrap(), expected);
    }
    assert_eq!(long.join().unwrap(), b"");
    let ends = ends.borrow();
    assert_eq!(ends.iter().filter(|end| end.is_none()).count(), 8, "{ends:?}");
    assert_eq!((ends.len(), ends.contains(&Some(Error::TooLong))), (9, true));
}

/// Tells what happens to it.
#[derive(Clone, Default)]
struct Watcher(Rc<RefCell<Vec<String>>>);

impl Handler for Watcher {
    fn handle_connect(&mut self, _: &mut Channel<'_>) {
        self.0.borrow_mut().push("connect".into());
    }
    fn handle_read(&mut self, channel: &mut Channel<'_>) {
        // A byte at a time: it is called as often as there is something left.
        let mut byte = [0];
        if channel.recv(&mut byte) == Ok(1) {
            self.0.borrow_mut().push(char::from(byte[0]).into());
        }
    }
    fn handle_close(&mut self, error: Option<Error>) {
        self.0.borrow_mut().push(format!("{error:?}"));
    }
}

#[test]
fn a_client_is_told_of_its_connection_of_each_byte_and_of_the_end() {
    let listener = TcpListener::bind(LOCAL).unwrap();
    let mut dispatcher = Dispatcher::new(Net::new(4).unwrap());
    let watcher = Watcher::default();
    dispatcher.connect(listener.local_addr().unwrap(), Box::new(watcher.clone())).unwrap();
    listener.accept().unwrap().0.write_all(b"abc").unwrap();
    dispatcher.run().unwrap();
    assert_eq!(*watcher.0.borrow(), ["connect", "a", "b", "c", "None"]);

    // Nobody listens there any more.
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = Watcher::default();
    if dispatcher.connect(address, Box::new(refused.clone())).is_ok() {
        dispatcher.run().unwrap();
        assert_eq!(*refused.0.borrow(), ["Some(Refused)"]);
    }
}

#[test]
fn a_turn_ends_at_its_time_and_when_it_is_woken() {
    let mut dispatcher = Dispatcher::new(Net::new(4).unwrap());
    dispatcher.listen(LOCAL.parse().unwrap(), 1, Box::new(Watcher::default())).unwrap();
    let until = dispatcher.net().now() + Duration::from_millis(20);
    let turns = (1..).take_while(|_| {
        dispatcher.turn(Some(until)).unwrap();
        dispatcher.net().now() < until
    });
    assert!(turns.count() < 5 && dispatcher.len() == 1);
    let waker = dispatcher.waker();
    let thread = thread::spawn(move || waker.wake());
    dispatcher.turn(None).unwrap();
    thread.join().unwrap();
}
