//! Parts of a URL changed in place, by the rules of JavaScript's `URL` (URL Standard, "API").
//!
//! Each setter first counts what the new part takes; only when that fits are the parts behind it moved, and the new one is
//! written into the gap. So nothing has to be restored when there is no room.

use super::super::{AsciiOnly, DomainToAscii};
use super::error::{Invalid, UrlError};
use super::host;
use super::machine::{Scheme, cut_port, parse_port, query_set};
use super::out::{Out, set};
use super::parts::{Kind, Parts, Place};
use super::path::Path;
use super::piece::{Piece, is_slash};
use super::{SearchParamsMut, UrlView, fits, shift};

/// JavaScript's setters say nothing when they refuse a value; these say why. In all of them a value is percent-encoded as it must be,
/// tabs and line ends in it mean nothing (but in a user's name and password), and what does not belong is ignored where the
/// Standard ignores it: `set_port("80x")` sets 80.
///
/// # Errors
/// [`UrlError::Invalid`] for a value that is refused, with the place in the value, and [`UrlError::DoesNotFit`]: then the URL is what it
/// was. [`Invalid::NotHere`] where the URL has no room for such a part by its nature.
impl UrlView {
    /// Becomes another URL. See [`UrlView::assign`].
    pub fn set_href(&mut self, value: &str) -> Result<(), UrlError> {
        self.assign(&AsciiOnly, value, None)
    }

    /// Changes the scheme; a colon and what follows are ignored. Special schemes are `ftp`, `file`, `http`, `https`, `ws` and
    /// `wss`, and such a URL keeps such a scheme. A port that is the new scheme's own goes.
    pub fn set_protocol(&mut self, value: &str) -> Result<(), UrlError> {
        let refused = Err(Invalid::Scheme.at(0));
        let Some(scheme) = Scheme::named(Piece::whole(value).cut(b':').0) else { return refused };
        let old = self.parts.kind;
        let to_file = scheme.kind == Kind::File && (self.has_user() || self.has_port());
        let from_file = old == Kind::File && self.hostname().is_empty();
        if scheme.kind.is_special() != old.is_special() || to_file || from_file {
            return refused;
        }
        let mut count = Out::new(&mut []);
        scheme.write(&mut count);
        let drops_port = self.has_port() && self.port_number() == scheme.kind.default_port();
        let port_len = if drops_port { self.parts.path - self.parts.host_end } else { 0 };
        let needed = usize::from(self.parts.len - self.parts.scheme_end - port_len) + count.len;
        fits(needed, self.buffer.len())?;
        if drops_port {
            self.splice(self.parts.host_end, self.parts.path, Place::Path, &|_| {})?;
        }
        self.parts.kind = scheme.kind;
        self.splice(0, self.parts.scheme_end, Place::SchemeEnd, &|out| scheme.write(out))
    }

    /// Names another user; an empty name takes it away.
    pub fn set_username(&mut self, value: &str) -> Result<(), UrlError> {
        self.wants_host()?;
        let start = self.parts.scheme_end + 3;
        let write = |out: &mut Out<'_>| out.encode_all(value.as_bytes(), set::USERINFO, |_| false);
        if self.has_password() {
            return self.splice(start, self.parts.user_end, Place::UserEnd, &write);
        }
        self.splice(start, self.parts.host, Place::Host, &|out| {
            write(out);
            if !value.is_empty() {
                out.push(b'@');
            }
        })?;
        self.parts.user_end = if value.is_empty() { start } else { self.parts.host - 1 };
        Ok(())
    }

    /// Sets another password; an empty one takes it away.
    pub fn set_password(&mut self, value: &str) -> Result<(), UrlError> {
        self.wants_host()?;
        let has_name = !self.username().is_empty();
        self.splice(self.parts.user_end, self.parts.host, Place::Host, &|out| {
            if !value.is_empty() {
                out.push(b':');
                out.encode_all(value.as_bytes(), set::USERINFO, |_| false);
            }
            if has_name || !value.is_empty() {
                out.push(b'@');
            }
        })
    }

    /// Changes the host and, where the value has one, the port. What follows the host and is no port is ignored.
    pub fn set_host(&mut self, value: &str) -> Result<(), UrlError> {
        self.set_host_with(&AsciiOnly, value)
    }

    /// As [`UrlView::set_host`], with domains beyond ASCII.
    pub fn set_host_with(&mut self, idna: &dyn DomainToAscii, value: &str) -> Result<(), UrlError> {
        self.change_host(idna, value, true)
    }

    /// Changes the host and keeps the port. A value with a port is refused.
    pub fn set_hostname(&mut self, value: &str) -> Result<(), UrlError> {
        self.set_hostname_with(&AsciiOnly, value)
    }

    /// As [`UrlView::set_hostname`], with domains beyond ASCII.
    pub fn set_hostname_with(&mut self, idna: &dyn DomainToAscii, value: &str) -> Result<(), UrlError> {
        self.change_host(idna, value, false)
    }

