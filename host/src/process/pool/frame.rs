//! What a pool and its workers say to each other. A frame is its length, four bytes of what it is, and a body.
//!
//! To a worker: which function, and its argument; or, with [`MANY`], several arguments, each a frame of its own. From a
//! worker: how it ended, and the result's bytes or the [`Failure`]; of several, each is a frame of its own.

use std::ops::Range;

use super::super::Failure;
use super::super::wire::MESSAGE_MAX;

/// Length and what it is.
pub(crate) const HEAD: usize = 8;

/// The function is called for each of several arguments.
pub(crate) const MANY: u32 = 1 << 31;

/// From a worker: it is ready for work.
pub(crate) const READY: u32 = 0;
/// From a worker: the result.
pub(crate) const DONE: u32 = 1;
/// From a worker: why there is none.
pub(crate) const FAILED: u32 = 2;

/// Appends a frame, whose body is written by `body`.
///
/// # Errors
/// It cannot be encoded, or is longer than [`MESSAGE_MAX`]: nothing is appended.
pub(crate) fn write(
    into: &mut Vec<u8>,
    what: u32,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), postcard::Error>,
) -> Result<(), Failure> {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&what.to_le_bytes());
    let written = body(into).and_then(|()| {
        let length = into.len() - start - HEAD;
        u32::try_from(length).ok().filter(|_| length <= MESSAGE_MAX).ok_or(postcard::Error::SerializeBufferFull)
    });
    match written {
        Ok(length) => {
            into[start..start + 4].copy_from_slice(&length.to_le_bytes());
            Ok(())
        }
        Err(error) => {
            into.truncate(start);
            Err(Failure::Encoding(error.to_string()))
        }
    }
}

/// Appends a value, as a body or a part of one.
pub(crate) fn value(into: &mut Vec<u8>, value: &impl serde::Serialize) -> Result<(), postcard::Error> {
    *into = postcard::to_extend(value, std::mem::take(into))?;
    Ok(())
}

/// Appends why there is no result.
pub(crate) fn failure(into: &mut Vec<u8>, why: &Failure) {
    // Words always can be encoded; if they are too long for a frame, there are none.
    if write(into, FAILED, |into| value(into, why)).is_err() {
        let _ = write(into, FAILED, |into| value(into, &Failure::Encoding("its words are too long".into())));
    }
}

/// What the frame is that begins here, and its body's length; `None`: there is not even a head.
pub(crate) fn head(bytes: &[u8]) -> Option<(u32, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let what = rest.first_chunk::<4>()?;
    Some((u32::from_le_bytes(*what), u32::from_le_bytes(*length) as usize))
}

/// Frames on their way in, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// How much is read at once; of a long frame, up to 16 times that.
    const READ: usize = 64 << 10;

    /// Where the next bytes go. What was [taken](Self::next) is forgotten.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let missing = head(&self.bytes[..self.end]).map_or(0, |(_, length)| (HEAD + length).saturating_sub(self.end));
        let wanted = self.end + missing.clamp(Self::READ, 16 * Self::READ);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        } else if self.end == 0 && self.bytes.len() > 16 * Self::READ {
            // What a long frame needed is not kept.
            self.bytes = vec![0; Self::READ];
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were put there.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = self.bytes.len().min(self.end + count);
    }

    /// Takes the next whole frame: what it is, and where its body is until there is to be [room](Self::room).
    pub(crate) fn next(&mut self) -> Option<(u32, Range<usize>)> {
        let mut rest = &self.bytes[self.start..self.end];
        let (what, body) = next(&mut rest)?;
        self.start = self.end - rest.len();
        Some((what, self.start - body.len()..self.start))
    }

    /// The body of a frame.
    pub(crate) fn body(&self, at: Range<usize>) -> &[u8] {
        &self.bytes[at]
    }

    /// Whether what comes next cannot be a frame.
    pub(crate) fn is_nonsense(&self) -> bool {
        head(&self.bytes[self.start..self.end]).is_some_and(|(_, length)| length > MESSAGE_MAX)
    }
}

/// Takes a whole frame from the front.
pub(crate) fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let (what, length) = head(bytes)?;
    let body = bytes.get(HEAD..)?.get(..length)?;
    *bytes = &bytes[HEAD + length..];
    Some((what, body))
}

/// What a worker said came of a task.
pub(crate) fn reply(what: u32, body: &[u8]) -> Result<&[u8], Failure> {
    if what == DONE {
        return Ok(body);
    }
    Err(postcard::from_bytes(body).unwrap_or_else(|error| Failure::Encoding(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_and_half_a_frame_does_not() {
        let mut bytes = Vec::new();
        write(&mut bytes, 7, |into| value(into, &"tide")).unwrap();
        failure(&mut bytes, &Failure::Killed);
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            let whole = std::iter::from_fn(|| next(&mut rest)).count();
            assert!(whole < 2, "at {cut}");
        }
        let mut rest = &bytes[..];
        assert_eq!(next(&mut rest), Some((7, &b"\x04tide"[..])));
        let (what, body) = next(&mut rest).unwrap();
        assert_eq!(reply(what, body), Err(Failure::Killed));
        assert_eq!(next(&mut rest), None);
        assert!(matches!(reply(FAILED, b"\xff\xff"), Err(Failure::Encoding(_))), "nonsense is an error");
    }

    #[test]
    fn an_inbox_gives_frames_however_they_are_cut_and_grows_no_faster_than_they_come() {
        let mut bytes = Vec::new();
        for length in [0, 1, 100_000, 3] {
            write(&mut bytes, length, |into| {
                into.resize(into.len() + length as usize, 5);
                Ok(())
            })
            .unwrap();
        }
        for step in [1, 7, 4096, bytes.len()] {
            let mut inbox = Inbox::default();
            let mut seen = Vec::new();
            for mut part in bytes.chunks(step) {
                while !part.is_empty() {
                    let room = inbox.room();
                    let count = room.len().min(part.len());
                    room[..count].copy_from_slice(&part[..count]);
                    inbox.filled(count);
                    part = &part[count..];
                    while let Some((what, at)) = inbox.next() {
                        assert!(inbox.body(at.clone()).iter().all(|&byte| byte == 5));
                        seen.push((what, at.len()));
                    }
                }
            }
            assert_eq!(seen, [(0, 0), (1, 1), (100_000, 100_000), (3, 3)], "{step} at a time");
        }
        let mut inbox = Inbox::default();
        inbox.room()[..HEAD].copy_from_slice(&[0xff; HEAD]);
        inbox.filled(HEAD);
        assert!(inbox.next().is_none() && inbox.is_nonsense());
        assert!(inbox.room().len() <= 2 << 20, "what a frame promises alone takes no memory");
    }

    #[test]
    fn what_cannot_be_encoded_leaves_nothing_behind() {
        let mut bytes = vec![1];
        let refused = write(&mut bytes, 7, |_| Err(postcard::Error::WontImplement));
        assert!(matches!(refused, Err(Failure::Encoding(_))));
        assert_eq!(bytes, [1]);
    }
}
