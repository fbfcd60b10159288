//! What a worker does: it takes tasks from its wire, one after the other, and says what came of each before the next.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::super::registry::{FUNCTIONS, Function, Returned};
use super::super::{Failure, inherited};
use super::frame::{self, DONE, Inbox, MANY, READY};
use super::page::Page;
use crate::threads::{catch, install_hook};

/// A function to be called before the first task, and its argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Initializer {
    pub(super) function: u32,
    pub(super) argument: Vec<u8>,
}

#[expect(unsafe_code, reason = "the linker puts it in a section")]
mod registered {
    use super::work;
    crate::register!(work);
}

/// The function of a worker's process: returns when the pool has no more for it.
pub(super) fn work(initializer: Option<Initializer>) -> Result<(), String> {
    let mut descriptors = inherited().into_iter();
    let (Some(tasks), Some(replies), Some(memory)) = (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Err("a worker is started by a pool".into());
    };
    let page = Page::map(&memory).map_err(|error| error.to_string())?;
    let worker = Worker { tasks: tasks.into(), replies: replies.into(), page };
    install_hook();
    let mut said = Vec::new();
    let ready = initializer.map_or(Ok(()), |Initializer { function, argument }| {
        let returned = call(function, &argument, descriptors.collect())?;
        returned.error.map_or(Ok(()), |why| Err(Failure::Failed(why)))
    });
    match ready {
        Err(why) => frame::failure(&mut said, &why),
        Ok(()) => frame::write(&mut said, READY, |_| Ok(())).map_err(|why| why.to_string())?,
    }
    // If the pool is gone, nobody wants to know.
    let _ = worker.say(&said).and_then(|()| worker.serve());
    Ok(())
}

struct Worker {
    tasks: File,
    replies: File,
    page: Page,
}

impl Worker {
    fn serve(mut self) -> io::Result<()> {
        let (mut inbox, mut said, mut task) = (Inbox::default(), Vec::new(), 0);
        loop {
            while let Some((function, body)) = inbox.next() {
                if self.page.claim(task) {
                    said.clear();
                    answer(&mut said, function, inbox.body(body));
                    self.say(&said)?;
                    self.page.free(task);
                    // What a long result needed is not kept.
                    said.shrink_to(64 << 10);
                }
                task += 1;
            }
            match self.tasks.read(inbox.room()) {
                Ok(0) => return Ok(()),
                Ok(count) => inbox.filled(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn say(&self, said: &[u8]) -> io::Result<()> {
        (&self.replies).write_all(said)
    }
}

/// Does a task, and appends what came of it.
pub(crate) fn answer(said: &mut Vec<u8>, function: u32, body: &[u8]) {
    if function & MANY == 0 {
        return answer_one(said, function, body);
    }
    let mut arguments = body;
    let all = frame::write(said, DONE, |said| {
        while let Some((_, argument)) = frame::next(&mut arguments) {
            answer_one(said, function & !MANY, argument);
        }
        Ok(())
    });
    if let Err(why) = all {
        frame::failure(said, &why);
    }
}

fn answer_one(said: &mut Vec<u8>, function: u32, argument: &[u8]) {
    let done = call(function, argument, Vec::new()).and_then(|result| {
        frame::write(said, DONE, |said| {
            said.extend_from_slice(&result.bytes);
            Ok(())
        })
    });
    if let Err(why) = done {
        frame::failure(said, &why);
    }
}

fn call(function: u32, argument: &[u8], handles: Vec<OwnedFd>) -> Result<Returned, Failure> {
    let known: Option<&Function> = FUNCTIONS.get(function as usize);
    let Some(known) = known else { return Err(Failure::NotRegistered(function.to_string())) };
    match catch(|| known.call(argument, handles)) {
        Ok(Ok(returned)) => Ok(returned),
        Ok(Err(error)) => Err(Failure::Encoding(error.to_string())),
        Err(panic) => Err(Failure::Panicked {
            message: panic.message().into(),
            location: panic.location().map_or_else(String::new, ToString::to_string),
        }),
    }
}
