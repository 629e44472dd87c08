use super::{Diagnostic, LastGood, Loaded, Store, Survey, load, resolve};
use crate::model::{Desired, ObjectRef, Problem};
use std::{path::PathBuf, sync::Arc};

/// What is in force and what is wrong, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Valid and closed.
    pub desired: Arc<Desired>,
    /// Grows by one each time `desired` changes; the first is 1.
    pub generation: u64,
    /// In the order of the files.
    pub problems: Vec<Problem>,
    /// The state files, by name.
    pub files: Vec<StateFile>,
}

/// One state file, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    /// Within the directory.
    pub name: String,
    /// What it holds, where that is known.
    pub object: Option<ObjectRef>,
    /// Whether it holds a whole object. That object may still be held back by others.
    pub good: bool,
}

/// The state directory and the memory of it. Everything here does blocking IO.
#[derive(Debug)]
pub struct Keeper {
    dir: PathBuf,
    store: Store,
    last_good: LastGood,
    survey: Option<Survey>,
    resolved: Vec<Diagnostic>,
    /// About the store, as it was found.
    found: Vec<Diagnostic>,
    /// About the store, as it was last written.
    unsaved: Option<Diagnostic>,
    usable: bool,
    snapshot: Arc<Snapshot>,
}

impl Keeper {
    /// Remembers what `last_good_dir` holds, and reads `dir`.
    pub fn open(dir: PathBuf, last_good_dir: &std::path::Path) -> Self {
        let (store, last_good, found) = Store::open(last_good_dir);
        let mut keeper = Self {
            dir,
            store,
            last_good,
            survey: None,
            resolved: Vec::new(),
            found,
            unsaved: None,
            usable: false,
            snapshot: Arc::default(),
        };
        keeper.reload();
        keeper
    }

    /// What is in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    /// Reads the directory anew and decides what is in force.
    pub fn reload(&mut self) {
        // Taken before reading: what changes in between is read again, rather than missed.
        self.survey = Some(Survey::of(&self.dir));
        let loaded = load(&self.dir);
        let resolved = resolve(&self.last_good, &loaded);
        self.usable = loaded.unusable.is_none();
        self.last_good = resolved.last_good;
        self.resolved = resolved.diagnostics;
        self.publish(resolved.desired, files(&loaded));
    }

    /// As [`Self::reload`], unless nothing in the directory seems to have changed.
    pub fn reload_if_changed(&mut self) {
        if self.survey.as_ref() != Some(&Survey::of(&self.dir)) {
            self.reload();
        }
    }

    /// Makes the store remember what is in force. Nothing waits for it: what is lost by a kill before is in the directory.
    pub fn save(&mut self) {
        if !self.usable {
            return;
        }
        let unsaved = self.store.save(&self.last_good).err();
        let unsaved = unsaved.map(|error| Diagnostic::warning("LastGoodState", error.to_string()));
        // The first save has replaced whatever could not be read.
        if unsaved.is_none() && self.found.is_empty() && self.unsaved.is_none() {
            return;
        }
        self.found.clear();
        self.unsaved = unsaved;
        let files = self.snapshot.files.clone();
        self.publish((*self.snapshot.desired).clone(), files);
    }

    fn publish(&mut self, desired: Desired, files: Vec<StateFile>) {
        let diagnostics = self.resolved.iter().chain(&self.found).chain(&self.unsaved);
        let problems = diagnostics.map(Problem::from).collect();
        let changed = self.snapshot.generation == 0 || *self.snapshot.desired != desired;
        let desired = if changed { Arc::new(desired) } else { self.snapshot.desired.clone() };
        let generation = self.snapshot.generation + u64::from(changed);
        let snapshot = Snapshot { desired, generation, problems, files };
        if *self.snapshot != snapshot {
            self.snapshot = Arc::new(snapshot);
        }
    }
}

fn files(loaded: &Loaded) -> Vec<StateFile> {
    let files = loaded.files.iter().map(|file| StateFile {
        name: file.name.clone(),
        object: file.decoded.identity.clone(),
        good: file.decoded.object.is_some(),
    });
    files.collect()
}
