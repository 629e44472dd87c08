//! Resolution with memory: what is in force, given what was in force and what the files say now.
//!
//! Every object that the files say clearly and that gets along with the others takes effect. For the rest, what was
//! in force stays in force:
//! - A file that cannot be read as an object holds on to the object that it was, and to the one that it claims to be.
//! - An object that two files define stays as it was.
//! - A deleted object stays while another names it; if a file is so broken that it might be any object, every object
//!   that is in no other file stays.
//! - Of two objects in conflict the new one is left out; if none is new, one that changed stays as it was.
//!
//! What was in force is valid and closed, so giving way ends there at the latest, and the result is valid and closed
//! too. An object whose file says what it said before never changes. Nothing here does IO.

use super::{
    Diagnostic, Loaded, Object, Objects,
    conflict::{Conflict, Side, conflicts},
    digest::desired,
};
use crate::model::{Desired, Kind, Name, ObjectRef};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

mod report;

/// The objects in force, each with the file that it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastGood {
    /// By kind and name.
    pub objects: BTreeMap<ObjectRef, Kept>,
}

/// An object in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The object.
    pub object: Object,
    /// The name of the file that last defined it: should that become unreadable, this is the object it was.
    pub file: String,
}

/// What [`resolve`] comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What is to be in force: valid and closed.
    pub desired: Desired,
    /// What is wrong, and what is done about it.
    pub diagnostics: Vec<Diagnostic>,
    /// What is in force, to be remembered.
    pub last_good: LastGood,
}

/// Decides what is in force. The same again, with the result for `previous`, comes to the same.
pub fn resolve(previous: &LastGood, loaded: &Loaded) -> Resolved {
    let (mut resolved, mut again) = resolve_once(previous, loaded);
    for _ in 0..MOST_ROUNDS {
        if !again {
            break;
        }
        (resolved, again) = resolve_once(&resolved.last_good, loaded);
    }
    resolved
}

/// How often resolution starts again because something went that others had given way to.
const MOST_ROUNDS: usize = 16;

/// Also whether something went that others may have given way to.
fn resolve_once(previous: &LastGood, loaded: &Loaded) -> (Resolved, bool) {
    let mut resolver = Resolver::new(previous, loaded);
    if loaded.unusable.is_none() {
        resolver.choose();
    } else {
        resolver.chosen = previous.objects.iter().map(|(name, kept)| (name.clone(), kept.object.clone())).collect();
    }
    resolver.settle();
    let again = resolver.let_go() && !resolver.gave_way.is_empty();
    let diagnostics = resolver.report();
    let last_good = resolver.last_good();
    (Resolved { desired: desired(&resolver.chosen), diagnostics, last_good }, again)
}

/// The work in progress.
struct Resolver<'a> {
    previous: &'a LastGood,
    loaded: &'a Loaded,
    /// The files that define an object, by index; more than one is one too many.
    claims: BTreeMap<ObjectRef, Vec<usize>>,
    /// Objects that a broken file was or claims to be, and that no other file defines.
    broken: BTreeMap<ObjectRef, usize>,
    /// A broken file that might be any object.
    mystery: Option<usize>,
    /// What is in force as far as is known.
    chosen: Objects,
    /// Objects that are in no file and might have to stay.
    orphans: BTreeSet<ObjectRef>,
    /// Objects that gave way, and why.
    gave_way: BTreeMap<ObjectRef, Vec<Grievance>>,
    /// Objects that gave way although they were as before: nothing is left of them.
    given_up: BTreeSet<ObjectRef>,
}

/// Why an object gave way.
struct Grievance {
    side: Side,
    /// The object that it names in vain, where it does.
    missing: Option<ObjectRef>,
    /// It was the version of the file that gave way, so the file can be shown.
    of_file: bool,
}

impl<'a> Resolver<'a> {
    fn new(previous: &'a LastGood, loaded: &'a Loaded) -> Self {
        let mut claims: BTreeMap<ObjectRef, Vec<usize>> = BTreeMap::new();
        for (i, file) in loaded.files.iter().enumerate() {
            if let Some(object) = &file.decoded.object {
                claims.entry(object.reference()).or_default().push(i);
            }
        }
        let mut resolver = Self {
            previous,
            loaded,
            claims,
            broken: BTreeMap::new(),
            mystery: None,
            chosen: Objects::new(),
            orphans: BTreeSet::new(),
            gave_way: BTreeMap::new(),
            given_up: BTreeSet::new(),
        };
        resolver.find_broken();
        resolver
    }

    /// Finds out which objects the broken files stand for.
    fn find_broken(&mut self) {
        let mut history: BTreeMap<&str, Vec<&ObjectRef>> = BTreeMap::new();
        for (name, kept) in &self.previous.objects {
            history.entry(&kept.file).or_default().push(name);
        }
        for (i, file) in self.loaded.files.iter().enumerate().filter(|(_, file)| file.decoded.object.is_none()) {
            let was = history.get(file.name.as_str()).into_iter().flatten().copied();
            let stands_for: Vec<_> =
                was.chain(&file.decoded.identity).filter(|name| !self.claims.contains_key(name)).collect();
            if stands_for.is_empty() && file.decoded.identity.is_none() {
                self.mystery.get_or_insert(i);
            }
            for name in stands_for {
                self.broken.entry(name.clone()).or_insert(i);
            }
        }
    }