    fn change_host(&mut self, idna: &dyn DomainToAscii, value: &str, takes_port: bool) -> Result<(), UrlError> {
        if self.has_opaque_path() {
            return Err(Invalid::NotHere.at(0));
        }
        let (kind, value) = (self.parts.kind, Piece::whole(value));
        let special = kind.is_special();
        let end = value.bytes.iter().position(|byte| is_slash(*byte, special) || matches!(byte, b'?' | b'#'));
        let value = end.map_or(value, |end| value.to(end));
        let (host, new_port) = if kind == Kind::File { (value, None) } else { cut_port(value) };
        let is_bare = special && kind != Kind::File || new_port.is_some() || self.has_user() || self.has_port();
        if host.is_empty() && is_bare {
            return Err(Invalid::NoHost.at(host.at));
        }
        if let Some(port) = new_port.filter(|_| !takes_port) {
            return Err(Invalid::Port.at(port.at));
        }
        let mut count = Out::new(&mut []);
        let is_local = !host.is_empty() && host::write(host, special, idna, &mut count)? && kind == Kind::File;
        // A host that is not empty was just found to be one.
        let write_host = |out: &mut Out<'_>| {
            if !host.is_empty() && !is_local {
                let _ = host::write(host, special, idna, out);
            }
        };
        let host_len = if is_local { 0 } else { count.len as u16 };
        let port = match new_port.and_then(|port| parse_port(port).ok()?.0) {
            None => self.port_number(),
            Some(number) => Some(number).filter(|number| Some(*number) != kind.default_port()),
        };
        let has_host = self.has_host();
        let start = if has_host { self.parts.host } else { self.parts.scheme_end + 1 };
        self.splice(start, self.parts.path, Place::Path, &|out| {
            if !has_host {
                out.text(b"//");
            }
            write_host(out);
            write_port(port, out);
        })?;
        if !has_host {
            (self.parts.user_end, self.parts.host) = (start + 2, start + 2);
        }
        self.parts.host_end = self.parts.host + host_len;
        Ok(())
    }

    /// Changes the port to the number that the value starts with; an empty value takes it away.
    pub fn set_port(&mut self, value: &str) -> Result<(), UrlError> {
        self.wants_host()?;
        let port = match parse_port(Piece::whole(value))?.0 {
            None if !value.is_empty() => return Err(Invalid::Port.at(0)),
            port => port.filter(|port| Some(*port) != self.parts.kind.default_port()),
        };
        self.splice(self.parts.host_end, self.parts.path, Place::Path, &|out| write_port(port, out))
    }

    /// Changes the path; its dots are resolved.
    pub fn set_pathname(&mut self, value: &str) -> Result<(), UrlError> {
        if self.has_opaque_path() {
            return Err(Invalid::NotHere.at(0));
        }
        let (kind, value, has_host) = (self.parts.kind, Piece::whole(value), self.has_host());
        if value.is_empty() && !kind.is_special() && has_host {
            return self.splice(self.parts.path, self.parts.query, Place::Query, &|_| {});
        }
        let path = Path::new(&[], value.strip_slash(kind.is_special()).0, kind);
        let measure = path.measure();
        // Two slashes must not be taken for the start of a host.
        let is_marked = measure.is_double && !has_host;
        let start = if has_host { self.parts.path } else { self.parts.host_end };
        self.splice(start, self.parts.query, Place::Query, &|out| {
            if is_marked {
                out.text(b"/.");
            }
            path.write(measure, out);
        })?;
        self.parts.path = if is_marked { start + 2 } else { start };
        Ok(())
    }

    /// Changes the query, with or without a question mark in front; an empty value takes it away.
    pub fn set_search(&mut self, value: &str) -> Result<(), UrlError> {
        let set = query_set(self.parts.kind);
        self.splice(self.parts.query, self.parts.fragment, Place::Fragment, &|out| marked(b'?', value, set, out))
    }

    /// Changes the fragment, with or without a number sign in front; an empty value takes it away.
    pub fn set_hash(&mut self, value: &str) -> Result<(), UrlError> {
        self.splice(self.parts.fragment, self.parts.len, Place::Len, &|out| marked(b'#', value, set::FRAGMENT, out))
    }

    /// The fields of the query, to edit.
    pub fn search_params_mut(&mut self) -> SearchParamsMut<'_> {
        SearchParamsMut::new(self)
    }

    /// A user or a port can only be where a host is.
    fn wants_host(&self) -> Result<(), UrlError> {
        let has_none = self.hostname().is_empty() || self.parts.kind == Kind::File;
        if has_none { Err(Invalid::NotHere.at(0)) } else { Ok(()) }
    }

    /// Puts what `write` writes, each time the same, in place of the text from `from` to `to`; the places from `first` on
    /// move with what follows.
    pub(super) fn splice(
        &mut self,
        from: u16,
        to: u16,
        first: Place,
        write: &dyn Fn(&mut Out<'_>),
    ) -> Result<(), UrlError> {
        let mut count = Out::new(&mut []);
        write(&mut count);
        let (start, end, len) = (usize::from(from), usize::from(to), usize::from(self.parts.len));
        let kept = len - (end - start);
        fits(kept + count.len, self.buffer.len())?;
        let new_end = start + count.len;
        shift(&mut self.buffer, end..len, new_end);
        if let Some(gap) = self.buffer.get_mut(start..new_end) {
            write(&mut Out::new(gap));
        }
        self.parts.shift(first, (count.len as u16).wrapping_sub(to - from));
        Ok(())
    }
}

fn write_port(port: Option<u16>, out: &mut Out<'_>) {
    if let Some(port) = port {
        out.push(b':');
        out.decimal(port);
    }
}

fn marked(mark: u8, value: &str, set: u8, out: &mut Out<'_>) {
    if value.is_empty() {
        return;
    }
    out.push(mark);
    let bytes = value.as_bytes();
    out.encode(bytes.strip_prefix(&[mark]).unwrap_or(bytes), set);
}

impl Parts {
    /// Moves the places from `first` on.
    fn shift(&mut self, first: Place, by: u16) {
        let places = [
            &mut self.scheme_end,
            &mut self.user_end,
            &mut self.host,
            &mut self.host_end,
            &mut self.path,
            &mut self.query,
            &mut self.fragment,
            &mut self.len,
        ];
        places.into_iter().skip(first as usize).for_each(|place| *place = place.wrapping_add(by));
    }
}
