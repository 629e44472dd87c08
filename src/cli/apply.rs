//! `lbagent apply FILE…`: puts state files into the state directory together, if what results is valid.
//!
//! A file that defines an object which the directory defines already takes the place of that file; any other is
//! stored under its own name. Everything is checked, then written beside its destination under hidden names, and only
//! when all of it is on disk is it renamed into place; should a rename fail, those before it are undone.

use super::validate::{Verdict, count};
use crate::{
    desired::{
        Diagnostic, EMPTY, LastGood, Loaded, LoadedFile, Source, is_state_file, load, read_file, render, resolve,
    },
    model::ObjectRef,
};
use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::NamedTempFile;

/// Applies `files` to `dir`. 0: they are in force there, or will be as soon as an agent looks. 1: nothing was changed,
/// and why is on stderr.
pub fn apply(files: &[PathBuf], dir: &Path) -> u8 {
    apply_to(files, dir, &mut io::stdout().lock(), &mut io::stderr().lock())
}

/// As [`apply`], writing to `out` and `err`.
pub fn apply_to(files: &[PathBuf], dir: &Path, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match try_apply(files, dir) {
        Ok((changes, warnings)) => {
            _ = write!(err, "{warnings}");
            for change in &changes {
                _ = writeln!(out, "{} → {}", change.object, dir.join(&change.name).display());
            }
            _ = writeln!(out, "{} applied", count(changes.len(), "object"));
            0
        }
        Err(refusal) => {
            _ = writeln!(err, "{refusal}\nnothing was changed in {}", dir.display());
            1
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// Nothing to do.
    #[error("error: no file is given")]
    NoFiles,
    /// The directory is in use by another apply, or is none.
    #[error("error: the state directory {} cannot be locked: {error}", dir.display())]
    Lock { dir: PathBuf, error: io::Error },
    /// There is something wrong with a file, or with the state that would result; rendered.
    #[error("{}", .0.trim_end())]
    Invalid(String),
    /// A file could not be written or renamed; what was done before is undone.
    #[error("error: {} cannot be written: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    /// As [`Self::Write`], but what was done before could not be undone everywhere.
    #[error("error: {} cannot be written: {error}; {} could not be put back: mend it by hand", path.display(), lost.join(", "))]
    Half { path: PathBuf, error: io::Error, lost: Vec<String> },
}

/// One file of the change.
struct Change {
    /// What it defines.
    object: ObjectRef,
    /// The name that it gets in the directory.
    name: String,
    /// Its content.
    text: String,
    /// As the user named it.
    given: PathBuf,
}

fn try_apply(files: &[PathBuf], dir: &Path) -> Result<(Vec<Change>, String), Refusal> {
    if files.is_empty() {
        return Err(Refusal::NoFiles);
    }
    let _lock = lock(dir)?;
    let loaded = load(dir);
    if let Some(unusable) = loaded.unusable.as_ref().filter(|unusable| unusable.reason != EMPTY) {
        return Err(invalid(std::slice::from_ref(unusable)));
    }
    let changes = changes(files, &loaded)?;
    // Judged against what is there, so that of two in conflict the newcomer is blamed.
    let before = resolve(&LastGood::default(), &loaded).last_good;
    let verdict = Verdict::of(&before, &merged(loaded, &changes, dir));
    if verdict.errors > 0 {
        return Err(Refusal::Invalid(verdict.problems));
    }
    let staged = changes.iter().map(|change| stage(change, dir)).collect::<Result<Vec<_>, _>>()?;
    commit(&changes, staged, dir)?;
    Ok((changes, verdict.problems))
}

/// Two changes that are valid each may not be so together, so they take turns.
fn lock(dir: &Path) -> Result<File, Refusal> {
    let error = |error: io::Error| Refusal::Lock { dir: dir.to_owned(), error };
    let handle = File::open(dir).map_err(error)?;
    if !handle.metadata().map_err(error)?.is_dir() {
        return Err(error(io::ErrorKind::NotADirectory.into()));
    }
    handle.try_lock().map_err(|busy| error(busy.into()))?;
    Ok(handle)
}

/// What the given files change, each with the name that it gets.
fn changes(files: &[PathBuf], loaded: &Loaded) -> Result<Vec<Change>, Refusal> {
    let mut changes: Vec<Change> = Vec::new();
    let mut mistakes = Vec::new();
    for path in files {
        match change(path, loaded) {
            Ok(change) => changes.push(change),
            Err(diagnostics) => mistakes.extend(diagnostics),
        }
    }
    mistakes.extend(collisions(&changes));
    if mistakes.is_empty() { Ok(changes) } else { Err(invalid(&mistakes)) }
}

fn invalid(mistakes: &[Diagnostic]) -> Refusal {
    Refusal::Invalid(mistakes.iter().map(render).collect::<Vec<_>>().join("\n"))
}

fn change(path: &Path, loaded: &Loaded) -> Result<Change, Vec<Diagnostic>> {
    let whole = |diagnostic: Diagnostic| vec![diagnostic.at(&Arc::new(Source::new(path, "")), None)];
    let base = path.file_name().filter(|name| is_state_file(name)).and_then(|name| name.to_str());
    let Some(base) = base else {
        let error = Diagnostic::error("Name", "a file of this name would be passed over in a state directory");
        return Err(whole(error.help("name it .json, or .jsonc if it has comments, and not beginning with '.'")));
    };
    let text = read_file(path).map_err(|error| whole(*error))?;
    let file = LoadedFile::new(base, Source::new(path, text.clone()));
    let Some(object) = file.decoded.object.map(|object| object.reference()) else {
        return Err(file.decoded.diagnostics);
    };
    let name = destination(&object, base, loaded).map_err(|error| whole(error.about(object.clone())))?;
    if LoadedFile::new(&name, Source::new(&name, text.clone())).decoded.object.is_none() {
        let error = Diagnostic::error("Name", format!("{object} is in {name}, which may have no comments"));
        return Err(whole(error.about(object).help(format!("remove the comments, or rename {name} to .jsonc first"))));
    }
    Ok(Change { object, name, text, given: path.to_owned() })
}

/// The file that defines `object` already, or else `base`, unless that is another object's.
fn destination(object: &ObjectRef, base: &str, loaded: &Loaded) -> Result<String, Box<Diagnostic>> {
    let defines = |file: &&LoadedFile| file.decoded.identity.as_ref() == Some(object);
    let mut existing: Vec<_> = loaded.files.iter().filter(defines).map(|file| &file.name).collect();
    // Of several (which is an error that this may mend) the one of the same name is meant.
    existing.sort_by_key(|name| *name != base);
    if let Some(name) = existing.first() {
        return Ok((*name).clone());
    }
    let taken = loaded.files.iter().find(|file| file.name == base).and_then(|file| file.decoded.identity.as_ref());
    match taken {
        None => Ok(base.to_owned()),
        Some(other) => {
            let message = format!("the state directory has a file {base} already, and it defines {other}");
            Err(Box::new(Diagnostic::error("Name", message).help("give the new file another name")))
        }
    }
}

/// Given files that define the same object, or would overwrite each other.
fn collisions(changes: &[Change]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let (mut objects, mut names) = (BTreeMap::new(), BTreeMap::new());
    for change in changes {
        let first = *objects.entry(&change.object).or_insert(change);
        let namesake = *names.entry(&change.name).or_insert(change);
        let message = if !std::ptr::eq(first, change) {
            format!("{} is defined in {} too", change.object, first.given.display())
        } else if !std::ptr::eq(namesake, change) {
            format!("{} is the name of two of the files", change.name)
        } else {
            continue;
        };
        let source = Arc::new(Source::new(&change.given, ""));
        found.push(Diagnostic::error("Name", message).at(&source, None).about(change.object.clone()));
    }
    found
}

/// The directory as it will be.
fn merged(loaded: Loaded, changes: &[Change], dir: &Path) -> Loaded {
    let mut files: BTreeMap<String, LoadedFile> =
        loaded.files.into_iter().map(|file| (file.name.clone(), file)).collect();
    for change in changes {
        let file = LoadedFile::new(&change.name, Source::new(dir.join(&change.name), change.text.clone()));
        files.insert(change.name.clone(), file);
    }
    // Should the directory have been empty, it is not any more.
    Loaded { files: files.into_values().collect(), unusable: None }
}

/// Writes the content beside its destination, where no agent looks.
fn stage(change: &Change, dir: &Path) -> Result<NamedTempFile, Refusal> {
    let target = dir.join(&change.name);
    let before = fs::metadata(&target).ok();
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".apply-").tempfile_in(dir)?;
        file.write_all(change.text.as_bytes())?;
        let mode = before.as_ref().map_or(0o644, |metadata| metadata.mode() & 0o777);
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        if let Some(before) = &before {
            // Only root can give files away; then they stay whose they were.
            _ = std::os::unix::fs::fchown(file.as_file(), Some(before.uid()), Some(before.gid()));
        }
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|error| Refusal::Write { path: target, error })
}

