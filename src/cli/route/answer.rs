//! What becomes of a request: the listener that takes it, the routes in the order in which they are tried, and where it
//! goes.

use super::{ask::Asking, choice::Choice, text, world::World};
use crate::{
    dataplane::http::{engine::Request, location, origin},
    model::{Listener, Name, Protocol, Route, RouteAction, Vip},
};
use serde::Serialize;
use std::net::IpAddr;

/// Who would answer, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// What was asked.
    pub(super) request: String,
    /// Where it was learnt what is in force.
    pub(super) source: String,
    /// What else is to be known.
    pub(super) notes: Vec<String>,
    pub(super) vip: String,
    pub(super) addresses: Vec<String>,
    pub(super) port: u16,
    pub(super) protocol: &'static str,
    /// Who counts as the client.
    pub(super) client: Option<IpAddr>,
    /// Those that were looked at, the most specific first.
    pub(super) routes: Vec<Looked>,
    /// Less specific ones, which were not.
    pub(super) further_routes: usize,
    pub(super) outcome: Outcome,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Looked {
    /// Its place in `routes` of the listener.
    pub(super) index: usize,
    /// Its conditions.
    pub(super) conditions: Vec<String>,
    /// The first of them that does not hold; `null`: it takes the request.
    pub(super) mismatch: Option<String>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    /// A backend answers.
    Pool(Choice),
    /// The proxy redirects.
    Redirect {
        /// Of the answer.
        status: u16,
        /// Where to.
        location: String,
    },
    /// The proxy answers by itself.
    Page {
        /// Of the answer.
        status: u16,
        /// In words.
        why: String,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It is not clear who is asked.
    Ambiguous(String),
    /// Nobody listens there.
    Nobody(String),
}

impl Answer {
    pub(super) fn find(asking: &Asking, world: &World) -> Result<Self, Unanswered> {
        let (vip, listener) = listener(asking, world)?;
        let mut answer = Self {
            request: format!("{} {}", asking.method, asking.url),
            source: world.source.clone(),
            notes: world.notes.clone(),
            vip: vip.name.to_string(),
            addresses: vip.addresses.iter().map(|address| address.ip.to_string()).collect(),
            port: listener.port,
            protocol: listener.protocol.as_str(),
            client: asking.from,
            routes: Vec::new(),
            further_routes: 0,
            outcome: Outcome::Page { status: 404, why: "no route takes it, and the listener has no pool".to_owned() },
        };
        if !listener.proxy_from.is_empty() {
            let from: Vec<String> = listener.proxy_from.iter().map(ToString::to_string).collect();
            let from = from.join(", ");
            answer.notes.push(format!("only {from} may connect there, introducing clients with the PROXY protocol"));
        }
        match asking.request() {
            Ok(request) => answer.decide(&request, listener, world, asking.from),
            Err(refusal) => {
                answer.outcome = Outcome::Page { status: refusal.status, why: refusal.reason.to_owned() };
            }
        }
        Ok(answer)
    }

    /// Somebody answers with what was asked for.
    pub(super) fn is_answered(&self) -> bool {
        match &self.outcome {
            Outcome::Pool(choice) => choice.is_answered(),
            Outcome::Redirect { .. } => true,
            Outcome::Page { .. } => false,
        }
    }

    fn decide(&mut self, request: &Request<'_>, listener: &Listener, world: &World, from: Option<IpAddr>) {
        if listener.protocol == Protocol::Tcp {
            self.notes.push("the listener passes bytes on and sees no request in them".to_owned());
            return self.go(listener.pool.as_ref(), request, world);
        }
        let seen = from.map(|peer| origin(&listener.forwarded, request, peer));
        self.client = seen.map(|(client, _)| client);
        let order = Route::in_order(&listener.routes);
        for (looked, (index, route)) in order.iter().enumerate() {
            let mismatch = route.mismatch(request).map(|mismatch| text::mismatch(&mismatch, request));
            let takes = mismatch.is_none();
            self.routes.push(Looked { index: *index, conditions: text::conditions(route), mismatch });
            if !takes {
                continue;
            }
            self.further_routes = order.len() - looked - 1;
            return match &route.action {
                RouteAction::Pool(pool) => self.go(Some(pool), request, world),
                RouteAction::Redirect(redirect) => {
                    let scheme = seen.map_or("http", |(_, scheme)| scheme);
                    let location = location(redirect, scheme, request.host.unwrap_or_default(), &request.target);
                    self.outcome = Outcome::Redirect { status: redirect.status, location };
                }
            };
        }
        self.go(listener.pool.as_ref(), request, world);
    }

    fn go(&mut self, pool: Option<&Name>, request: &Request<'_>, world: &World) {
        if let Some(choice) = pool.and_then(|pool| Choice::of(world, pool, request, self.client)) {
            self.outcome = Outcome::Pool(choice);
        }
    }
}

/// The one listener that is meant.
fn listener<'a>(asking: &Asking, world: &'a World) -> Result<(&'a Vip, &'a Listener), Unanswered> {
    let literal = asking.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let vips = || world.desired.vips.values().filter(|vip| asking.vip.as_ref().is_none_or(|name| *name == *vip.name));
    if let Some(name) = asking.vip.as_ref().filter(|_| vips().next().is_none()) {
        return Err(Unanswered::Nobody(format!("there is no Vip {name:?}")));
    }
    let all = vips().flat_map(|vip| vip.listeners.iter().map(move |listener| (&**vip, listener)));
    let there: Vec<_> = all.filter(|(_, listener)| listener.port == asking.port).collect();
    let is_at = |vip: &Vip| literal.is_some_and(|ip| vip.addresses.iter().any(|address| address.ip == ip));
    let addressed = there.iter().find(|(vip, _)| is_at(vip));
    match (addressed, there.as_slice()) {
        (Some(found), _) | (None, [found]) => Ok(*found),
        (None, []) => Err(Unanswered::Nobody(format!("no Vip listens on port {}", asking.port))),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|(vip, _)| &*vip.name).collect();
            let why = format!("several Vips listen on port {}: say which one with --vip", asking.port);
            Err(Unanswered::Ambiguous(format!("{why} ({})", names.join(", "))))
        }
    }
}
