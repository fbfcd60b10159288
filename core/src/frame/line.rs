//! Frames on a line that may lose, damage and make up bytes: each is stuffed and ends with a zero, which occurs nowhere
//! else. Whatever happens, the frame after the next zero is whole again.

use super::cobs::{BLOCK_MAX, copy_until_zero, find_zero};
use super::codec::{Frame, OVERHEAD};
use super::crc::Checksum;
use super::error::{Error, Why};
use super::stream::check;

/// How far the frame is that was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// So many bytes of it are in the buffer.
    have: u32,
    /// So many bytes are left of the block.
    left: u8,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Before the first byte.
    Before,
    /// In a block after which, if another follows, comes a zero.
    Block,
    /// In a block after which comes none.
    FullBlock,
    /// In a frame that does not fit: everything up to the delimiter is thrown away.
    Skipping,
}

impl Line {
    pub(crate) const NEW: Self = Self { have: 0, left: 0, place: Place::Before };

    pub(crate) fn feed<'a, 'i: 'a>(
        &mut self,
        checksum: Checksum,
        payload_max: usize,
        buf: &'a mut [u8],
        input: &mut &'i [u8],
    ) -> Option<Result<Frame<'a>, Error>> {
        let room = (payload_max + OVERHEAD).min(buf.len());
        let mut line = *self;
        let outcome = loop {
            if line.place == Place::Skipping {
                let Some(end) = find_zero(input) else {
                    *input = &[];
                    break None;
                };
                *input = input.get(end + 1..).unwrap_or_default();
                line = Self::NEW;
                break Some(Err(Error { at: room, why: Why::TooLong }));
            }
            if line.left > 0 {
                let have = line.have as usize;
                let run = input.get(..usize::from(line.left)).unwrap_or(input);
                match copy_until_zero(run, buf.get_mut(have..room).unwrap_or_default()) {
                    Ok(copied) => {
                        line.have += copied as u32;
                        line.left -= copied as u8;
                        *input = input.get(copied..).unwrap_or_default();
                        if copied < run.len() {
                            line.place = Place::Skipping;
                            continue;
                        }
                    }
                    Err(copied) => {
                        *input = input.get(copied + 1..).unwrap_or_default();
                        line = Self::NEW;
                        break Some(Err(Error { at: have + copied, why: Why::Length }));
                    }
                }
            }
            let Some((&code, rest)) = input.split_first() else { break None };
            *input = rest;
            let have = line.have as usize;
            if code == 0 {
                let begun = line.place != Place::Before;
                line = Self::NEW;
                if begun {
                    break Some(check_len(have));
                }
                continue;
            }
            if line.place == Place::Block {
                let Some(byte) = buf.get_mut(have..room).and_then(<[u8]>::first_mut) else {
                    line.place = Place::Skipping;
                    continue;
                };
                *byte = 0;
                line.have += 1;
            }
            line.left = code - 1;
            line.place = if code == BLOCK_MAX { Place::FullBlock } else { Place::Block };
        };
        *self = line;
        match outcome? {
            Ok(len) => Some(check(checksum, buf.get(..len).unwrap_or_default())),
            Err(error) => Some(Err(error)),
        }
    }
}

const fn check_len(have: usize) -> Result<usize, Error> {
    if have < OVERHEAD { Err(Error { at: have, why: Why::Length }) } else { Ok(have) }
}
