//! What a listener or a route does to HTTP messages, and what it believes of where they come from.

use super::{
    Findings,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        json::quote,
        schema::{ErrorPageSpec, FieldEditsSpec, ForwardedSpec, ForwardedStyleSpec, ProxyProtocolSpec},
    },
    model::{ErrorPage, FieldEdits, Forwarded, ForwardedStyle, MessageEdits, Network, NetworkError},
};
use std::collections::BTreeMap;

/// The default of [`ErrorPage::content_type`].
pub(in crate::desired) const PAGE_TYPE: &str = "text/html; charset=utf-8";

/// Of the value of a field, in bytes.
const LONGEST_VALUE: usize = 4096;
/// Fields that one message is given or relieved of by one object.
const MOST_FIELDS: usize = 32;

/// End at each connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
    "http2-settings",
];
/// Written anew for each message, of what it is.
const OWN: [&str; 5] = ["content-length", "host", "via", "max-forwards", "expect"];
/// Of these there is one line.
const SINGLE: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];

/// What is done to messages, as an object at `at` says in these two fields.
pub(super) fn edits(
    at: &Pointer,
    request: Option<&FieldEditsSpec>,
    response: Option<&FieldEditsSpec>,
    findings: &mut Findings<'_>,
) -> Option<MessageEdits> {
    let request = field_edits(&at.key("requestHeaders"), request, findings);
    let response = field_edits(&at.key("responseHeaders"), response, findings);
    Some(MessageEdits { request: request?, response: response? })
}

fn field_edits(at: &Pointer, spec: Option<&FieldEditsSpec>, findings: &mut Findings<'_>) -> Option<FieldEdits> {
    let Some(spec) = spec else { return Some(FieldEdits::default()) };
    let count = spec.remove.len() + spec.set.len() + spec.add.len();
    if count > MOST_FIELDS {
        findings.error(at, format!("{count} fields are more than {MOST_FIELDS}, the most"));
        return None;
    }
    let at_remove = at.key("remove");
    let remove = findings.each(&at_remove, &spec.remove, editable);
    findings.unique(spec.remove.iter().map(|name| (name.to_ascii_lowercase(), quote(name))), |i| at_remove.index(i));
    let set = values(&at.key("set"), &spec.set, findings);
    let at_add = at.key("add");
    let add = values(&at_add, &spec.add, findings);
    for name in spec.add.keys().filter(|name| SINGLE.contains(&&*name.to_ascii_lowercase())) {
        let error = Complaint::new(format!("there is one line of {name}, which is the proxy's")).of_key();
        findings.error(&at_add.key(name.clone()), error.help("set it instead"));
    }
    Some(FieldEdits { remove: remove?, set: set?, add: add? })
}

fn values(at: &Pointer, spec: &BTreeMap<String, String>, findings: &mut Findings<'_>) -> Option<Vec<(String, String)>> {
    let mut seen = BTreeMap::new();
    let mut pair = |name: &String, value: &String, findings: &mut Findings<'_>| {
        let at = at.key(name.clone());
        let name_read = findings.take(&at, editable(name).map_err(Complaint::of_key));
        if let Some(first) = seen.insert(name.to_ascii_lowercase(), name.clone()) {
            findings.error(&at, Complaint::new(format!("{name:?} is {first:?} in other letters")).of_key());
        }
        let value = findings.take(&at, field_value(value));
        Some((name_read?, value?))
    };
    // Collected first, so that every one of them is looked at.
    let pairs: Vec<_> = spec.iter().map(|(name, value)| pair(name, value, findings)).collect();
    pairs.into_iter().collect()
}

/// The name of a field that may be touched.
fn editable(name: &str) -> Result<String, Complaint> {
    let lower = text::field_name(name)?.to_ascii_lowercase();
    if HOP_BY_HOP.contains(&&*lower) {
        return Err(Complaint::new(format!("{name} belongs to one connection, it cannot be touched")));
    }
    if OWN.contains(&&*lower) {
        return Err(Complaint::new(format!("{name} is written by the proxy, it cannot be touched")));
    }
    Ok(name.to_owned())
}

/// What can stand behind a field's name (RFC 9110 section 5.5).
pub(super) fn field_value(text: &str) -> Result<String, Complaint> {
    if let Some(bad) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(Complaint::new(format!("the value holds {bad:?}, which no field can")));
    }
    if text.trim_matches([' ', '\t']) != text {
        return Err(Complaint::new("white space around a value does not count, and cannot be sent"));
    }
    if text.len() > LONGEST_VALUE {
        let message = format!("the value has {} bytes, more than {LONGEST_VALUE}, the most", text.len());
        return Err(Complaint::new(message));
    }
    Ok(text.to_owned())
}

