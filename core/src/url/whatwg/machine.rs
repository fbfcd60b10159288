//! The basic URL parser (URL Standard, "URL parsing"), for every input there is.
//!
//! The Standard gives it as a machine of states that takes a character at a time. Here the same language is taken apart
//! from the outside: first the fragment and the query, which are whatever follows the first `#` and `?`, then the scheme, then
//! by the scheme and the slashes behind it what the rest is. [`fast`](super::fast) stands before it.

use super::super::DomainToAscii;
use super::error::{Invalid, UrlError};
use super::host;
use super::out::{Out, set};
use super::parts::{Kind, Parts};
use super::path::{Path, drive_letter, drive_of, shortened};
use super::piece::{Piece, is_ignored};

/// What a reference is relative to.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) text: &'a [u8],
    pub(super) parts: Parts,
    pub(super) is_opaque: bool,
}

impl<'a> Base<'a> {
    fn slice(&self, from: u16, to: u16) -> &'a [u8] {
        self.text.get(from.into()..to.into()).unwrap_or_default()
    }

    fn path(&self) -> &'a [u8] {
        self.slice(self.parts.path, self.parts.query)
    }
}

/// The name of a scheme, and its kind.
#[derive(Clone, Copy)]
pub(super) struct Scheme<'a> {
    pub(super) kind: Kind,
    name: Piece<'a>,
}

impl<'a> Scheme<'a> {
    /// The scheme that `text` starts with, and what stands behind its colon.
    fn of(text: Piece<'a>) -> Option<(Self, Piece<'a>)> {
        let (name, rest) = text.cut(b':');
        Self::named(name).zip(rest)
    }

    /// `None` for what is no scheme's name.
    pub(super) fn named(name: Piece<'a>) -> Option<Self> {
        let mut letters = name.clean();
        let is_scheme = letters.next()?.is_ascii_alphabetic()
            && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        is_scheme.then(|| Self { kind: Kind::of(name.clean().map(|byte| byte.to_ascii_lowercase())), name })
    }

    pub(super) fn write(&self, out: &mut Out<'_>) {
        self.name.clean().for_each(|byte| out.push(byte.to_ascii_lowercase()));
    }
}

/// Parses `input` and writes the URL to `out`, which may be too small: then it is counted what it takes.
pub(super) fn parse(
    input: &str,
    base: Option<Base<'_>>,
    idna: &dyn DomainToAscii,
    out: &mut Out<'_>,
) -> Result<(Parts, bool), UrlError> {
    let input = Piece::trimmed(input);
    let (head, fragment) = input.cut(b'#');
    let (head, query) = head.cut(b'?');
    let scheme = Scheme::of(head);
    let (kind, rest, base) = match (scheme, base) {
        (Some((scheme, rest)), base) => {
            // Lenience of old: `http:path` is relative to a base of the same scheme.
            let base = base.filter(|base| scheme.kind.is_special() && scheme.kind == base.parts.kind);
            (scheme.kind, rest, base)
        }
        (None, Some(base)) => (base.parts.kind, head, Some(base)),
        (None, None) => return Err(Invalid::Relative.at(input.at)),
    };
    match (scheme, base) {
        (Some((scheme, _)), _) => scheme.write(out),
        (None, Some(base)) => out.text(base.slice(0, base.parts.scheme_end)),
        (None, None) => {}
    }
    let mut url = Unfinished::new(kind, out);
    url.out.push(b':');
    url.no_host();

    let mut is_opaque = false;
    let mut copies_query = false;
    let (after_one, slashes) = rest.strip_slash(kind.is_special());
    let (after_two, two_slashes) = if slashes { after_one.strip_slash(kind.is_special()) } else { (rest, false) };
    match base {
        Some(base) if base.is_opaque => {
            if !head.is_empty() || query.is_some() || fragment.is_none() {
                return Err(Invalid::OpaqueBase.at(input.at));
            }
            (is_opaque, copies_query) = (true, true);
            url.copied_path(&base);
        }
        _ if kind == Kind::File && two_slashes => {
            let (host, path) = after_two.cut_before_slash(true);
            if drive_letter(host).is_some() {
                url.empty_host();
                url.path(Path::new(&[], after_two, kind));
            } else {
                url.file_host(host, idna)?;
                url.path(Path::new(&[], path.strip_slash(true).0, kind));
            }
        }
        Some(base) if !two_slashes => {
            url.copied_authority(&base);
            if slashes {
                let drive = drive_of(base.path()).filter(|_| kind == Kind::File && !starts_with_drive(after_one));
                url.path(Path::new(drive.unwrap_or_default(), after_one, kind));
            } else if rest.is_empty() {
                copies_query = query.is_none();
                url.copied_path(&base);
            } else {
                let is_file = kind == Kind::File;
                let drive = is_file && starts_with_drive(rest);
                let folder = if drive { &[][..] } else { shortened(base.path(), is_file) };
                url.path(Path::new(folder, rest, kind));
            }
        }
        _ if kind == Kind::File => {
            url.empty_host();
            url.path(Path::new(&[], after_one, kind));
        }
        _ if kind.is_special() || two_slashes => {
            let mut rest = after_two;
            while kind.is_special() {
                let (after, stripped) = rest.strip_slash(true);
                if !stripped {
                    break;
                }
                rest = after;
            }
            let path = url.authority(rest, idna)?;
            if kind.is_special() || !path.is_empty() {
                url.path(Path::new(&[], path.strip_slash(kind.is_special()).0, kind));
            } else {
                url.no_path();
            }
        }
        _ if slashes => url.path(Path::new(&[], after_one, kind)),
        _ => {
            is_opaque = true;
            url.opaque_path(rest, query.is_some() || fragment.is_some());
        }
    }
    url.mark_query();
    match (query, base) {
        (Some(query), _) => url.query(query),
        (None, Some(base)) if copies_query => url.out.text(base.slice(base.parts.query, base.parts.fragment)),
        _ => {}
    }
    url.mark_fragment();
    if let Some(fragment) = fragment {
        url.out.push(b'#');
        url.out.encode(fragment.bytes, set::FRAGMENT);
    }
    Ok((url.finish(), is_opaque))
}

