//! Which backend a request is drawn to, by what the client said, and what its response does to keep it there.

use super::engine::{Keep, Request};
use crate::{
    balance,
    dataplane::upstream::{Caller, Upstream, View},
    model::{Balance, Sticky},
};
use std::{net::IpAddr, rc::Rc};

/// Who asks, with what the pool's algorithm goes by.
pub(super) fn caller(view: &View, request: &Request<'_>, address: IpAddr) -> Caller {
    Caller { address, key: key(view.balance(), request) }
}

/// What of a request an algorithm goes by, if it does by any of it.
pub fn key(balance: &Balance, request: &Request<'_>) -> Option<u64> {
    match balance {
        Balance::Uri { query: false } => Some(balance::key(request.path().as_bytes())),
        Balance::Uri { query: true } => Some(balance::key(request.target.as_bytes())),
        Balance::Header(name) => request.field(name).map(balance::key),
        Balance::RoundRobin | Balance::LeastConn | Balance::Random | Balance::Source | Balance::First => None,
    }
}

/// The backend where the client is kept, if that is in rotation.
pub(super) fn preferred(view: &View, request: &Request<'_>, address: IpAddr) -> Option<Rc<Upstream>> {
    kept(view.sticky()?, request, |name| view.named(name), || view.home(address))
}

/// Where stickiness draws a request: to one that is `named`, or to the client's `home`.
pub fn kept<T>(
    sticky: &Sticky,
    request: &Request<'_>,
    named: impl Fn(&[u8]) -> Option<T>,
    home: impl FnOnce() -> Option<T>,
) -> Option<T> {
    match sticky {
        Sticky::Cookie(cookie) => named(request.cookie(&cookie.name)?),
        Sticky::AppCookie { name } => request.kept_at(name).find_map(named),
        Sticky::Source => home(),
    }
}

/// The cookie from which the name of the backend is taken out before a backend sees it.
pub(super) fn app_cookie(view: &View) -> Option<&str> {
    match view.sticky()? {
        Sticky::AppCookie { name } => Some(name),
        Sticky::Cookie(_) | Sticky::Source => None,
    }
}

/// What keeps a client at the backend that has answered; `kept`: it came for that one.
pub(super) fn keep<'a>(view: &'a View, upstream: &'a Upstream, kept: bool) -> Keep<'a> {
    let backend = upstream.name.as_str();
    match view.sticky() {
        Some(Sticky::Cookie(cookie)) if !kept => {
            Keep::Insert { cookie: &cookie.name, backend, attributes: view.cookie_attributes() }
        }
        Some(Sticky::AppCookie { name }) => Keep::Prefix { cookie: name, backend },
        None | Some(Sticky::Cookie(_) | Sticky::Source) => Keep::Nothing,
    }
}
