//! Routes, and what is done to HTTP messages.

use super::{texts, unless, unless_empty};
use crate::{
    desired::{
        convert::{PAGE_TYPE, REDIRECT_STATUS},
        schema::*,
    },
    model::*,
};

pub(super) fn route(route: &Route) -> RouteSpec {
    let (pool, redirect) = match &route.action {
        RouteAction::Pool(pool) => (Some(pool.to_string()), None),
        RouteAction::Redirect(target) => (None, Some(redirect(target))),
    };
    let path = route.path.as_ref().map(|path| match path {
        PathMatch::Prefix(path) => PathSpec::Prefix(path.clone()),
        PathMatch::Exact(path) => PathSpec::Exact(ExactPathSpec { exact: path.clone() }),
    });
    RouteSpec {
        host: route.host.as_ref().map(HostMatch::to_string),
        path,
        methods: route.methods.clone(),
        headers: route.fields.iter().map(field).collect(),
        pool,
        redirect,
        request_headers: edits(&route.edits.request),
        response_headers: edits(&route.edits.response),
    }
}

fn redirect(redirect: &Redirect) -> RedirectSpec {
    RedirectSpec {
        scheme: redirect.scheme.map(|scheme| match scheme {
            Scheme::Http => SchemeSpec::Http,
            Scheme::Https => SchemeSpec::Https,
        }),
        host: redirect.host.clone(),
        status: unless(i64::from(redirect.status), REDIRECT_STATUS.into()),
    }
}

fn field(field: &FieldMatch) -> FieldMatchSpec {
    let mut spec = FieldMatchSpec { name: field.name.clone(), exact: None, prefix: None, present: None };
    match &field.value {
        ValueMatch::Present => spec.present = Some(true),
        ValueMatch::Prefix(prefix) => spec.prefix = Some(prefix.clone()),
        ValueMatch::Exact(exact) => spec.exact = Some(exact.clone()),
    }
    spec
}

pub(super) fn edits(edits: &FieldEdits) -> Option<FieldEditsSpec> {
    let values = |pairs: &[(String, String)]| pairs.iter().cloned().collect();
    unless_empty(FieldEditsSpec { set: values(&edits.set), add: values(&edits.add), remove: edits.remove.clone() })
}

pub(super) fn error_page(page: &ErrorPage) -> ErrorPageSpec {
    ErrorPageSpec {
        status: page.statuses.iter().map(|status| (*status).into()).collect(),
        content_type: unless(page.content_type.clone(), PAGE_TYPE.to_owned()),
        body: page.body.clone(),
    }
}

pub(super) fn forwarded(forwarded: &Forwarded) -> Option<ForwardedSpec> {
    unless_empty(ForwardedSpec {
        trusted: forwarded.trusted.as_deref().map(texts),
        style: match forwarded.style {
            ForwardedStyle::XForwarded => None,
            ForwardedStyle::Rfc7239 => Some(ForwardedStyleSpec::Rfc7239),
            ForwardedStyle::Both => Some(ForwardedStyleSpec::Both),
            ForwardedStyle::None => Some(ForwardedStyleSpec::None),
        },
    })
}

pub(super) fn proxy_protocol(from: &[Network]) -> Option<ProxyProtocolSpec> {
    (!from.is_empty()).then(|| ProxyProtocolSpec { from: texts(from) })
}
