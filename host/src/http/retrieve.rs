//! A URL into a file.

use std::io::{self, Read};
use std::path::Path;

use super::opener::with_data;
use super::{Data, Headers, Request, UrlError, urlopener};
use crate::download::{self, Event, Observer, Options, Target, save};

/// Copies what a URL leads to into a file: whole, or not at all. `hook` is told how many pieces have come, how long a piece
/// is at most, and how long the whole is, if that is known. As Python's `urlretrieve`, but the file must be named.
///
/// It takes the path of `tidemill get` for what is no large file: see [`save`]. For large files, and to go on with what was
/// begun, there is [`download`](crate::download).
///
/// # Errors
/// Any [`UrlError`]; [`UrlError::ContentTooShort`] if less came than was promised. Nothing has the file's name then.
pub fn urlretrieve<R: TryInto<Request>>(
    url: R,
    path: &Path,
    hook: impl FnMut(u64, usize, Option<u64>),
    data: Option<Data>,
) -> Result<Headers, UrlError>
where
    UrlError: From<R::Error>,
{
    let response = urlopener().go(with_data(url.try_into()?, data))?;
    let (url, length, headers) = (response.url.clone(), response.length(), response.headers.clone());
    let mut hooked = Hooked { inner: response, hook, count: 0, length };
    (hooked.hook)(0, download::PIECE, length);
    let options = Options::new(&url, Target::File(path.into()));
    save(&options, length, &mut hooked, &mut Nobody).map_err(|error| match error {
        download::Error::Open { why, .. } => *why,
        error => UrlError::Io(io::Error::other(error)),
    })?;
    Ok(headers)
}

struct Nobody;

impl Observer for Nobody {
    fn observe(&mut self, _: &Event<'_>) {}
}

/// Tells of each piece that is read.
struct Hooked<R, F> {
    inner: R,
    hook: F,
    count: u64,
    length: Option<u64>,
}

impl<R: Read, F: FnMut(u64, usize, Option<u64>)> Read for Hooked<R, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        if count > 0 {
            self.count += 1;
            (self.hook)(self.count, buf.len(), self.length);
        }
        Ok(count)
    }
}
