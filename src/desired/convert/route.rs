//! Which requests go where.

use super::{
    Findings, http,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        json::quote,
        schema::{FieldMatchSpec, ListenerSpec, PathSpec, RedirectSpec, RouteSpec, SchemeSpec},
    },
    model::{FieldMatch, PathMatch, Redirect, Route, RouteAction, Scheme, ValueMatch},
};

/// The default of [`Redirect::status`].
pub(in crate::desired) const REDIRECT_STATUS: u16 = 302;

/// Those of RFC 9110 and RFC 5789.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The routes of a listener.
pub(super) fn routes(at: &Pointer, listener: &ListenerSpec, findings: &mut Findings<'_>) -> Option<Vec<Route>> {
    let specs = &listener.routes;
    // Collected first, so that every one of them is looked at.
    let routes: Vec<_> = specs.iter().enumerate().map(|(i, spec)| route(&at.index(i), spec, findings)).collect();
    let routes: Vec<Route> = routes.into_iter().collect::<Option<_>>()?;
    warn_of_shadowed(at, &routes, findings);
    if listener.pool.is_some()
        && let Some(i) = routes.iter().position(takes_everything)
    {
        findings.warning(&at.index(i), "this route takes everything, so that the listener's own pool gets no request,");
    }
    Some(routes)
}

/// A route can only be reached if none that is tried before it takes all that it would take.
fn warn_of_shadowed(at: &Pointer, routes: &[Route], findings: &mut Findings<'_>) {
    let sorted = Route::in_order(routes);
    for (n, (i, route)) in sorted.iter().enumerate() {
        // What comes before, and covers it, is about the same host and path: so they stand side by side.
        let same = |other: &Route| {
            let (mine, theirs) = (route.specificity(), other.specificity());
            mine.has_same_place(&theirs)
        };
        let before = sorted[..n].iter().rev().take_while(|(_, other)| same(other));
        if let Some((first, other)) = before.filter(|(_, other)| other.covers(route)).last() {
            let warning = Complaint::new(match route.covers(other) {
                true => "this route gets no request, because an equal one comes first,",
                false => "this route gets no request, because another one takes all of it first,",
            });
            findings.warning(&at.index(*i), warning.help(format!("the other one is at {}", at.index(*first))));
        }
    }
}

fn takes_everything(route: &Route) -> bool {
    route.covers(&Route::to(route.action.clone()))
}

fn route(at: &Pointer, spec: &RouteSpec, findings: &mut Findings<'_>) -> Option<Route> {
    let host = match &spec.host {
        Some(host) => findings.take(&at.key("host"), text::host_match(host)).map(Some),
        None => Some(None),
    };
    let path = path(&at.key("path"), spec.path.as_ref(), findings);
    let methods = methods(&at.key("methods"), &spec.methods, findings);
    let at_fields = at.key("headers");
    let fields: Vec<_> =
        spec.headers.iter().enumerate().map(|(i, spec)| field(&at_fields.index(i), spec, findings)).collect();
    let fields: Option<Vec<FieldMatch>> = fields.into_iter().collect();
    let edits = http::edits(at, spec.request_headers.as_ref(), spec.response_headers.as_ref(), findings);
    let action = action(at, spec, findings);
    let mut fields = fields?;
    fields.sort();
    fields.dedup();
    Some(Route { host: host?, path: path?, methods: methods?, fields, edits: edits?, action: action? })
}

fn path(at: &Pointer, spec: Option<&PathSpec>, findings: &mut Findings<'_>) -> Option<Option<PathMatch>> {
    match spec {
        None => Some(None),
        Some(PathSpec::Prefix(path)) => findings.take(at, text::path(path)).map(|path| Some(PathMatch::Prefix(path))),
        Some(PathSpec::Exact(path)) => {
            findings.take(&at.key("exact"), text::path(&path.exact)).map(|path| Some(PathMatch::Exact(path)))
        }
    }
}

