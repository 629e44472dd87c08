//! From the shape of a file to its meaning: texts become addresses, durations and names, and what cannot be meant is
//! found. Nothing stops at the first mistake: each is noted at its field, and the object exists only if there was none.

mod affinity;
mod around;
mod checks;
mod http;
mod connecting;
mod listener;
mod peer;
mod pool;
mod route;
mod serving;
mod text;
mod vip;

pub(super) use checks::HELLO;
pub(super) use http::PAGE_TYPE;
pub(super) use peer::peer;
pub(super) use pool::pool;
pub(super) use route::REDIRECT_STATUS;
pub(super) use vip::{FAILBACK_AFTER, TRUST_PROBE, vip};

use super::{Diagnostic, Pointer, Source};
use crate::model::{Name, ObjectRef, parse_duration};
use jsonc_parser::ast::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use text::Complaint;

/// More mistakes in one file are only counted.
const MOST_PER_FILE: usize = 20;

/// The mistakes of one file, each with its place.
pub(super) struct Findings<'a> {
    source: &'a Arc<Source>,
    root: &'a Value<'a>,
    object: Option<ObjectRef>,
    found: Vec<Diagnostic>,
    uncounted: usize,
    errors: usize,
}

impl<'a> Findings<'a> {
    /// None yet in `source`, which `root` was parsed from and which holds `object` if its name is known.
    pub(super) fn new(source: &'a Arc<Source>, root: &'a Value<'a>, object: Option<ObjectRef>) -> Self {
        Self { source, root, object, found: Vec::new(), uncounted: 0, errors: 0 }
    }

    /// Notes an error at `pointer`.
    pub(super) fn error(&mut self, pointer: &Pointer, complaint: impl Into<Complaint>) {
        self.errors += 1;
        self.note(Diagnostic::error("InvalidValue", ""), pointer, complaint.into());
    }

    /// Notes something odd at `pointer`.
    pub(super) fn warning(&mut self, pointer: &Pointer, complaint: impl Into<Complaint>) {
        self.note(Diagnostic::warning("Questionable", ""), pointer, complaint.into());
    }

    /// The value, or `None` and a note at `pointer`.
    pub(super) fn take<T>(&mut self, pointer: &Pointer, result: Result<T, impl Into<Complaint>>) -> Option<T> {
        result.map_err(|complaint| self.error(pointer, complaint)).ok()
    }

    /// Whether the object cannot be.
    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All that was noted.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        if self.uncounted > 0 {
            let message = format!("and {} more", self.uncounted);
            let last = if self.errors > 0 { Diagnostic::error } else { Diagnostic::warning };
            self.found.push(last("InvalidValue", message).at(self.source, None));
        }
        for diagnostic in &mut self.found {
            diagnostic.object = self.object.clone();
        }
        // In the order of the text; what is about the whole file comes last.
        self.found.sort_by_key(|diagnostic| match &diagnostic.place {
            Some((_, Some(span))) => span.start,
            _ => usize::MAX,
        });
        self.found
    }

    fn note(&mut self, mut diagnostic: Diagnostic, pointer: &Pointer, complaint: Complaint) {
        if self.found.len() >= MOST_PER_FILE {
            self.uncounted += 1;
            return;
        }
        let span = if complaint.of_key { pointer.key_span(self.root) } else { pointer.span(self.root) };
        diagnostic.message = format!("{} at {pointer}", complaint.message);
        diagnostic.help = complaint.help;
        self.found.push(diagnostic.at(self.source, Some(span)));
    }

    /// `text` as a name.
    pub(super) fn name(&mut self, pointer: &Pointer, text: &str) -> Option<Name> {
        self.take(pointer, Name::new(text).map_err(|error| Complaint::new(error.to_string())))
    }

    /// `text` as a duration, or `default` where there is none.
    fn duration(&mut self, pointer: &Pointer, text: Option<&str>, default: Duration) -> Option<Duration> {
        let Some(text) = text else { return Some(default) };
        self.take(pointer, parse_duration(text).map_err(|error| Complaint::new(error.to_string())))
    }

    /// `number` if it lies within `range`.
    fn number(&mut self, pointer: &Pointer, number: i64, range: std::ops::RangeInclusive<u16>) -> Option<u16> {
        let fits = u16::try_from(number).ok().filter(|number| range.contains(number));
        if fits.is_none() {
            let (noun, first, last) = (pointer.noun(), range.start(), range.end());
            self.error(pointer, format!("{noun} {number} is out of range: it lies between {first} and {last}"));
        }
        fits
    }

    /// Each of `texts` as `parse` reads it; `None` if one of them cannot be read.
    fn each<T>(
        &mut self,
        list: &Pointer,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Option<Vec<T>> {
        // Collected first, so that every one of them is looked at.
        let parsed: Vec<_> = texts.iter().enumerate().map(|(i, text)| self.take(&list.index(i), parse(text))).collect();
        parsed.into_iter().collect()
    }

    /// Notes `what` as missing if `list` is empty.
    fn not_empty<T>(&mut self, pointer: &Pointer, list: &[T], what: &str) {
        if list.is_empty() {
            self.error(pointer, format!("no {what}: at least one is needed"));
        }
    }

    /// Notes every element of `list` that is there before, at the place that `place` gives it.
    fn unique<T: Ord, S: std::fmt::Display>(
        &mut self,
        list: impl IntoIterator<Item = (T, S)>,
        place: impl Fn(usize) -> Pointer,
    ) {
        let mut seen = BTreeMap::new();
        for (index, (key, shown)) in list.into_iter().enumerate() {
            if let Some(first) = seen.get(&key) {
                let first = place(*first);
                self.error(&place(index), format!("{shown} is given twice, first at {first} and again"));
            } else {
                seen.insert(key, index);
            }
        }
    }
}
