//! An answer as a person would give it.

use super::{
    answer::{Answer, Looked, Outcome},
    choice::{Candidate, Choice},
};
use crate::model::{Asked, FieldMatch, Mismatch, PathMatch, Route, ValueMatch};
use std::fmt;

/// What a route asks for, one by one.
pub(super) fn conditions(route: &Route) -> Vec<String> {
    let host = route.host.as_ref().map(|host| format!("host {host}"));
    let path = route.path.as_ref().map(path);
    let methods = (!route.methods.is_empty()).then(|| format!("method {}", route.methods.join(" or ")));
    host.into_iter().chain(path).chain(methods).chain(route.fields.iter().map(field)).collect()
}

fn path(path: &PathMatch) -> String {
    match path {
        PathMatch::Prefix(prefix) => format!("path {prefix} and below"),
        PathMatch::Exact(exact) => format!("path exactly {exact}"),
    }
}

fn field(field: &FieldMatch) -> String {
    let name = &field.name;
    match &field.value {
        ValueMatch::Present => format!("field {name}"),
        ValueMatch::Prefix(prefix) => format!("{name} beginning with {prefix:?}"),
        ValueMatch::Exact(exact) => format!("{name} exactly {exact:?}"),
    }
}

/// Why a route does not take what was asked.
pub(super) fn mismatch(mismatch: &Mismatch<'_>, asked: &impl Asked) -> String {
    match mismatch {
        Mismatch::Host(host) => format!("the host is {}, not {host}", asked.host().unwrap_or("not given")),
        Mismatch::Path(wanted) => format!("not {}: the path is {}", path(wanted), asked.path()),
        Mismatch::Method(methods) => format!("the method is {}, not {}", asked.method(), methods.join(" or ")),
        Mismatch::Field(wanted) => format!("there is no {}", field(wanted)),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.request)?;
        writeln!(f, "  by {}", self.source)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))?;
        let (vip, port, protocol) = (&self.vip, self.port, self.protocol);
        writeln!(f, "Vip {vip}, port {port} ({protocol}) on {}", self.addresses.join(", "))?;
        if let Some(client) = self.client {
            writeln!(f, "  for the client {client}")?;
        }
        if !self.routes.is_empty() {
            writeln!(f, "Routes, the most specific first:")?;
            self.routes.iter().try_for_each(|route| writeln!(f, "  {route}"))?;
            if self.further_routes > 0 {
                writeln!(f, "  and {} that were not looked at", self.further_routes)?;
            }
            if self.routes.iter().all(|route| route.mismatch.is_some()) {
                writeln!(f, "  no route takes it: it is for the listener's own pool")?;
            }
        }
        write!(f, "{}", self.outcome)
    }
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = if self.conditions.is_empty() { "anything".to_owned() } else { self.conditions.join(", ") };
        match &self.mismatch {
            None => write!(f, "YES routes[{}]: {conditions}", self.index),
            Some(why) => write!(f, "no  routes[{}]: {conditions} – {why}", self.index),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(choice) => write!(f, "{choice}"),
            Self::Redirect { status, location } => writeln!(f, "=> redirect {status} to {location}"),
            Self::Page { status, why } => writeln!(f, "=> the proxy itself answers {status}: {why}"),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Pool {} ({}):", self.pool, self.balance)?;
        self.backends.iter().try_for_each(|backend| writeln!(f, "  {backend}"))?;
        match &self.backend {
            Some(backend) => writeln!(f, "=> {backend}: {}", self.why),
            None if self.is_answered() => writeln!(f, "=> {}", self.why),
            None => writeln!(f, "=> the proxy itself answers 503: {}", self.why),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, weight, state, .. } = self;
        write!(f, "{name} {address} weight {weight} {state}")?;
        if self.backup {
            f.write_str(", backup")?;
        }
        if !self.candidate {
            f.write_str(" (gets nothing new)")?;
        }
        Ok(())
    }
}
