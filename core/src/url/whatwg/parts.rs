//! Where the parts of a URL stand in its text.

/// What the URL Standard knows of a scheme: the special ones have a host, a default port, and backslashes as slashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Kind {
    #[default]
    Other,
    Http,
    Https,
    Ws,
    Wss,
    Ftp,
    File,
}

impl Kind {
    /// Of a scheme in lower case.
    pub(super) fn of(scheme: impl Iterator<Item = u8>) -> Self {
        // The longest special one has five letters; what is longer pushes them out of the lower half, or is no letter.
        let letters = scheme.fold(0_u64, |letters, byte| letters.saturating_mul(256) | u64::from(byte));
        const fn name(name: &[u8]) -> u64 {
            let mut letters = 0;
            let mut at = 0;
            while at < name.len() {
                letters = letters << 8 | name[at] as u64;
                at += 1;
            }
            letters
        }
        const HTTP: u64 = name(b"http");
        const HTTPS: u64 = name(b"https");
        const WS: u64 = name(b"ws");
        const WSS: u64 = name(b"wss");
        const FTP: u64 = name(b"ftp");
        const FILE: u64 = name(b"file");
        match letters {
            HTTP => Self::Http,
            HTTPS => Self::Https,
            WS => Self::Ws,
            WSS => Self::Wss,
            FTP => Self::Ftp,
            FILE => Self::File,
            _ => Self::Other,
        }
    }

    pub(super) const fn is_special(self) -> bool {
        !matches!(self, Self::Other)
    }

    pub(super) const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::Ws => Some(80),
            Self::Https | Self::Wss => Some(443),
            Self::Ftp => Some(21),
            Self::File | Self::Other => None,
        }
    }
}

/// Where the parts of a URL stand in its text, each from where the one before it ends.
///
/// ```text
/// https://user:pass@example.com:8080/a/b?q=1#f
///      |  |   |     |          |    |   |   | |
///      |  |   |     host       |    |   |   | len
///      |  |   user_end         |    |   |   fragment
///      |  (user)               |    |   query
///      scheme_end              |    path
///                              host_end
/// ```
///
/// Where there is no host, `user_end`, `host` and `host_end` are just behind the scheme's colon. A query or fragment that is
/// there has its `?` or `#`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Parts {
    pub(super) kind: Kind,
    pub(super) scheme_end: u16,
    pub(super) user_end: u16,
    pub(super) host: u16,
    pub(super) host_end: u16,
    pub(super) path: u16,
    pub(super) query: u16,
    pub(super) fragment: u16,
    pub(super) len: u16,
}

impl Parts {
    /// Whether there is a host, be it empty.
    pub(super) const fn has_host(&self) -> bool {
        self.host > self.scheme_end + 1
    }
}

/// Places of [`Parts`] from which on the others move, in the order of the text.
#[derive(Clone, Copy)]
pub(super) enum Place {
    SchemeEnd = 0,
    UserEnd = 1,
    Host = 2,
    Path = 4,
    Query = 5,
    Fragment = 6,
    Len = 7,
}
