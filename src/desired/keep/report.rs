//! What a resolution tells: each mistake at its place, with what stays in force because of it.

use super::{Grievance, Resolver};
use crate::{
    desired::{
        Diagnostic, LoadedFile, Pointer,
        conflict::{Side, oddities},
        json,
        source::Span,
    },
    model::ObjectRef,
};

/// More of one kind about one object are only counted.
const MOST: usize = 20;

impl Resolver<'_> {
    /// All that is to be told, in the order of the files, then of the objects.
    pub(super) fn report(&self) -> Vec<Diagnostic> {
        if let Some(unusable) = &self.loaded.unusable {
            let stays = if self.previous.objects.is_empty() { "nothing is in force" } else { "nothing changes" };
            return vec![unusable.clone().effect(stays)];
        }
        let mut told = Vec::new();
        for (i, file) in self.loaded.files.iter().enumerate() {
            told.extend(self.mistakes(i, file));
            told.extend(self.duplicate(i, file));
        }
        for (name, grievances) in &self.gave_way {
            told.extend(self.conflict(name, grievances));
        }
        told.extend(oddities(&self.chosen).into_iter().filter_map(|side| self.oddity(side)));
        told.extend(self.orphans.iter().filter_map(|name| self.orphan(name)));
        told
    }

    /// What is wrong within a file.
    fn mistakes(&self, index: usize, file: &LoadedFile) -> Vec<Diagnostic> {
        let held: Vec<_> = self.broken.iter().filter(|(_, file)| **file == index).map(|(name, _)| name).collect();
        let effects: Vec<_> = held.iter().map(|name| self.effect(name)).collect();
        let effect = match effects.as_slice() {
            [] => "nothing in this file is in force".to_owned(),
            effects => effects.join(", "),
        };
        let diagnostics = file.decoded.diagnostics.iter().cloned();
        diagnostics
            .map(|diagnostic| {
                let object = diagnostic.object.clone().or_else(|| held.first().map(|name| (*name).clone()));
                let diagnostic = Diagnostic { object, ..diagnostic };
                if diagnostic.is_error() { diagnostic.effect(&effect) } else { diagnostic }
            })
            .collect()
    }

    /// That another file defines the same object.
    fn duplicate(&self, index: usize, file: &LoadedFile) -> Option<Diagnostic> {
        let name = file.decoded.object.as_ref()?.reference();
        let claims = self.claims.get(&name).filter(|claims| claims.len() > 1)?;
        let others = claims.iter().filter(|other| **other != index).take(MOST);
        let others: Vec<_> = others.map(|other| self.loaded.files[*other].name.as_str()).collect();
        let message = format!("{name} is defined in {} too", others.join(", "));
        let pointer = Pointer::root().key("metadata").key("name");
        let diagnostic = Diagnostic::error("DuplicateObject", message).at(&file.source, spans(file, &[pointer]).pop());
        let effect = self.effect(&name);
        Some(diagnostic.about(name).help("remove one of the files, or give the object another name").effect(effect))
    }

    /// Why an object gave way.
    fn conflict(&self, name: &ObjectRef, grievances: &[Grievance]) -> Vec<Diagnostic> {
        let effect = self.effect(name);
        let file = self.claims.get(name).map(|claims| &self.loaded.files[claims[0]]);
        let pointers: Vec<_> = grievances.iter().take(MOST).map(|grievance| grievance.side.pointer.clone()).collect();
        let spans = file.map(|file| spans(file, &pointers)).unwrap_or_default();
        let mut told: Vec<_> = grievances
            .iter()
            .take(MOST)
            .enumerate()
            .map(|(i, grievance)| {
                let diagnostic = self.grievance(grievance).about(name.clone()).effect(&effect);
                match file.filter(|_| grievance.of_file) {
                    Some(file) => diagnostic.at(&file.source, spans.get(i).cloned()),
                    None => diagnostic,
                }
            })
            .collect();
        if grievances.len() > MOST {
            let message = format!("{name}: and {} more", grievances.len() - MOST);
            told.push(Diagnostic::error(grievances[0].side.reason, message).about(name.clone()).effect(effect));
        }
        told
    }

    fn grievance(&self, Grievance { side, missing, .. }: &Grievance) -> Diagnostic {
        let pointer = &side.pointer;
        let there = |name: &&ObjectRef| self.claims.contains_key(name) || self.broken.contains_key(name);
        if let Some(missing) = missing.as_ref().filter(there) {
            let message = format!("{missing}, which is named at {pointer}, is not in force");
            return Diagnostic { consequence: true, ..Diagnostic::error(side.reason, message) };
        }
        let diagnostic = Diagnostic::error(side.reason, format!("{} at {pointer}", side.message));
        let unread = missing.as_ref().and(self.mystery).map(|file| &self.loaded.files[file].name);
        let unread = unread.map(|file| format!("{file} cannot be read and might hold it"));
        Diagnostic { help: side.help.clone().or(unread), ..diagnostic }
    }

    /// Something odd that holds nobody back; only about what a file says now.
    fn oddity(&self, side: Side) -> Option<Diagnostic> {
        let Some([only]) = self.claims.get(&side.object).map(Vec::as_slice) else { return None };
        let file = &self.loaded.files[*only];
        if file.decoded.object.as_ref() != self.chosen.get(&side.object) {
            return None;
        }
        let span = spans(file, std::slice::from_ref(&side.pointer)).pop();
        let diagnostic = Diagnostic::warning(side.reason, format!("{} at {}", side.message, side.pointer));
        Some(Diagnostic { help: side.help, ..diagnostic }.about(side.object).at(&file.source, span))
    }

    /// That an object is in no file and stays all the same.
    fn orphan(&self, name: &ObjectRef) -> Option<Diagnostic> {
        self.chosen.get(name)?;
        let namers = self.chosen.iter().filter(|(_, object)| object.names().contains(name));
        let namers: Vec<_> = namers.map(|(namer, _)| namer.to_string()).take(MOST).collect();
        let why = match (namers.as_slice(), self.mystery) {
            ([], Some(file)) => format!("{} cannot be read and might hold it", self.loaded.files[file].name),
            (namers, _) => format!("{} names it", namers.join(", ")),
        };
        let message = format!("{name} is in no file any more, but {why}");
        Some(Diagnostic::warning("KeptInForce", message).about(name.clone()).effect("it stays in force"))
    }

    /// What is in force of an object that could not take effect.
    fn effect(&self, name: &ObjectRef) -> String {
        match self.chosen.contains_key(name) {
            true => format!("the last good version of {name} stays in force"),
            false => format!("{name} is not in force"),
        }
    }
}

/// Where `pointers` stand in `file`; it is parsed once for all.
fn spans(file: &LoadedFile, pointers: &[Pointer]) -> Vec<Span> {
    match json::parse(&file.source.text, file.source.has_comments()) {
        Ok(root) => pointers.iter().map(|pointer| pointer.span(&root)).collect(),
        Err(_) => Vec::new(),
    }
}
