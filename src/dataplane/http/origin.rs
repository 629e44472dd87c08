//! Who has sent a request, and what of its way is believed and told.

use super::engine::{Earlier, Request, Told};
use crate::model::Forwarded;
use std::net::IpAddr;

/// What a listener makes of the way of requests.
pub(in crate::dataplane) struct Origin(Forwarded);

/// What is known of a request's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// Who has sent it.
    pub(super) client: IpAddr,
    /// As the client spelled it, as far as is known.
    pub(super) scheme: &'static str,
    /// How it is told.
    pub(super) told: Told,
}

impl Origin {
    /// `None`: as it is without being configured.
    pub(in crate::dataplane) fn new(forwarded: &Forwarded) -> Option<Self> {
        (*forwarded != Forwarded::default()).then(|| Self(forwarded.clone()))
    }

    /// Whether connections of `peer` carry what others have sent.
    pub(in crate::dataplane) fn trusts(&self, peer: IpAddr) -> bool {
        self.0.trusts(peer)
    }

    fn way(&self, request: &Request<'_>, peer: IpAddr) -> Way {
        let (x_forwarded, rfc7239) = (self.0.style.has_x_forwarded(), self.0.style.has_rfc7239());
        let earlier = match (&self.0.trusted, self.0.trusts(peer)) {
            (None, _) => Earlier::Extended,
            (Some(_), false) => Earlier::Dropped,
            (Some(_), true) => Earlier::Kept,
        };
        let told = Told { x_forwarded, rfc7239, earlier };
        let (client, scheme) = origin(&self.0, request, peer);
        Way { client, scheme, told }
    }
}

/// Who has sent a request that has come from `peer`, and by which scheme, as far as those who are trusted say.
pub fn origin(forwarded: &Forwarded, request: &Request<'_>, peer: IpAddr) -> (IpAddr, &'static str) {
    if !forwarded.trusts(peer) {
        return (peer, "http");
    }
    let (x_forwarded, rfc7239) = (forwarded.style.has_x_forwarded(), forwarded.style.has_rfc7239());
    let (client, scheme) = if x_forwarded && (!rfc7239 || request.field("x-forwarded-for").is_some()) {
        (forwarded.client(peer, request.x_forwarded_for()), request.x_forwarded_proto())
    } else {
        let hops = request.forwarded();
        let nearest = hops.iter().find_map(|hop| hop.proto);
        (forwarded.client(peer, hops.iter().map(|hop| hop.from)), nearest)
    };
    let is_https = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"));
    (client, if is_https { "https" } else { "http" })
}

/// The way of a request that has come from `peer`.
pub(super) fn way(origin: Option<&Origin>, request: &Request<'_>, peer: IpAddr) -> Way {
    match origin {
        None => Way { client: peer, scheme: "http", told: Told::default() },
        Some(origin) => origin.way(request, peer),
    }
}
