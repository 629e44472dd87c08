//! Which pool or redirect takes a request: the first route that matches in the order of [`Route::specificity`], found
//! without trying the others one by one. Knows no version of HTTP, only what [`Asked`] tells.

use super::engine::{HeaderRules, Request, split_host};
use crate::{
    dataplane::config::Pool,
    model::{
        Asked, FieldEdits, HostMatch, Listener, MessageEdits, Name, PathMatch, Redirect, Route, RouteAction, Scheme,
        stem,
    },
};
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

/// The routes of one listener.
pub(in crate::dataplane) struct Routes {
    /// There is none.
    is_empty: bool,
    /// Of one host each.
    exact: Hosts,
    /// Of all hosts below one.
    below: Hosts,
    /// Of any host.
    any: Paths,
    fallback: Option<Target>,
}

/// By host in lower case, sorted.
#[derive(Default)]
struct Hosts {
    paths: Vec<(Box<str>, Paths)>,
    /// Bytes of a host.
    longest: usize,
}

/// The routes of a host, by path.
#[derive(Default)]
struct Paths {
    exact: BTreeMap<Box<str>, Vec<Rule>>,
    /// By stem; that of any path is empty.
    prefixes: BTreeMap<Box<str>, Vec<Rule>>,
    /// Bytes of a stem.
    longest: usize,
}

/// A route, found by its host and path.
struct Rule {
    route: Route,
    target: Target,
}

/// What is done with a request.
pub(super) enum Target {
    Pool(Passing),
    /// The pool is not in the configuration; a plan never makes that, but it must not bring anything down.
    NoPool,
    Redirect(Redirect),
}

/// How a request is passed on.
pub(super) struct Passing {
    pub(super) pool: Arc<Pool>,
    /// What is done to its fields.
    pub(super) request: Option<HeaderRules>,
    /// What is done to those of its response.
    pub(super) response: Option<Arc<HeaderRules>>,
}

impl Routes {
    pub(in crate::dataplane) fn new(listener: &Listener, pools: &BTreeMap<Name, Arc<Pool>>) -> Self {
        let target = |name: &Name, own: &MessageEdits| match pools.get(name) {
            None => Target::NoPool,
            Some(pool) => Target::Pool(Passing {
                pool: pool.clone(),
                request: rules(&[&listener.edits.request, &own.request]),
                response: rules(&[&listener.edits.response, &own.response]).map(Arc::new),
            }),
        };
        let (mut exact, mut below, mut any) = (BTreeMap::new(), BTreeMap::new(), Paths::default());
        for (_, route) in Route::in_order(&listener.routes) {
            let paths: &mut Paths = match &route.host {
                Some(HostMatch::Exact(host)) => exact.entry(host.clone()).or_default(),
                Some(HostMatch::Below(host)) => below.entry(host.clone()).or_default(),
                None => &mut any,
            };
            let target = match &route.action {
                RouteAction::Pool(name) => target(name, &route.edits),
                RouteAction::Redirect(redirect) => Target::Redirect(redirect.clone()),
            };
            paths.add(&route.path, Rule { route: route.clone(), target });
        }
        Self {
            is_empty: listener.routes.is_empty(),
            exact: Hosts::new(exact),
            below: Hosts::new(below),
            any,
            fallback: listener.pool.as_ref().map(|name| target(name, &MessageEdits::default())),
        }
    }

    /// `None`: not found.
    pub(super) fn find(&self, asked: &impl Asked) -> Option<&Target> {
        let routed = if self.is_empty { None } else { self.routed(asked) };
        routed.or(self.fallback.as_ref())
    }

    /// The listener's own pool: where TCP connections go.
    pub(in crate::dataplane) fn fallback(&self) -> Option<&Arc<Pool>> {
        match &self.fallback {
            Some(Target::Pool(passing)) => Some(&passing.pool),
            _ => None,
        }
    }

    fn routed(&self, asked: &impl Asked) -> Option<&Target> {
        let host = asked.host().unwrap_or_default();
        let of_host = || self.exact.get(host)?.find(asked);
        of_host()
            .or_else(|| self.below.above(host).find_map(|paths| paths.find(asked)))
            .or_else(|| self.any.find(asked))
    }
}

impl Hosts {
    fn new(paths: BTreeMap<String, Paths>) -> Self {
        let longest = paths.keys().map(String::len).max().unwrap_or(0);
        Self { paths: paths.into_iter().map(|(host, paths)| (host.into(), paths)).collect(), longest }
    }

