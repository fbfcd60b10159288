//! Names to addresses and back, and sockets made in one call.
//!
//! The look-ups here wait for the system's resolver, as long as that takes; [`net::resolve`](crate::net::resolve) does not.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::sockopt;

use super::{Address, Error, Family, Kind, Socket};

/// How many addresses of one name are looked at.
const ADDRESSES_MAX: usize = 64;

/// The longest name there is, in bytes (RFC 1035, section 2.3.4).
const NAME_MAX: usize = 255;

/// What [`getaddrinfo`] is to look for; the default is everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// Addresses of this family alone.
    pub family: Option<Family>,
    /// Sockets of this kind alone.
    pub kind: Option<Kind>,
    /// The addresses are to be listened at: without a host, the one that means all. Python's `AI_PASSIVE`.
    pub passive: bool,
    /// Ask no resolver: the host is an address, the service a number. Python's `AI_NUMERICHOST | AI_NUMERICSERV`.
    pub numeric: bool,
}

/// One way to reach a host: the arguments for [`Socket::with_protocol`] and [`Socket::connect`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct AddressInfo {
    /// For the socket.
    pub family: Family,
    /// For the socket.
    pub kind: Kind,
    /// For the socket.
    pub protocol: i32,
    /// Where to.
    pub address: Address,
}

/// The ways to reach `service` (a name or a number) at `host` (a name or an address; `None`: this machine), in the order
/// in which to try them; at most 64. Addresses and numbers need no resolver.
///
/// # Errors
/// [`Error::Lookup`].
///
/// ```
/// use tidemill_host::socket::{Hints, Kind, getaddrinfo};
/// let hints = Hints { kind: Some(Kind::Stream), ..Hints::default() };
/// let ways = getaddrinfo(Some("127.0.0.1"), Some("80"), hints)?;
/// assert_eq!(ways[0].address.to_string(), "127.0.0.1:80");
/// assert_eq!((ways.len(), ways[0].protocol), (1, 6));
/// # Ok::<(), tidemill_host::socket::Error>(())
/// ```
pub fn getaddrinfo(host: Option<&str>, service: Option<&str>, hints: Hints) -> Result<Vec<AddressInfo>, Error> {
    if let Some(name) = [host, service].into_iter().flatten().find(|name| name.len() > NAME_MAX || name.contains('\0'))
    {
        return Err(Error::Lookup(format!("{} bytes that are not a name", name.len())));
    }
    let passive = if hints.passive { libc::AI_PASSIVE } else { 0 };
    let numeric = if hints.numeric { libc::AI_NUMERICHOST | libc::AI_NUMERICSERV } else { 0 };
    let asked = dns_lookup::AddrInfoHints {
        flags: passive | numeric,
        address: hints.family.map_or(0, |family| family.domain().into()),
        socktype: hints.kind.map_or(0, |kind| kind.as_type().into()),
        protocol: 0,
    };
    let found = dns_lookup::getaddrinfo(host, service, Some(asked)).map_err(failed)?;
    let ways = found.flatten().filter_map(|way| {
        Some(AddressInfo {
            family: if way.sockaddr.is_ipv4() { Family::Inet } else { Family::Inet6 },
            kind: Kind::from_type(way.socktype.into()).ok()?,
            protocol: way.protocol,
            address: way.sockaddr.into(),
        })
    });
    Ok(ways.take(ADDRESSES_MAX).collect())
}

/// How [`getnameinfo`] answers; the default asks the resolver, and falls back to numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NameFlags {
    /// The host as an address. Python's `NI_NUMERICHOST`.
    pub numeric_host: bool,
    /// The service as a number. Python's `NI_NUMERICSERV`.
    pub numeric_service: bool,
    /// Rather an error than an address. Python's `NI_NAMEREQD`.
    pub name_required: bool,
    /// The service of UDP. Python's `NI_DGRAM`.
    pub datagram: bool,
}

/// The names of a host and of a service.
///
/// # Errors
/// [`Error::Lookup`].
///
/// ```
/// use tidemill_host::socket::{NameFlags, getnameinfo};
/// let numbers = NameFlags { numeric_host: true, numeric_service: true, ..NameFlags::default() };
/// let names = getnameinfo("127.0.0.1:80".parse().unwrap(), numbers)?;
/// assert_eq!(names, ("127.0.0.1".to_owned(), "80".to_owned()));
/// # Ok::<(), tidemill_host::socket::Error>(())
/// ```
pub fn getnameinfo(address: SocketAddr, flags: NameFlags) -> Result<(String, String), Error> {
    let bits = [
        (flags.numeric_host, libc::NI_NUMERICHOST),
        (flags.numeric_service, libc::NI_NUMERICSERV),
        (flags.name_required, libc::NI_NAMEREQD),
        (flags.datagram, libc::NI_DGRAM),
    ];
    let bits = bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit);
    dns_lookup::getnameinfo(&address, bits).map_err(failed)
}

/// The resolver's words.
fn failed(error: dns_lookup::LookupError) -> Error {
    let text = std::io::Error::from(error).to_string();
    // The words after the crate's own.
    Error::Lookup(text.rsplit(": ").next().unwrap_or(&text).to_lowercase())
}

/// Connects to `host`, trying its addresses one after the other; each may take up to `timeout`, which stays the socket's.
/// `source` is the address to connect from.
///
/// # Errors
/// [`Error::Lookup`]; that of the last address.
pub fn create_connection(
    (host, port): (&str, u16),
    timeout: Option<Duration>,
    source: Option<SocketAddr>,
) -> Result<Socket, Error> {
    let hints = Hints { kind: Some(Kind::Stream), ..Hints::default() };
    let mut last = Error::Lookup("the name has no address".into());
    for way in getaddrinfo(Some(host), Some(&port.to_string()), hints)? {
        let connect = || {
            let socket = Socket::with_protocol(way.family, way.kind, way.protocol)?;
            socket.settimeout(timeout)?;
            if let Some(source) = source {
                socket.bind(source)?;
            }
            socket.connect(&way.address)?;
            Ok(socket)
        };
        match connect() {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How [`create_server`] listens. The default: 128 waiting connections, no port shared, one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    /// See [`Socket::listen`].
    pub backlog: u32,
    /// Others may listen at the same port, and share its connections.
    pub reuse_port: bool,
    /// IPv4 comes to an IPv6 address, too, as `::ffff:a.b.c.d`.
    pub dual_stack: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self { backlog: 128, reuse_port: false, dual_stack: false }
    }
}

/// A listener for TCP. A port that a server before it left in `TIME-WAIT` can be taken at once.
///
/// # Errors
/// As [`Socket::bind`]; [`Error::Family`]: both families asked for, at an address of IPv4.
pub fn create_server(address: SocketAddr, options: Server) -> Result<Socket, Error> {
    let family = if address.is_ipv4() { Family::Inet } else { Family::Inet6 };
    if options.dual_stack && family == Family::Inet {
        return Err(Error::Family);
    }
    let socket = Socket::new(family, Kind::Stream)?;
    socket.setsockopt(sockopt::ReuseAddr, &true)?;
    if options.reuse_port {
        socket.setsockopt(sockopt::ReusePort, &true)?;
    }
    if family == Family::Inet6 {
        socket.setsockopt(sockopt::Ipv6V6Only, &!options.dual_stack)?;
    }
    socket.bind(address)?;
    socket.listen(options.backlog)?;
    Ok(socket)
}

/// Whether one socket here can listen for both families.
pub fn has_dualstack_ipv6() -> bool {
    let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    create_server(any, Server { dual_stack: true, ..Server::default() }).is_ok()
}
