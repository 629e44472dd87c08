//! The last good objects on disk, outside the state directory, so that a restart beside a bad file or a missing
//! directory loses nothing.
//!
//! One file per object, `Vip.web.json`, with the object's canonical document and the name of the file that it came from.
//! Each is replaced as a whole (temporary file, fsync, rename, fsync of the directory), and what others name is written
//! before them and removed after them, so that whenever the agent is killed, what is found here is closed.

use super::{Diagnostic, Kept, LastGood, Source, canonical::canonical, decode};
use crate::model::ObjectRef;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Beginning of the names of temporary files.
const TEMPORARY: &str = ".new-";

/// Larger files are not the store's. Canonical documents are smaller than the files they came from, but for escapes.
const LARGEST: u64 = 8 << 20;

/// The directory of last good objects.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// What the files in it hold, by name.
    written: BTreeMap<String, String>,
}

/// The store could not be written; what is in force is not affected.
#[derive(Debug, thiserror::Error)]
#[error("the last good state cannot be kept in {}: {error}: it would be lost in a restart", path.display())]
pub struct StoreError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

impl Store {
    /// Reads the store in `dir`, which need not exist yet. Entries that are not what was written are skipped and told of.
    pub fn open(dir: &Path) -> (Self, LastGood, Vec<Diagnostic>) {
        let mut store = Self { dir: dir.to_owned(), written: BTreeMap::new() };
        let mut last_good = LastGood::default();
        let mut diagnostics = Vec::new();
        let names = match list(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (store, last_good, diagnostics),
            Err(error) => {
                diagnostics.push(skipped(dir, &error.to_string()));
                return (store, last_good, diagnostics);
            }
        };
        for name in names {
            if name.starts_with(TEMPORARY) {
                // Left over by a kill. If it cannot be removed it does no harm.
                _ = fs::remove_file(dir.join(&name));
            } else if name.ends_with(".json") {
                match store.read(&name) {
                    Ok((object, kept)) => _ = last_good.objects.insert(object, kept),
                    Err(why) => diagnostics.push(skipped(&dir.join(&name), &why)),
                }
            }
        }
        (store, last_good, diagnostics)
    }

    /// Makes the store hold `last_good` and nothing else. What is there already is not written again. Every object is
    /// tried; the first failure is returned.
    pub fn save(&mut self, last_good: &LastGood) -> Result<(), StoreError> {
        let wanted: BTreeMap<String, String> = last_good.objects.iter().map(entry).collect();
        if wanted == self.written {
            return Ok(());
        }
        let mut result = self.prepare();
        // Kinds are ordered so that objects come before what they name.
        for (object, _) in last_good.objects.iter().rev() {
            let name = file_name(object);
            let content = &wanted[&name];
            if self.written.get(&name) != Some(content) {
                result = result.and(self.write(&name, content));
            }
        }
        result = result.and(self.sync());
        let mut surplus: Vec<_> = self.written.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        surplus.sort_by_key(|name| !name.starts_with("Vip."));
        for name in surplus {
            result = result.and(self.remove(&name));
        }
        result.and(self.sync())
    }

    fn read(&mut self, name: &str) -> Result<(ObjectRef, Kept), String> {
        // Known from here on, so that it goes when no object wants it.
        self.written.insert(name.to_owned(), String::new());
        let mut text = String::new();
        let file = File::open(self.dir.join(name)).map_err(|error| error.to_string())?;
        file.take(LARGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let file = value["file"].as_str().ok_or("it names no file")?.to_owned();
        let source = Arc::new(Source::new(name, value["object"].to_string()));
        let decoded = decode(&source);
        let first = decoded.diagnostics.iter().find(|diagnostic| diagnostic.is_error());
        let object = decoded.object.ok_or_else(|| first.map_or_else(String::new, |first| first.message.clone()))?;
        let reference = object.reference();
        if file_name(&reference) != name {
            return Err(format!("it holds {reference}"));
        }
        self.written.insert(name.to_owned(), text);
        Ok((reference, Kept { object, file }))
    }

    fn prepare(&self) -> Result<(), StoreError> {
        fs::create_dir_all(&self.dir).map_err(|error| self.error(error))
    }

    fn write(&mut self, name: &str, content: &str) -> Result<(), StoreError> {
        replace(&self.dir, &self.dir.join(name), content).map_err(|error| self.error(error))?;
        self.written.insert(name.to_owned(), content.to_owned());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.error(error)),
            _ => {}
        }
        self.written.remove(name);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        sync(&self.dir).map_err(|error| self.error(error))
    }

    fn error(&self, error: io::Error) -> StoreError {
        StoreError { path: self.dir.clone(), error }
    }
}

/// Replaces the file at `path` in `dir` as a whole. It outlasts a loss of power only once the directory is synced too.
pub(super) fn replace(dir: &Path, path: &Path, content: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(dir)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Makes what was replaced or removed in `dir` last.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn list(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Another kind of file is not the store's, and a FIFO would hang it.
        if entry.file_type()?.is_file() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

fn file_name(object: &ObjectRef) -> String {
    format!("{}.{}.json", object.kind.as_str(), object.name)
}

fn entry((object, kept): (&ObjectRef, &Kept)) -> (String, String) {
    (file_name(object), json!({ "file": kept.file, "object": canonical(&kept.object) }).to_string())
}

fn skipped(path: &Path, why: &str) -> Diagnostic {
    let path = path.display();
    Diagnostic::warning("LastGoodState", format!("the last good state in {path} cannot be read: {why}"))
        .effect("it is done without")
}

#[cfg(test)]
mod tests;
