//! Frames that follow each other in a reliable stream of bytes: each tells its length.

use super::codec::{CHECKSUM_LEN, Frame, OVERHEAD};
use super::crc::Checksum;
use super::error::{Error, Why};
use super::header::{HEADER_LEN, Header};

/// How far the frame is that was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// So many bytes of it are in the buffer.
    Have(u32),
    /// Where the next frame would begin is not known any more.
    Broken,
}

impl Stream {
    pub(crate) const NEW: Self = Self::Have(0);

    pub(crate) fn feed<'a, 'i: 'a>(
        &mut self,
        checksum: Checksum,
        payload_max: usize,
        buf: &'a mut [u8],
        input: &mut &'i [u8],
    ) -> Option<Result<Frame<'a>, Error>> {
        match self.whole(checksum, payload_max, buf, input) {
            Ok(frame) => frame.map(Ok),
            Err(error) => {
                *self = Self::Broken;
                Some(Err(error))
            }
        }
    }

    fn whole<'a, 'i: 'a>(
        &mut self,
        checksum: Checksum,
        payload_max: usize,
        buf: &'a mut [u8],
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, Error> {
        let Self::Have(have) = *self else {
            *input = &[];
            return Ok(None);
        };
        let mut have = have as usize;
        if have == 0 && input.len() >= HEADER_LEN {
            let need = needed(input, payload_max)?;
            if let Some((bytes, rest)) = input.split_at_checked(need) {
                *input = rest;
                return check(checksum, bytes).map(Some);
            }
        }
        // Until the header is there its own length is what is needed; then it tells the rest.
        loop {
            let need = if have < HEADER_LEN { HEADER_LEN } else { needed(buf, payload_max)? };
            let missing = need.saturating_sub(have).min(input.len());
            let (Some((bytes, rest)), Some(room)) =
                (input.split_at_checked(missing), buf.get_mut(have..).and_then(|buf| buf.get_mut(..missing)))
            else {
                return Err(Error { at: HEADER_LEN, why: Why::TooLong });
            };
            room.copy_from_slice(bytes);
            *input = rest;
            have += missing;
            if have < need {
                *self = Self::Have(have as u32);
                return Ok(None);
            }
            if need > HEADER_LEN {
                *self = Self::NEW;
                return check(checksum, buf.get(..need).unwrap_or_default()).map(Some);
            }
        }
    }
}

/// How long the frame is, all in all, whose header is at the start of `bytes`.
fn needed(bytes: &[u8], payload_max: usize) -> Result<usize, Error> {
    let header = bytes.first_chunk().ok_or(Error { at: 0, why: Why::Length })?;
    let (_, len) = Header::parse(*header)?;
    if len > payload_max {
        return Err(Error { at: 5, why: Why::TooLong });
    }
    Ok(len + OVERHEAD)
}

/// Takes a frame apart that is as long as `bytes`.
pub(crate) fn check(checksum: Checksum, bytes: &[u8]) -> Result<Frame<'_>, Error> {
    let Some((rest, sum)) = bytes.split_last_chunk::<CHECKSUM_LEN>() else {
        return Err(Error { at: bytes.len(), why: Why::Length });
    };
    let Some((header, payload)) = rest.split_first_chunk() else {
        return Err(Error { at: bytes.len(), why: Why::Length });
    };
    let (header, len) = Header::parse(*header)?;
    if len != payload.len() {
        return Err(Error { at: 5, why: Why::Length });
    }
    if checksum(0, rest) != u32::from_le_bytes(*sum) {
        return Err(Error { at: rest.len(), why: Why::Checksum });
    }
    Ok(Frame { header, payload })
}