    /// Takes what the files define once, and from before what they do not define clearly.
    fn choose(&mut self) {
        for (name, files) in &self.claims {
            let claimed = match files.as_slice() {
                [only] => self.loaded.files[*only].decoded.object.as_ref(),
                _ => self.previous.objects.get(name).map(|kept| &kept.object),
            };
            self.chosen.extend(claimed.map(|object| (name.clone(), object.clone())));
        }
        for (name, kept) in &self.previous.objects {
            if self.claims.contains_key(name) {
                continue;
            }
            let broken = self.broken.contains_key(name);
            if !broken {
                self.orphans.insert(name.clone());
            }
            if broken || self.mystery.is_some() {
                self.chosen.insert(name.clone(), kept.object.clone());
            }
        }
    }

    /// Lets objects give way until none is in conflict. In one round no object meets more than one consequence, so
    /// that nobody gives way to somebody who is giving way himself.
    fn settle(&mut self) {
        loop {
            let conflicts = conflicts(&self.chosen);
            if conflicts.is_empty() {
                return;
            }
            let mut touched = BTreeSet::new();
            for conflict in conflicts {
                self.resolve_conflict(conflict, &mut touched);
            }
        }
    }

    fn resolve_conflict(&mut self, conflict: Conflict, touched: &mut BTreeSet<ObjectRef>) {
        match conflict {
            Conflict::Missing { by, missing } => {
                if touched.contains(&missing) {
                    return;
                }
                match self.previous.objects.get(&missing) {
                    Some(kept) if !self.given_up.contains(&missing) => {
                        touched.insert(missing.clone());
                        self.chosen.insert(missing, kept.object.clone());
                    }
                    // One object may name several in vain: it gives way once, and all of it is told.
                    _ => self.give_way(by, Some(missing), touched),
                }
            }
            Conflict::Between(one, other) => {
                // Who gives way already does so for this reason too.
                let first = match (touched.contains(&one.object), touched.contains(&other.object)) {
                    (true, true) => return,
                    (false, false) => self.rank(&one.object) > self.rank(&other.object),
                    (first, _) => first,
                };
                self.give_way(if first { one } else { other }, None, touched);
            }
        }
    }

    /// Who gives way: the highest. New objects before changed ones before those as before; then a Vip, which nobody
    /// names, before a Pool before a Peer; then the last by name.
    fn rank<'n>(&self, name: &'n ObjectRef) -> (u8, Reverse<Kind>, &'n Name) {
        let previous = self.previous.objects.get(name).map(|kept| &kept.object);
        let novelty = match previous {
            None => 2,
            Some(_) if previous != self.chosen.get(name) => 1,
            Some(_) => 0,
        };
        (novelty, Reverse(name.kind), &name.name)
    }

    fn give_way(&mut self, side: Side, missing: Option<ObjectRef>, touched: &mut BTreeSet<ObjectRef>) {
        let name = side.object.clone();
        let again = !touched.insert(name.clone());
        let now = self.chosen.get(&name);
        let of_file = if again {
            self.gave_way.get(&name).and_then(|grievances| grievances.last()).is_some_and(|last| last.of_file)
        } else {
            now.is_some() && now == self.in_file(&name)
        };
        if !again {
            match self.previous.objects.get(&name).filter(|kept| now != Some(&kept.object)) {
                Some(kept) => _ = self.chosen.insert(name.clone(), kept.object.clone()),
                None => {
                    self.chosen.remove(&name);
                    self.given_up.insert(name.clone());
                }
            }
        }
        self.gave_way.entry(name).or_default().push(Grievance { side, missing, of_file });
    }

    /// The object as the one file that defines it has it.
    fn in_file(&self, name: &ObjectRef) -> Option<&'a Object> {
        let [only] = self.claims.get(name)?.as_slice() else { return None };
        self.loaded.files[*only].decoded.object.as_ref()
    }

    /// Orphans that nobody names go, unless a broken file might be one of them. Whether any went.
    fn let_go(&mut self) -> bool {
        if self.mystery.is_some() {
            return false;
        }
        let before = self.chosen.len();
        let named: BTreeSet<_> = self.chosen.values().flat_map(Object::names).collect();
        self.chosen.retain(|name, _| !self.orphans.contains(name) || named.contains(name));
        self.chosen.len() < before
    }

    /// What is in force, with the file that each object belongs to now.
    fn last_good(&self) -> LastGood {
        let kept = |(name, object): (&ObjectRef, &Object)| {
            let file = self.file_of(name);
            (name.clone(), Kept { object: object.clone(), file })
        };
        LastGood { objects: self.chosen.iter().map(kept).collect() }
    }

    /// The one that defines it, or the one that it came from, or the broken one that claims to be it.
    fn file_of(&self, name: &ObjectRef) -> String {
        let file = |index: usize| self.loaded.files[index].name.clone();
        if let Some([only]) = self.claims.get(name).map(Vec::as_slice) {
            return file(*only);
        }
        let before = self.previous.objects.get(name).map(|kept| kept.file.clone());
        let gone = |before: &String| !self.loaded.files.iter().any(|file| file.name == *before);
        match (before, self.broken.get(name)) {
            (Some(before), Some(broken)) if gone(&before) => file(*broken),
            (Some(before), _) => before,
            (None, broken) => broken.map(|index| file(*index)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
