//! URLs that need no network: `file:` and `data:`.

use std::ffi::OsString;
use std::fs::File;
use std::io::Cursor;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tidemill_core::url::unquote_to_bytes;

use super::opener::Handler;
use super::{Headers, Request, Response, UrlError};

/// Percent-decoded.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    unquote_to_bytes(text.as_bytes()).collect()
}

/// Opens `file:` URLs of this machine: `file:///path` or `file://localhost/path`. Never by a redirect.
#[derive(Clone, Copy, Default, Debug)]
pub struct FileHandler;

impl Handler for FileHandler {
    fn open(&self, request: &Request) -> Option<Result<Response, UrlError>> {
        (request.scheme() == "file").then(|| open_file(request))
    }
}

fn open_file(request: &Request) -> Result<Response, UrlError> {
    let uri = request.uri().ok_or_else(|| UrlError::Url(request.full_url().to_owned()))?;
    if !matches!(uri.authority(), None | Some(""))
        && !uri.authority().is_some_and(|it| it.eq_ignore_ascii_case("localhost"))
    {
        return Err(UrlError::Url("file: on another host".into()));
    }
    let path = decoded(uri.path());
    if path.contains(&0) {
        return Err(UrlError::Url("NUL in a path".into()));
    }
    let path = PathBuf::from(OsString::from_vec(path));
    let file = File::open(&path).map_err(UrlError::Io)?;
    let about = file.metadata().map_err(UrlError::Io)?;
    if about.is_dir() {
        return Err(UrlError::Io(std::io::ErrorKind::IsADirectory.into()));
    }
    let mut headers = Headers::default();
    headers.set("Content-Type", crate::serve::media::type_of(path.as_os_str().as_bytes()));
    headers.set("Content-Length", &about.len().to_string());
    let url = request.full_url().to_owned();
    Ok(Response::new(url, 200, String::new(), headers, Some(about.len()), Box::new(file)))
}

/// Opens `data:` URLs (RFC 2397).
#[derive(Clone, Copy, Default, Debug)]
pub struct DataHandler;

/// Lenient about what is missing at the end, as browsers are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Handler for DataHandler {
    fn open(&self, request: &Request) -> Option<Result<Response, UrlError>> {
        (request.scheme() == "data").then(|| open_data(request))
    }
}

fn open_data(request: &Request) -> Result<Response, UrlError> {
    let url = request.full_url();
    let text = url.split('#').next().unwrap_or("").get("data:".len()..).unwrap_or("");
    let (media, data) = text.split_once(',').ok_or_else(|| UrlError::Url("data: without a comma".into()))?;
    let mut data = decoded(data);
    let media = match media.strip_suffix(";base64") {
        Some(media) => {
            data.retain(|byte| !byte.is_ascii_whitespace());
            data = BASE64.decode(&data).map_err(|error| UrlError::Url(format!("data: {error}")))?;
            media
        }
        None => media,
    };
    let mut headers = Headers::default();
    headers.set("Content-Type", if media.is_empty() { "text/plain;charset=US-ASCII" } else { media });
    headers.set("Content-Length", &data.len().to_string());
    let length = Some(data.len() as u64);
    Ok(Response::new(url.to_owned(), 200, String::new(), headers, length, Box::new(Cursor::new(data))))
}