/// The pages of a listener.
pub(super) fn error_pages(
    at: &Pointer,
    specs: &[ErrorPageSpec],
    findings: &mut Findings<'_>,
) -> Option<Vec<ErrorPage>> {
    // Collected first, so that every one of them is looked at.
    let pages: Vec<_> = specs.iter().enumerate().map(|(i, spec)| error_page(&at.index(i), spec, findings)).collect();
    let places: Vec<_> =
        specs.iter().enumerate().flat_map(|(i, spec)| (0..spec.status.len()).map(move |j| (i, j))).collect();
    let statuses = specs.iter().flat_map(|spec| &spec.status).map(|status| (*status, format!("status {status}")));
    findings.unique(statuses, |n| at.index(places[n].0).key("status").index(places[n].1));
    pages.into_iter().collect()
}

fn error_page(at: &Pointer, spec: &ErrorPageSpec, findings: &mut Findings<'_>) -> Option<ErrorPage> {
    let at_status = at.key("status");
    findings.not_empty(&at_status, &spec.status, "status");
    let mut statuses = Vec::new();
    for (i, status) in spec.status.iter().enumerate() {
        match u16::try_from(*status).ok().filter(|status| ErrorPage::STATUSES.contains(status)) {
            Some(status) => statuses.push(status),
            None => {
                let error = Complaint::new(format!("the proxy makes no page with status {status}"));
                let known = ErrorPage::STATUSES.map(|status| status.to_string()).join(", ");
                findings.error(&at_status.index(i), error.help(format!("it makes those with {known}")));
            }
        }
    }
    statuses.sort_unstable();
    let content_type = match &spec.content_type {
        Some(text) => findings.take(&at.key("contentType"), media_type(text)),
        None => Some(PAGE_TYPE.to_owned()),
    };
    if spec.body.len() > ErrorPage::LONGEST {
        let error = format!("the page has {} bytes, more than {}, the most", spec.body.len(), ErrorPage::LONGEST);
        findings.error(&at.key("body"), error);
    }
    if let Some(bad) = spec.body.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        findings.error(&at.key("body"), format!("the page holds {bad:?}, which no text does"));
    }
    Some(ErrorPage { statuses, content_type: content_type?, body: spec.body.clone() })
}

/// `type/subtype`, with parameters or without.
fn media_type(text: &str) -> Result<String, Complaint> {
    let (kind, parameters) = text.split_once(';').map_or((text, ""), |(kind, rest)| (kind.trim_end(), rest));
    let is_type = kind.split_once('/').is_some_and(|(one, two)| [one, two].iter().all(|t| text::field_name(t).is_ok()));
    if is_type && parameters.is_ascii() && field_value(text).is_ok() {
        return Ok(text.to_owned());
    }
    let error = Complaint::new(format!("{} is no media type", quote(text)));
    Err(error.help("write one like \"text/html; charset=utf-8\" or \"application/json\""))
}

/// What is believed and told of the way of requests.
pub(super) fn forwarded(at: &Pointer, spec: Option<&ForwardedSpec>, findings: &mut Findings<'_>) -> Option<Forwarded> {
    let Some(spec) = spec else { return Some(Forwarded::default()) };
    let style = match spec.style {
        None | Some(ForwardedStyleSpec::XForwarded) => ForwardedStyle::XForwarded,
        Some(ForwardedStyleSpec::Rfc7239) => ForwardedStyle::Rfc7239,
        Some(ForwardedStyleSpec::Both) => ForwardedStyle::Both,
        Some(ForwardedStyleSpec::None) => ForwardedStyle::None,
    };
    let at = at.key("trusted");
    let trusted = match &spec.trusted {
        None => Some(None),
        Some(trusted) => networks(&at, trusted, findings).map(Some),
    };
    if style == ForwardedStyle::None && spec.trusted.is_some() {
        let error = Complaint::new("nobody needs to be trusted where nothing is read");
        findings.error(&at, error.help("give another \"style\", or remove \"trusted\""));
    }
    Some(Forwarded { trusted: trusted?, style })
}

/// Who begins connections with a header of the PROXY protocol.
pub(super) fn proxy_from(
    at: &Pointer,
    spec: Option<&ProxyProtocolSpec>,
    findings: &mut Findings<'_>,
) -> Option<Vec<Network>> {
    let Some(spec) = spec else { return Some(Vec::new()) };
    let at = at.key("from");
    findings.not_empty(&at, &spec.from, "proxy");
    networks(&at, &spec.from, findings)
}

/// In order of the addresses.
fn networks(at: &Pointer, texts: &[String], findings: &mut Findings<'_>) -> Option<Vec<Network>> {
    let mut networks = findings.each(at, texts, network)?;
    findings.unique(networks.iter().map(|network| (*network, *network)), |i| at.index(i));
    for (i, _) in networks.iter().enumerate().filter(|(_, network)| network.is_everything()) {
        findings.warning(&at.index(i), "this is everybody: any client can say that it is another,");
    }
    networks.sort_unstable();
    Some(networks)
}

fn network(text: &str) -> Result<Network, Complaint> {
    text.parse().map_err(|error: NetworkError| {
        let complaint = Complaint::new(error.to_string());
        match error {
            NetworkError::HostBits(_, network) => complaint.help(format!("write \"{network}\", or the address alone")),
            _ => complaint,
        }
    })
}