/// Renames all into place, or none.
fn commit(changes: &[Change], staged: Vec<NamedTempFile>, dir: &Path) -> Result<(), Refusal> {
    let mut done: Vec<Undo> = Vec::new();
    for (change, file) in changes.iter().zip(staged) {
        let target = dir.join(&change.name);
        let step = Undo::prepare(&target, dir).and_then(|undo| {
            file.persist(&target).map_err(|error| error.error)?;
            Ok(undo)
        });
        match step {
            Ok(undo) => done.push(undo),
            Err(error) => return Err(roll_back(done, target, error)),
        }
    }
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| roll_back(done, dir.to_owned(), error))
}

fn roll_back(done: Vec<Undo>, path: PathBuf, error: io::Error) -> Refusal {
    let failed = done.into_iter().rev().filter_map(|undo| {
        let shown = undo.target.display().to_string();
        undo.run().err().map(|_| shown)
    });
    let lost: Vec<_> = failed.collect();
    if lost.is_empty() { Refusal::Write { path, error } } else { Refusal::Half { path, error, lost } }
}

/// What was at a place before: a second name for it, gone when this is dropped.
struct Undo {
    target: PathBuf,
    before: Option<tempfile::TempPath>,
}

impl Undo {
    fn prepare(target: &Path, dir: &Path) -> io::Result<Self> {
        if target.symlink_metadata().is_err() {
            return Ok(Self { target: target.to_owned(), before: None });
        }
        let link = |path: &Path| fs::hard_link(target, path);
        let before = tempfile::Builder::new().prefix(".apply-").make_in(dir, link)?.into_temp_path();
        Ok(Self { target: target.to_owned(), before: Some(before) })
    }

    fn run(self) -> io::Result<()> {
        match self.before {
            Some(before) => before.persist(&self.target).map_err(|error| error.error),
            None => fs::remove_file(&self.target),
        }
    }
}

#[cfg(test)]
mod tests;