/// A URL whose parts are written one after another. Places beyond what a `u16` holds are beyond the buffer, too, and the URL is
/// not used.
struct Unfinished<'o, 'b> {
    out: &'o mut Out<'b>,
    parts: Parts,
}

impl<'o, 'b> Unfinished<'o, 'b> {
    fn new(kind: Kind, out: &'o mut Out<'b>) -> Self {
        let scheme_end = out.len as u16;
        Self { out, parts: Parts { kind, scheme_end, ..Parts::default() } }
    }

    fn here(&self) -> u16 {
        self.out.len as u16
    }

    fn no_host(&mut self) {
        let here = self.here();
        (self.parts.user_end, self.parts.host, self.parts.host_end) = (here, here, here);
    }

    fn empty_host(&mut self) {
        self.out.text(b"//");
        self.no_host();
    }

    fn file_host(&mut self, host: Piece<'_>, idna: &dyn DomainToAscii) -> Result<(), UrlError> {
        self.empty_host();
        let start = self.out.len;
        if !host.is_empty() && host::write(host, true, idna, self.out)? {
            // This machine, which is what no host means.
            self.out.len = start;
        }
        self.parts.host_end = self.here();
        Ok(())
    }

    /// The host with all that belongs to it; what follows it is returned.
    fn authority<'a>(&mut self, text: Piece<'a>, idna: &dyn DomainToAscii) -> Result<Piece<'a>, UrlError> {
        let special = self.parts.kind.is_special();
        let (authority, path) = text.cut_before_slash(special);
        self.empty_host();
        let at_sign = authority.bytes.iter().rposition(|byte| *byte == b'@');
        let host = match at_sign {
            Some(at) => {
                self.userinfo(authority.to(at));
                authority.from(at + 1)
            }
            None => authority,
        };
        self.parts.host = self.here();
        let (host, port) = cut_port(host);
        if host.is_empty() && (special || at_sign.is_some() || port.is_some()) {
            return Err(Invalid::NoHost.at(host.at));
        }
        if !host.is_empty() {
            host::write(host, special, idna, self.out)?;
        }
        self.parts.host_end = self.here();
        if let Some(port) = port {
            let (number, rest) = parse_port(port)?;
            if !rest.is_empty() {
                return Err(Invalid::Port.at(port.at));
            }
            if let Some(number) = number.filter(|number| Some(*number) != self.parts.kind.default_port()) {
                self.out.push(b':');
                self.out.decimal(number);
            }
        }
        Ok(path)
    }

    fn userinfo(&mut self, userinfo: Piece<'_>) {
        let (user, password) = userinfo.cut(b':');
        let password = password.filter(|password| !password.is_empty());
        self.out.encode(user.bytes, set::USERINFO);
        self.parts.user_end = self.here();
        if let Some(password) = password {
            self.out.push(b':');
            self.out.encode(password.bytes, set::USERINFO);
        }
        if password.is_some() || !user.is_empty() {
            self.out.push(b'@');
        }
    }

    fn copied_authority(&mut self, base: &Base<'_>) {
        // Without the `/.` that stands before a path where there is no host.
        let end = if base.parts.has_host() { base.parts.path } else { base.parts.host_end };
        self.out.text(base.slice(base.parts.scheme_end + 1, end));
        let moved = |place: u16| place.wrapping_sub(base.parts.scheme_end).wrapping_add(self.parts.scheme_end);
        self.parts.user_end = moved(base.parts.user_end);
        self.parts.host = moved(base.parts.host);
        self.parts.host_end = moved(base.parts.host_end);
    }

    fn path(&mut self, path: Path<'_>) {
        let measure = path.measure();
        if measure.is_double && !self.parts.has_host() {
            self.out.text(b"/.");
        }
        self.parts.path = self.here();
        path.write(measure, self.out);
    }

    fn no_path(&mut self) {
        self.parts.path = self.here();
    }

    fn copied_path(&mut self, base: &Base<'_>) {
        if !base.parts.has_host() {
            self.out.text(base.slice(base.parts.host_end, base.parts.path));
        }
        self.parts.path = self.here();
        self.out.text(base.path());
    }

    fn opaque_path(&mut self, path: Piece<'_>, is_followed: bool) {
        self.parts.path = self.here();
        // A space at the end would be lost when the URL is parsed again without what follows.
        let last = path.bytes.iter().rposition(|byte| !is_ignored(*byte));
        match last.filter(|last| is_followed && path.bytes.get(*last) == Some(&b' ')) {
            Some(last) => {
                self.out.encode(path.to(last).bytes, set::CONTROL);
                self.out.escape(b' ');
            }
            None => self.out.encode(path.bytes, set::CONTROL),
        }
    }

    fn mark_query(&mut self) {
        self.parts.query = self.here();
    }

    fn query(&mut self, query: Piece<'_>) {
        self.out.push(b'?');
        self.out.encode(query.bytes, query_set(self.parts.kind));
    }

    fn mark_fragment(&mut self) {
        self.parts.fragment = self.here();
    }

    fn finish(mut self) -> Parts {
        self.parts.len = self.here();
        self.parts
    }
}

