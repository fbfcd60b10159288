//! Where a socket is: IPv4, IPv6, or one of the three kinds of Unix address.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use socket2::SockAddr;

use super::{Error, Family};

/// The longest path or abstract name, in bytes: `sun_path` has 108, one of them for the NUL that ends or begins it.
pub const UNIX_MAX: usize = 107;

/// The address of a socket, or of its peer.
///
/// ```
/// use tidemill_host::socket::Address;
/// let address: Address = "[::1]:80".parse::<std::net::SocketAddr>().unwrap().into();
/// assert_eq!(address.to_string(), "[::1]:80");
/// assert_eq!(Address::Abstract(b"mill".to_vec()).to_string(), "unix:@mill");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Address {
    /// IPv4 and a port. For [`Kind::Raw`](super::Kind::Raw) the port is 0.
    Inet(SocketAddrV4),
    /// IPv6, a port, the flow and the scope.
    Inet6(SocketAddrV6),
    /// A socket in the file system.
    Path(PathBuf),
    /// A name that lives as long as its socket, in no file system. Any bytes (Linux).
    Abstract(Vec<u8>),
    /// A Unix socket that nobody can name. To bind to it asks Linux for a free abstract name.
    Unnamed,
}

impl Address {
    /// Its family.
    pub fn family(&self) -> Family {
        match self {
            Self::Inet(_) => Family::Inet,
            Self::Inet6(_) => Family::Inet6,
            Self::Path(_) | Self::Abstract(_) | Self::Unnamed => Family::Unix,
        }
    }

    /// The IP address and port, if it has them.
    pub fn ip(&self) -> Option<SocketAddr> {
        match *self {
            Self::Inet(v4) => Some(v4.into()),
            Self::Inet6(v6) => Some(v6.into()),
            _ => None,
        }
    }

    /// For the kernel. What it could not hold is refused here, so that no call is made with half an address.
    pub(super) fn for_kernel(&self) -> Result<SockAddr, Error> {
        let unix = |bytes: &[u8]| Ok(SockAddr::unix(Path::new(OsStr::from_bytes(bytes)))?);
        match self {
            Self::Inet(v4) => Ok((*v4).into()),
            Self::Inet6(v6) => Ok((*v6).into()),
            Self::Path(path) => {
                let bytes = path.as_os_str().as_bytes();
                if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
                    return Err(Error::PathNul { at });
                }
                within(1, bytes.len())?;
                unix(bytes)
            }
            Self::Abstract(name) => {
                within(0, name.len())?;
                unix(&[&[0], name.as_slice()].concat())
            }
            Self::Unnamed => unix(b""),
        }
    }

    /// What the kernel says. `None`: of a family that there is no variant for.
    pub(super) fn from_kernel(address: &SockAddr) -> Option<Self> {
        if let Some(ip) = address.as_socket() {
            return Some(ip.into());
        }
        if let Some(path) = address.as_pathname() {
            return Some(Self::Path(path.into()));
        }
        if let Some(name) = address.as_abstract_namespace() {
            return Some(Self::Abstract(name.into()));
        }
        address.is_unnamed().then_some(Self::Unnamed)
    }
}

fn within(least: usize, bytes: usize) -> Result<(), Error> {
    if (least..=UNIX_MAX).contains(&bytes) { Ok(()) } else { Err(Error::PathLength { bytes }) }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::Inet(v4),
            SocketAddr::V6(v6) => Self::Inet6(v6),
        }
    }
}

impl From<(IpAddr, u16)> for Address {
    fn from((ip, port): (IpAddr, u16)) -> Self {
        SocketAddr::new(ip, port).into()
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Path(path.into())
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(v4) => v4.fmt(f),
            Self::Inet6(v6) => v6.fmt(f),
            Self::Path(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
            Self::Unnamed => f.write_str("unix:"),
        }
    }
}