fn methods(at: &Pointer, texts: &[String], findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let methods = findings.each(at, texts, |text| {
        let upper = text.to_ascii_uppercase();
        if METHODS.contains(&&*upper) && upper != text {
            let error = Complaint::new(format!("{} is no method: they are written in capitals", quote(text)));
            return Err(error.help(format!("write {upper:?}")));
        }
        let error = |_| Complaint::new(format!("{} can be no method", quote(text)));
        text::field_name(text).map_err(error)
    });
    findings.unique(texts.iter().map(|text| (text, quote(text))), |i| at.index(i));
    let mut methods = methods?;
    methods.sort();
    Some(methods)
}

fn field(at: &Pointer, spec: &FieldMatchSpec, findings: &mut Findings<'_>) -> Option<FieldMatch> {
    let name = findings.take(&at.key("name"), text::field_name(&spec.name)).map(|name| name.to_ascii_lowercase());
    if name.as_deref() == Some("host") {
        findings.error(&at.key("name"), Complaint::new("the host has a field of its own").help("write \"host\""));
    }
    let value = match (&spec.exact, &spec.prefix, spec.present) {
        (Some(exact), None, None) => findings.take(&at.key("exact"), http::field_value(exact)).map(ValueMatch::Exact),
        (None, Some(prefix), None) if prefix.is_empty() => {
            findings
                .error(&at.key("prefix"), Complaint::new("everything begins with nothing").help("write \"present\""));
            None
        }
        (None, Some(prefix), None) => {
            findings.take(&at.key("prefix"), http::field_value(prefix)).map(ValueMatch::Prefix)
        }
        (None, None, Some(true)) => Some(ValueMatch::Present),
        (None, None, Some(false)) => {
            let error = Complaint::new("a route cannot ask for a field that is not there");
            let help =
                "write \"true\" here and in another route, more general than this one, what is wanted without it";
            findings.error(&at.key("present"), error.help(help));
            None
        }
        _ => {
            findings.error(at, "a field has one of \"exact\", \"prefix\" and \"present\"");
            None
        }
    };
    Some(FieldMatch { name: name?, value: value? })
}

fn action(at: &Pointer, spec: &RouteSpec, findings: &mut Findings<'_>) -> Option<RouteAction> {
    match (&spec.pool, &spec.redirect) {
        (Some(pool), None) => findings.name(&at.key("pool"), pool).map(RouteAction::Pool),
        (None, Some(target)) => {
            for (key, edits) in [("requestHeaders", &spec.request_headers), ("responseHeaders", &spec.response_headers)]
            {
                if edits.is_some() {
                    findings.error(&at.key(key), "a redirect passes nothing on that could be changed");
                }
            }
            redirect(&at.key("redirect"), target, findings).map(RouteAction::Redirect)
        }
        (Some(_), Some(_)) => {
            findings.error(&at.key("redirect"), "a route has either a \"pool\" or a \"redirect\", not both");
            None
        }
        (None, None) => {
            findings.error(at, "a route needs a \"pool\" or a \"redirect\"");
            None
        }
    }
}

fn redirect(at: &Pointer, spec: &RedirectSpec, findings: &mut Findings<'_>) -> Option<Redirect> {
    let scheme = spec.scheme.map(|scheme| match scheme {
        SchemeSpec::Http => Scheme::Http,
        SchemeSpec::Https => Scheme::Https,
    });
    let host = match &spec.host {
        Some(host) => findings.take(&at.key("host"), text::host_and_port(host)).map(Some),
        None => Some(None),
    };
    if spec.host.is_none() && !matches!(scheme, Some(Scheme::Https)) {
        let error = Complaint::new("this redirect leads back to where it came from");
        findings.error(at, error.help("give it another \"scheme\" or \"host\""));
    }
    let status = spec.status.unwrap_or(REDIRECT_STATUS.into());
    let known = u16::try_from(status).ok().filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308));
    if known.is_none() {
        let error = Complaint::new(format!("status {status} is no redirect"));
        findings.error(&at.key("status"), error.help("write 301, 302, 303, 307 or 308"));
    }
    Some(Redirect { scheme, host: host?, status: known? })
}
