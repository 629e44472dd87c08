//! Which requests go where.

use super::{MessageEdits, Name};
use std::cmp::Reverse;

/// One rule of an HTTP listener: all conditions that are given must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Compared with the request's host, without port.
    pub host: Option<HostMatch>,
    /// Compared with the request target's path, before decoding.
    pub path: Option<PathMatch>,
    /// One of these (case-sensitive, as methods are); empty: any.
    pub methods: Vec<String>,
    /// All of these.
    pub fields: Vec<FieldMatch>,
    /// What is done to what it passes on, after what the listener does.
    pub edits: MessageEdits,
    /// What is done with a matching request.
    pub action: RouteAction,
}

/// How a route compares a host, whatever the case of its letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostMatch {
    /// This one. In lower case.
    Exact(String),
    /// `*.example.com`: any host below this one, however deep, but not the host itself. In lower case, without `*.`.
    Below(String),
}

/// How a route compares a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathMatch {
    /// The path itself or anything below it, on segment boundaries: `/api` and `/api/` both match `/api`, `/api/` and
    /// `/api/x`, never `/apix`. `/` matches everything.
    Prefix(String),
    /// This path and no other.
    Exact(String),
}

/// A condition on a field of the request. It holds if it does for one of the lines of that name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldMatch {
    /// An RFC 9110 token, in lower case.
    pub name: String,
    /// What the value must be.
    pub value: ValueMatch,
}

/// How a route compares a field's value: byte by byte, without the white space around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueMatch {
    /// Any will do.
    Present,
    /// It begins with this.
    Prefix(String),
    /// It is this.
    Exact(String),
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAction {
    /// Proxies to the pool of this name.
    Pool(Name),
    /// Answers with a redirect.
    Redirect(Redirect),
}

/// A redirect to another scheme, host or both; path and query stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `None`: the scheme of the request.
    pub scheme: Option<Scheme>,
    /// May carry a port. `None`: the host of the request.
    pub host: Option<String>,
    /// 301, 302, 303, 307 or 308. Default 302.
    pub status: u16,
}

/// The scheme that a redirect leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// What routes ask of a request.
pub trait Asked {
    /// Without port, in any case. `None`: an HTTP/1.0 request that names none.
    fn host(&self) -> Option<&str>;
    /// Of the target, without its query, before decoding; or `*`.
    fn path(&self) -> &str;
    /// As sent.
    fn method(&self) -> &str;
    /// Whether a line of the field of this name, given in lower case, has a value that is so.
    fn has(&self, name: &str, is: impl Fn(&[u8]) -> bool) -> bool;
}

