//! Addresses between core's types and smoltcp's, which knows IPv6 only with the feature `ipv6`.
#![allow(clippy::unnecessary_wraps, reason = "with IPv6 every address is known")]

use core::net::{IpAddr, SocketAddr};
use smoltcp::iface::Routes;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// smoltcp's name of an address; `None`: its family is not spoken here.
pub(super) fn known(addr: IpAddr) -> Option<IpAddress> {
    match addr {
        IpAddr::V4(addr) => Some(addr.into()),
        #[cfg(feature = "ipv6")]
        IpAddr::V6(addr) => Some(addr.into()),
        #[cfg(not(feature = "ipv6"))]
        IpAddr::V6(_) => None,
    }
}

/// smoltcp's name of an address with a port.
pub(super) fn endpoint(addr: SocketAddr) -> Option<IpEndpoint> {
    known(addr.ip()).map(|ip| IpEndpoint::new(ip, addr.port()))
}

/// Whether there is a default router for the family of `addr`.
pub(super) fn has_router(routes: &Routes, addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => routes.get_default_ipv4_route().is_some(),
        #[cfg(feature = "ipv6")]
        IpAddr::V6(_) => routes.get_default_ipv6_route().is_some(),
        #[cfg(not(feature = "ipv6"))]
        IpAddr::V6(_) => false,
    }
}

/// Makes `router` the default of its family; false: there is no room for it, or the family is not spoken here.
pub(super) fn add_router(routes: &mut Routes, router: IpAddr) -> bool {
    match router {
        IpAddr::V4(router) => routes.add_default_ipv4_route(router).is_ok(),
        #[cfg(feature = "ipv6")]
        IpAddr::V6(router) => routes.add_default_ipv6_route(router).is_ok(),
        #[cfg(not(feature = "ipv6"))]
        IpAddr::V6(_) => false,
    }
}