    fn get(&self, host: &str) -> Option<&Paths> {
        let place = self.paths.binary_search_by(|(known, _)| in_lower_case(known, host)).ok()?;
        Some(&self.paths[place].1)
    }

    /// Of all names that stand above this one, the longest first.
    fn above(&self, host: &str) -> impl Iterator<Item = &Paths> {
        // Neither the name itself, nor what is longer than all that is known.
        let from = host.len().saturating_sub(self.longest + 1).max(1);
        let dots = host.bytes().enumerate().skip(from).filter(|(_, byte)| *byte == b'.');
        let dots = dots.take(if self.paths.is_empty() { 0 } else { usize::MAX });
        dots.filter_map(|(dot, _)| self.get(host.get(dot + 1..)?))
    }
}

/// How `known`, which is in lower case, compares with `host` in lower case.
fn in_lower_case(known: &str, host: &str) -> Ordering {
    known.bytes().cmp(host.bytes().map(|byte| byte.to_ascii_lowercase()))
}

impl Paths {
    fn add(&mut self, path: &Option<PathMatch>, rule: Rule) {
        let rules = match path {
            Some(PathMatch::Exact(path)) => self.exact.entry(path.as_str().into()).or_default(),
            prefix => {
                let stem = prefix.as_ref().map_or("", |path| match path {
                    PathMatch::Prefix(path) | PathMatch::Exact(path) => stem(path),
                });
                self.longest = self.longest.max(stem.len());
                self.prefixes.entry(stem.into()).or_default()
            }
        };
        rules.push(rule);
    }

    fn find(&self, asked: &impl Asked) -> Option<&Target> {
        let path = asked.path();
        if let Some(target) = self.exact.get(path).and_then(|rules| first(rules, asked)) {
            return Some(target);
        }
        if self.prefixes.is_empty() {
            return None;
        }
        stems(path, self.longest).find_map(|stem| first(self.prefixes.get(stem)?, asked))
    }
}

fn first<'a>(rules: &'a [Rule], asked: &impl Asked) -> Option<&'a Target> {
    let takes = |rule: &&'a Rule| rule.route.mismatch_beyond_place(asked).is_none();
    rules.iter().find(takes).map(|rule| &rule.target)
}

/// What of a path can be the stem of a prefix that it matches, of at most so many bytes: the longest first, the empty one
/// last.
fn stems(path: &str, longest: usize) -> impl Iterator<Item = &str> {
    let whole = (path.len() <= longest).then_some(path);
    // A slash right behind the longest ends it.
    let cut = path.get(..longest + 1).unwrap_or(path);
    let above = cut.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'/').map(|(slash, _)| &path[..slash]);
    // Paths without a slash (`*`) have the empty one all the same.
    let empty = (!cut.starts_with('/') && !path.is_empty()).then_some("");
    whole.into_iter().chain(above).chain(empty)
}

impl Asked for Request<'_> {
    fn host(&self) -> Option<&str> {
        self.host.map(|host| split_host(host).0)
    }

    fn path(&self) -> &str {
        Request::path(self)
    }

    fn method(&self) -> &str {
        self.method
    }

    fn has(&self, name: &str, is: impl Fn(&[u8]) -> bool) -> bool {
        self.all(name).any(is)
    }
}

/// These one after the other; `None` if there is nothing to be done.
fn rules(levels: &[&FieldEdits]) -> Option<HeaderRules> {
    let mut rules = HeaderRules::default();
    for edits in levels {
        edits.remove.iter().for_each(|name| rules.remove(name));
        edits.set.iter().for_each(|(name, value)| rules.set(name, value));
        edits.add.iter().for_each(|(name, value)| rules.add(name, value));
    }
    (!rules.is_empty()).then_some(rules)
}

/// The URI that a redirect leads to. `host` is that of the request, with its port; the port goes where the scheme
/// changes, for it was the other scheme's.
pub fn location(redirect: &Redirect, scheme: &str, host: &str, target: &str) -> String {
    let new_scheme = redirect.scheme.map_or(scheme, |s| match s {
        Scheme::Http => "http",
        Scheme::Https => "https",
    });
    let same_host = || if new_scheme == scheme { host } else { split_host(host).0 };
    let host = redirect.host.as_deref().unwrap_or_else(same_host);
    let path = if target.starts_with('/') { target } else { "/" };
    format!("{new_scheme}://{host}{path}")
}

#[cfg(test)]
mod tests;