/// The condition of a route that a request does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch<'a> {
    /// The host is another.
    Host(&'a HostMatch),
    /// The path is another.
    Path(&'a PathMatch),
    /// The method is none of these.
    Method(&'a [String]),
    /// The field is not there, or has another value.
    Field(&'a FieldMatch),
}

/// How specific a route is: the greater is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    host: (u8, usize),
    path: (u8, usize),
    has_methods: bool,
    fields: usize,
}

impl Specificity {
    /// Whether the hosts and paths of two routes are equally specific.
    pub fn has_same_place(&self, other: &Self) -> bool {
        (self.host, self.path) == (other.host, other.path)
    }
}

impl Route {
    /// Without conditions.
    pub fn to(action: RouteAction) -> Self {
        Self { host: None, path: None, methods: Vec::new(), fields: Vec::new(), edits: MessageEdits::default(), action }
    }

    /// The order in which routes are tried; a request goes to the first that matches. By host: an exact one, then
    /// `*.` of a longer one before that of a shorter, then any. Among those by path: an exact one, then a longer prefix
    /// before a shorter, then any. Among those, one that names methods, then one with more conditions on fields. Equals
    /// are tried in the order of the file.
    pub fn specificity(&self) -> Specificity {
        Specificity {
            host: match &self.host {
                None => (0, 0),
                Some(HostMatch::Below(host)) => (1, host.len()),
                Some(HostMatch::Exact(_)) => (2, 0),
            },
            path: match &self.path {
                None => (0, 0),
                // Every path begins with a slash: that one alone asks for nothing.
                Some(PathMatch::Prefix(prefix)) if stem(prefix).is_empty() => (0, 0),
                Some(PathMatch::Prefix(prefix)) => (1, stem(prefix).len()),
                Some(PathMatch::Exact(_)) => (2, 0),
            },
            has_methods: !self.methods.is_empty(),
            fields: self.fields.len(),
        }
    }

    /// The first condition that `asked` does not meet; `None`: it matches.
    pub fn mismatch(&self, asked: &impl Asked) -> Option<Mismatch<'_>> {
        if let Some(host) = self.host.as_ref().filter(|host| !asked.host().is_some_and(|asked| host.matches(asked))) {
            return Some(Mismatch::Host(host));
        }
        if let Some(path) = self.path.as_ref().filter(|path| !path.matches(asked.path())) {
            return Some(Mismatch::Path(path));
        }
        self.mismatch_beyond_place(asked)
    }

    /// The same for a request whose host and path match.
    pub fn mismatch_beyond_place(&self, asked: &impl Asked) -> Option<Mismatch<'_>> {
        if !self.methods.is_empty() && !self.methods.iter().any(|method| method == asked.method()) {
            return Some(Mismatch::Method(&self.methods));
        }
        self.fields.iter().find(|field| !field.matches(asked)).map(Mismatch::Field)
    }

    /// Whether every request that `other` matches is one that this one matches.
    pub fn covers(&self, other: &Self) -> bool {
        let host = match (&self.host, &other.host) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(HostMatch::Exact(mine)), Some(theirs)) => *theirs == HostMatch::Exact(mine.clone()),
            (Some(host), Some(HostMatch::Exact(theirs))) => host.matches(theirs),
            (Some(HostMatch::Below(mine)), Some(HostMatch::Below(theirs))) => {
                mine == theirs || theirs.ends_with(&format!(".{mine}"))
            }
        };
        let path = match (&self.path, &other.path) {
            (None, _) => true,
            (Some(PathMatch::Prefix(mine)), None) => stem(mine).is_empty(),
            (Some(PathMatch::Exact(_)), None) => false,
            (Some(PathMatch::Exact(mine)), Some(theirs)) => *theirs == PathMatch::Exact(mine.clone()),
            (Some(path), Some(PathMatch::Exact(theirs))) => path.matches(theirs),
            (Some(PathMatch::Prefix(_)), Some(PathMatch::Prefix(theirs))) => {
                self.path.as_ref().is_some_and(|path| path.matches(stem(theirs)))
            }
        };
        let methods = self.methods.is_empty()
            || !other.methods.is_empty() && other.methods.iter().all(|method| self.methods.contains(method));
        let implied = |wanted: &FieldMatch| other.fields.iter().any(|given| wanted.follows_from(given));
        host && path && methods && self.fields.iter().all(implied)
    }

    /// These in the order in which they are tried, each with its place in the file.
    pub fn in_order(routes: &[Self]) -> Vec<(usize, &Self)> {
        let mut sorted: Vec<_> = routes.iter().enumerate().collect();
        // Stable: equals stay in the order of the file.
        sorted.sort_by_key(|(_, route)| Reverse(route.specificity()));
        sorted
    }
}

impl HostMatch {
    /// Whether it takes `host`, given without port.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => host.eq_ignore_ascii_case(exact),
            Self::Below(above) => {
                let label = host.len().checked_sub(above.len() + 1).filter(|label| *label > 0);
                label.and_then(|label| host.as_bytes().split_at_checked(label)).is_some_and(|(_, rest)| {
                    rest.first() == Some(&b'.') && rest[1..].eq_ignore_ascii_case(above.as_bytes())
                })
            }
        }
    }
}

impl PathMatch {
    /// Whether it takes `path`.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => match stem(prefix) {
                "" => true,
                stem => path.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            },
        }
    }
}

impl FieldMatch {
    /// Whether `asked` meets it.
    pub fn matches(&self, asked: &impl Asked) -> bool {
        asked.has(&self.name, |value| match &self.value {
            ValueMatch::Present => true,
            ValueMatch::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
            ValueMatch::Exact(exact) => value == exact.as_bytes(),
        })
    }

    /// Whether it is met by every request that meets `given`.
    fn follows_from(&self, given: &Self) -> bool {
        let value = match (&self.value, &given.value) {
            (ValueMatch::Present, _) => true,
            (ValueMatch::Prefix(mine), ValueMatch::Prefix(theirs) | ValueMatch::Exact(theirs)) => {
                theirs.starts_with(mine.as_str())
            }
            (mine, theirs) => mine == theirs,
        };
        self.name == given.name && value
    }
}

/// A prefix without the slashes at its end, which say nothing; that of `/` is empty.
pub fn stem(prefix: &str) -> &str {
    prefix.trim_end_matches('/')
}

impl std::fmt::Display for HostMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
        }
    }
}