/// What is percent-encoded in a query.
pub(super) const fn query_set(kind: Kind) -> u8 {
    if kind.is_special() { set::SPECIAL_QUERY } else { set::QUERY }
}

/// A host and what follows the first colon outside brackets.
pub(super) fn cut_port(text: Piece<'_>) -> (Piece<'_>, Option<Piece<'_>>) {
    let mut inside = false;
    let colon = text.bytes.iter().position(|byte| {
        inside = *byte == b'[' || inside && *byte != b']';
        *byte == b':' && !inside
    });
    match colon {
        Some(at) => (text.to(at), Some(text.from(at + 1))),
        None => (text, None),
    }
}

/// The number at the start of `text`, if there is one, and what follows it.
pub(super) fn parse_port(text: Piece<'_>) -> Result<(Option<u16>, Piece<'_>), UrlError> {
    let (mut number, mut rest) = (None, text);
    while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
        let value = u32::from(number.unwrap_or(0_u16)) * 10 + u32::from(digit - b'0');
        number = Some(u16::try_from(value).map_err(|_| Invalid::PortRange.at(text.at))?);
        rest = after;
    }
    Ok((number, rest))
}

/// Whether the first segment of `text` is a drive letter.
fn starts_with_drive(text: Piece<'_>) -> bool {
    drive_letter(text.cut_before_slash(true).0).is_some()
}
