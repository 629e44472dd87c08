//! How backends are chosen, and how clients are kept at them.

use super::{
    Findings,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        json::quote,
        schema::{BalanceBy, BalanceSpec, BalanceWord, CookieSpec, SameSiteSpec, StickySpec},
    },
    model::{Balance, SameSite, Sticky, StickyCookie},
};
use std::time::Duration;

pub(super) fn balance(at: &Pointer, spec: Option<&BalanceSpec>, findings: &mut Findings<'_>) -> Option<Balance> {
    Some(match spec {
        None => Balance::default(),
        Some(BalanceSpec::Word(word)) => match word {
            BalanceWord::RoundRobin => Balance::RoundRobin,
            BalanceWord::LeastConn => Balance::LeastConn,
            BalanceWord::Random => Balance::Random,
            BalanceWord::Source => Balance::Source,
            BalanceWord::Uri => Balance::Uri { query: false },
            BalanceWord::First => Balance::First,
        },
        Some(BalanceSpec::By(by)) => return balance_by(at, by, findings),
    })
}

fn balance_by(at: &Pointer, by: &BalanceBy, findings: &mut Findings<'_>) -> Option<Balance> {
    match (&by.uri, &by.header) {
        (Some(uri), None) => Some(Balance::Uri { query: uri.query }),
        (None, Some(name)) => findings.take(&at.key("header"), text::field_name(name)).map(Balance::Header),
        _ => {
            findings.error(at, "give either uri or header");
            None
        }
    }
}

/// `None`: a mistake. `Some(None)`: not sticky.
pub(super) fn sticky(at: &Pointer, spec: Option<&StickySpec>, findings: &mut Findings<'_>) -> Option<Option<Sticky>> {
    let Some(spec) = spec else { return Some(None) };
    match (&spec.cookie, &spec.app_cookie, &spec.source) {
        (Some(own), None, None) => Some(Some(Sticky::Cookie(cookie(&at.key("cookie"), own, findings)?))),
        (None, Some(app), None) => {
            let name = findings.take(&at.key("appCookie").key("name"), text::token(&app.name))?;
            Some(Some(Sticky::AppCookie { name }))
        }
        (None, None, Some(_)) => Some(Some(Sticky::Source)),
        (None, None, None) => {
            let complaint = Complaint::new("it is not said what keeps a client");
            findings.error(at, complaint.help("write one of cookie, appCookie and source"));
            None
        }
        _ => {
            findings.error(at, "a client is kept by one of cookie, appCookie and source, not by several");
            None
        }
    }
}

fn cookie(at: &Pointer, spec: &CookieSpec, findings: &mut Findings<'_>) -> Option<StickyCookie> {
    let name = findings.take(&at.key("name"), text::token(&spec.name));
    let same_site = match spec.same_site {
        None | Some(SameSiteSpec::Lax) => SameSite::Lax,
        Some(SameSiteSpec::Strict) => SameSite::Strict,
        Some(SameSiteSpec::None) => SameSite::None,
    };
    if same_site == SameSite::None && !spec.secure {
        let complaint = Complaint::new("browsers refuse a cookie with SameSite=None that is not secure");
        findings.error(&at.key("sameSite"), complaint.help("add \"secure\": true"));
    }
    let domain = match &spec.domain {
        Some(domain) => findings.take(&at.key("domain"), cookie_domain(domain)).map(Some),
        None => Some(None),
    };
    let max_age = match spec.max_age.as_deref() {
        Some(text) => max_age(&at.key("maxAge"), text, findings).map(Some),
        None => Some(None),
    };
    Some(StickyCookie { name: name?, same_site, secure: spec.secure, domain: domain?, max_age: max_age? })
}

fn cookie_domain(text: &str) -> Result<String, Complaint> {
    let complaint = |_| Complaint::new(format!("{} is no host name", quote(text)));
    text::host(text).map_err(|error| complaint(error).help("write it plainly: the hosts below it get the cookie too"))
}

fn max_age(at: &Pointer, text: &str, findings: &mut Findings<'_>) -> Option<Duration> {
    let age = findings.duration(at, Some(text), Duration::ZERO)?;
    if age.is_zero() || age.subsec_nanos() != 0 {
        findings.error(at, "the age of a cookie is counted in whole seconds, at least \"1s\"");
        return None;
    }
    Some(age)
}
