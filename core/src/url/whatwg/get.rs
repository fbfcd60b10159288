//! The parts of a URL, under the names of JavaScript's `URL`.

use super::{Origin, SearchParams, UrlView, text_of};

impl UrlView {
    /// The whole text.
    #[doc(alias = "as_str")]
    pub fn href(&self) -> &str {
        self.as_ref()
    }

    /// The scheme, with its colon.
    #[doc(alias = "scheme")]
    pub fn protocol(&self) -> &str {
        self.text(0, self.parts.scheme_end + 1)
    }

    /// Who asks, percent-encoded; empty if nobody is named.
    pub fn username(&self) -> &str {
        if self.has_host() { self.text(self.parts.scheme_end + 3, self.parts.user_end) } else { "" }
    }

    /// With which password, percent-encoded; empty if there is none.
    pub fn password(&self) -> &str {
        if self.has_password() { self.text(self.parts.user_end + 1, self.parts.host - 1) } else { "" }
    }

    /// The host and, where it is not the scheme's own, the port.
    pub fn host(&self) -> &str {
        if self.has_host() { self.text(self.parts.host, self.parts.path) } else { "" }
    }

    /// The host: a domain, an IPv4 address, an IPv6 address in brackets, or empty.
    pub fn hostname(&self) -> &str {
        self.text(self.parts.host, self.parts.host_end)
    }

    /// The port as digits; empty if it is the scheme's own or there is none.
    pub fn port(&self) -> &str {
        if self.has_port() { self.text(self.parts.host_end + 1, self.parts.path) } else { "" }
    }

    /// The port to connect to: the one in the URL, or the scheme's own (URL Standard, "default port").
    pub fn port_or_default(&self) -> Option<u16> {
        self.port_number().or(self.parts.kind.default_port())
    }

    /// The path, percent-encoded.
    #[doc(alias = "path")]
    pub fn pathname(&self) -> &str {
        self.text(self.parts.path, self.parts.query)
    }

    /// The query with its question mark; empty if there is nothing behind it.
    #[doc(alias = "query")]
    pub fn search(&self) -> &str {
        self.marked(self.parts.query, self.parts.fragment)
    }

    /// The fragment with its number sign; empty if there is nothing behind it.
    #[doc(alias = "fragment")]
    pub fn hash(&self) -> &str {
        self.marked(self.parts.fragment, self.parts.len)
    }

    /// For whom the URL speaks: its scheme, host and port.
    pub fn origin(&self) -> Origin<'_> {
        Origin::of(self)
    }

    /// The fields of the query, decoded.
    pub fn search_params(&self) -> SearchParams<'_> {
        SearchParams::new(self.text(self.parts.query, self.parts.fragment))
    }

    /// Whether there is a host, be it empty.
    pub fn has_host(&self) -> bool {
        self.parts.has_host()
    }

    /// Whether the path is one text, as in `mailto:` and `data:`, and no list of segments: nothing but a fragment is relative to
    /// such a URL.
    pub fn has_opaque_path(&self) -> bool {
        !self.has_host() && self.byte(self.parts.path) != b'/'
    }

    /// The byte at a place, and 0 behind the last.
    fn byte(&self, at: u16) -> u8 {
        if at < self.parts.len { self.buffer.get(usize::from(at)).copied().unwrap_or(0) } else { 0 }
    }

    pub(super) fn has_password(&self) -> bool {
        self.parts.user_end < self.parts.host && self.byte(self.parts.user_end) == b':'
    }

    /// Whether a user or a password is named.
    pub(super) fn has_user(&self) -> bool {
        self.parts.user_end < self.parts.host
    }

    pub(super) fn has_port(&self) -> bool {
        self.has_host() && self.parts.host_end < self.parts.path
    }

    pub(super) fn port_number(&self) -> Option<u16> {
        let digits = self.port().bytes().map(|byte| u16::from(byte - b'0'));
        digits.fold(None, |number, digit| Some(number.unwrap_or(0_u16).wrapping_mul(10).wrapping_add(digit)))
    }

    pub(super) fn text(&self, from: u16, to: u16) -> &str {
        text_of(&self.buffer, from, to)
    }

    fn marked(&self, from: u16, to: u16) -> &str {
        if to > from + 1 { self.text(from, to) } else { "" }
    }
}
