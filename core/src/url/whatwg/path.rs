//! Paths: their dots resolved, without a list of segments to take the last one off.
//!
//! `..` takes away the segment before it. Read from the end, it takes away the next segment that is met, so a count of those to
//! leave out is all that has to be remembered, and no byte is written that is taken away later. The one exception is the
//! drive letter in front of a `file:` path, which stays; it is looked for first.

use super::out::{Out, is_in, set};
use super::parts::Kind;
use super::piece::{Piece, is_ignored, is_slash};

/// What a path is made of: segments of a base, and segments of the input after them.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    /// Of the base, each with its slash in front.
    base: &'a [u8],
    /// That all segments before it are gone and that it will not go itself.
    drive: Option<u8>,
    segments: Option<Piece<'a>>,
    special: bool,
    is_file: bool,
}

/// How long a path will be.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    base_len: usize,
    len: usize,
    /// Whether it starts with two slashes.
    pub(super) is_double: bool,
}

impl<'a> Path<'a> {
    /// `segments`, from behind their first slash, after those of `base`.
    pub(super) fn new(base: &'a [u8], segments: Piece<'a>, kind: Kind) -> Self {
        let is_file = kind == Kind::File;
        let mut path = Self { base, drive: None, segments: Some(segments), special: kind.is_special(), is_file };
        if is_file && drive_of(base).is_none() {
            path.find_drive(segments);
        }
        path
    }

    /// A drive letter that is met when the path is empty stays for good.
    fn find_drive(&mut self, mut segments: Piece<'a>) {
        let mut depth = self.base.split(|byte| *byte == b'/').count().saturating_sub(1);
        loop {
            let (segment, rest) = segments.cut_before_slash(true);
            let rest = rest.split_first().map(|(_, rest)| rest);
            match dots(segment) {
                1 => {}
                2 => depth = depth.saturating_sub(1),
                _ => {
                    if depth == 0
                        && let Some(letter) = drive_letter(segment)
                    {
                        (self.base, self.drive, self.segments) = (&[], Some(letter), rest);
                        return;
                    }
                    depth += 1;
                }
            }
            match rest {
                Some(rest) => segments = rest,
                None => return,
            }
        }
    }

    /// Shows each segment that stays, from the last to the first; how many of those before must still go.
    fn each_from_end(&self, show: &mut dyn FnMut(&[u8])) -> usize {
        let Some(segments) = self.segments else { return 0 };
        let mut bytes = segments.bytes;
        let (mut going, mut is_last) = (0, true);
        loop {
            let slash = bytes.iter().rposition(|byte| is_slash(*byte, self.special));
            let segment = slash.map_or(Some(bytes), |slash| bytes.get(slash + 1..)).unwrap_or_default();
            match dots(Piece { bytes: segment, at: 0 }) {
                0 if going > 0 => going -= 1,
                0 => show(segment),
                count => {
                    going += count - 1;
                    if is_last {
                        show(&[]);
                    }
                }
            }
            is_last = false;
            match slash.and_then(|slash| bytes.get(..slash)) {
                Some(before) => bytes = before,
                None => return going,
            }
        }
    }

    /// Walks through it once.
    pub(super) fn measure(&self) -> Measure {
        let (mut len, mut count, mut first_is_empty) = (0, 0, false);
        let going = self.each_from_end(&mut |segment| {
            let segment_len = encoded_len(segment);
            len += 1 + segment_len;
            count += 1;
            first_is_empty = segment_len == 0;
        });
        let base = self.base_without(going);
        if self.drive.is_some() {
            return Measure { base_len: 3, len: len + 3, is_double: false };
        }
        let is_double = match base {
            [] => first_is_empty && count > 1,
            [_] => count > 0,
            [_, second, ..] => *second == b'/',
        };
        Measure { base_len: base.len(), len: len + base.len(), is_double }
    }

    fn base_without(&self, going: usize) -> &'a [u8] {
        let mut base = self.base;
        for _ in 0..going {
            if base.is_empty() {
                break;
            }
            base = shortened(base, self.is_file);
        }
        base
    }

    /// Writes it, as it was measured.
    pub(super) fn write(&self, measure: Measure, out: &mut Out<'_>) {
        let Some(mut room) = out.reserve(measure.len) else { return };
        self.each_from_end(&mut |segment| {
            let start = room.len().saturating_sub(1 + encoded_len(segment));
            let Some((before, place)) = core::mem::take(&mut room).split_at_mut_checked(start) else { return };
            let mut out = Out::new(place);
            out.push(b'/');
            out.encode(segment, set::PATH);
            room = before;
        });
        let mut out = Out::new(room);
        match self.drive {
            Some(letter) => out.text(&[b'/', letter, b':']),
            None => out.text(self.base.get(..measure.base_len).unwrap_or_default()),
        }
    }
}

/// A normal path without its last segment. The drive letter of a file stays.
pub(super) fn shortened(path: &[u8], is_file: bool) -> &[u8] {
    if is_file && path.len() == 3 && drive_of(path).is_some() {
        return path;
    }
    let slash = path.iter().rposition(|byte| *byte == b'/');
    slash.and_then(|slash| path.get(..slash)).unwrap_or_default()
}

/// The first segment of a normal path, with its slash, if it is a drive letter.
pub(super) fn drive_of(path: &[u8]) -> Option<&[u8]> {
    match path {
        [b'/', letter, b':'] | [b'/', letter, b':', b'/', ..] if letter.is_ascii_alphabetic() => path.get(..3),
        _ => None,
    }
}

/// The letter, if `segment` is a drive: `C:` or `C|`.
pub(super) fn drive_letter(segment: Piece<'_>) -> Option<u8> {
    let (letter, rest) = segment.split_first()?;
    let (mark, rest) = rest.split_first()?;
    (letter.is_ascii_alphabetic() && matches!(mark, b':' | b'|') && rest.is_empty()).then_some(letter)
}

/// 1 for a segment that means the same folder, 2 for one that means the folder above: dots, which may be percent-encoded.
fn dots(segment: Piece<'_>) -> usize {
    let mut count = 0;
    let mut rest = segment;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let Some((b'2', after)) = rest.split_first() else { return 0 };
            let Some((b'e' | b'E', after)) = after.split_first() else { return 0 };
            rest = after;
        } else if byte != b'.' {
            return 0;
        }
        count += 1;
        if count > 2 {
            return 0;
        }
    }
    count
}

fn encoded_len(segment: &[u8]) -> usize {
    let len = |byte: &u8| match *byte {
        byte if !is_in(byte, set::PATH) => 1,
        byte if is_ignored(byte) => 0,
        _ => 3,
    };
    segment.iter().map(len).sum()
}
