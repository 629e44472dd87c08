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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixtures::{peer, put};
    use std::{fs, path::Path};

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            fs::create_dir(place.state()).unwrap();
            place
        }

        fn state(&self) -> PathBuf {
            self.0.path().join("state")
        }

        fn store(&self) -> PathBuf {
            self.0.path().join("last-good")
        }

        fn open(&self) -> Keeper {
            Keeper::open(self.state(), &self.store())
        }
    }

    fn put_peer(dir: &Path, last: u8) {
        put(dir, "lb1.json", &peer("lb1", &format!("\"192.0.2.{last}\"")));
    }

    fn address(keeper: &Keeper) -> Option<String> {
        Some(keeper.snapshot().desired.peers.get("lb1")?.addresses[0].ip().to_string())
    }

    #[test]
    fn the_generation_grows_only_with_what_is_desired() {
        let place = Place::new();
        put_peer(&place.state(), 1);
        let mut keeper = place.open();
        assert_eq!(keeper.snapshot().generation, 1);
        keeper.reload();
        put(&place.state(), "lb1.json", &format!("\n{}", peer("lb1", "\"192.0.2.1:694\"")));
        keeper.reload();
        assert_eq!(keeper.snapshot().generation, 1);
        put(&place.state(), "lb2.json", "{");
        keeper.reload();
        let snapshot = keeper.snapshot();
        assert_eq!((snapshot.generation, snapshot.problems.len(), snapshot.files.len()), (1, 1, 2));
        assert_eq!(snapshot.problems[0].position.as_ref().unwrap().file, place.state().join("lb2.json"));
        put_peer(&place.state(), 2);
        keeper.reload();
        assert_eq!(keeper.snapshot().generation, 2);
    }

    #[test]
    fn a_restart_beside_a_bad_file_or_a_missing_directory_loses_nothing() {
        let place = Place::new();
        put_peer(&place.state(), 1);
        place.open().save();
        fs::write(place.state().join("lb1.json"), "{").unwrap();
        let mut keeper = place.open();
        assert_eq!(address(&keeper).as_deref(), Some("192.0.2.1"));
        keeper.save();
        fs::remove_dir_all(place.state()).unwrap();
        let mut keeper = place.open();
        assert_eq!(address(&keeper).as_deref(), Some("192.0.2.1"));
        assert_eq!(keeper.snapshot().problems[0].reason, "StateDirectory");
        keeper.save();
        fs::create_dir(place.state()).unwrap();
        let keeper = place.open();
        assert_eq!(address(&keeper).as_deref(), Some("192.0.2.1"));
        assert_eq!(keeper.snapshot().problems[0].reason, "EmptyStateDirectory");
    }

    #[test]
    fn a_first_start_without_a_directory_desires_nothing() {
        let place = Place::new();
        let keeper = place.open();
        assert_eq!((keeper.snapshot().generation, keeper.snapshot().problems.len()), (1, 1));
        assert_eq!(*keeper.snapshot().desired, Desired::default());
    }

    #[test]
    fn a_look_without_a_change_is_free_and_one_with_a_change_is_not_missed() {
        let place = Place::new();
        put_peer(&place.state(), 1);
        let mut keeper = place.open();
        let before = keeper.snapshot();
        keeper.reload_if_changed();
        assert!(Arc::ptr_eq(&keeper.snapshot(), &before));
        put_peer(&place.state(), 2);
        keeper.reload_if_changed();
        assert_eq!(address(&keeper).as_deref(), Some("192.0.2.2"));
    }

    #[test]
    fn a_store_that_cannot_be_written_is_a_problem_until_it_can() {
        let place = Place::new();
        put_peer(&place.state(), 1);
        fs::write(place.store(), "in the way").unwrap();
        let mut keeper = place.open();
        keeper.save();
        assert_eq!(keeper.snapshot().problems[0].reason, "LastGoodState");
        assert_eq!(address(&keeper).as_deref(), Some("192.0.2.1"));
        fs::remove_file(place.store()).unwrap();
        keeper.save();
        assert!(keeper.snapshot().problems.is_empty());
        assert!(place.store().join("Peer.lb1.json").exists());
    }
}
