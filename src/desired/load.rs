//! Reading the state directory, so that nothing in it can hang, exhaust or mislead the agent.
//!
//! Files are the `*.json` and `*.jsonc` in it, hidden ones and what editors leave behind excepted. Only regular files are
//! opened. Symlinks are followed, because that is what Kubernetes makes ConfigMaps of: every file leads through
//! `..data`, which is swapped; so the directory is surveyed before and after, and read again if it changed meanwhile.

use super::{Decoded, Diagnostic, Source, decode, json::quote};
use std::{
    ffi::OsStr,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A larger file is refused without being read.
pub const LARGEST_FILE: u64 = 1 << 20;

/// A directory with more files is refused.
pub const MOST_FILES: usize = 4096;

/// A directory whose files are larger than this together is refused.
const LARGEST_SUM: u64 = 64 << 20;

/// The reason why a directory without any state file is unusable. It is the one that a first file mends.
pub const EMPTY: &str = "EmptyStateDirectory";

/// How often the directory is read anew because it changed while it was read; the watch sees what comes later.
const ATTEMPTS: usize = 3;

/// The content of a state directory at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Ordered by name.
    pub files: Vec<LoadedFile>,
    /// Why the directory says nothing at all (missing, empty, unreadable): there are no files then.
    pub unusable: Option<Diagnostic>,
}

/// One state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedFile {
    /// Its name within the directory.
    pub name: String,
    /// Its text, empty if it could not be read.
    pub source: Arc<Source>,
    /// What it holds.
    pub decoded: Decoded,
}

impl LoadedFile {
    /// `source` as the file `name` of a directory.
    pub fn new(name: impl Into<String>, source: Source) -> Self {
        let source = Arc::new(source);
        let decoded = decode(&source);
        Self { name: name.into(), source, decoded }
    }

    fn unreadable(name: String, path: PathBuf, diagnostic: Diagnostic) -> Self {
        let source = Arc::new(Source::new(path, ""));
        let diagnostics = vec![diagnostic.at(&source, None)];
        Self { name, source, decoded: Decoded { object: None, identity: None, diagnostics } }
    }
}

/// Reads all state files of `dir`.
pub fn load(dir: &Path) -> Loaded {
    let mut before = Survey::of(dir);
    for attempt in 1.. {
        let loaded = read_all(dir, &before);
        let after = Survey::of(dir);
        if after == before || attempt >= ATTEMPTS {
            return loaded;
        }
        before = after;
    }
    unreachable!("the loop ends with its last attempt")
}

/// Whether a file of this name in a state directory is a state file.
pub fn is_state_file(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let extension = Path::new(name).extension();
    !hidden && extension.is_some_and(|extension| extension == "json" || extension == "jsonc")
}

/// Reads `path` if it is a regular file (or leads to one), UTF-8 and no larger than [`LARGEST_FILE`].
pub fn read_file(path: &Path) -> Result<String, Box<Diagnostic>> {
    // A device may act on being opened, so it is looked at first; and again once it is open, for it may have changed.
    let metadata = fs::metadata(path).map_err(|error| not_there(path, &error))?;
    check_file(&metadata)?;
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC | nix::libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| not_there(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    check_file(&metadata)?;
    read_text(&file)
}

/// What can be known of a directory without opening its files. As long as two are equal, so are the contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey(Result<Vec<(std::ffi::OsString, Option<Stamp>)>, String>);

/// Device, inode, size, and when content and inode were changed.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Survey {
    /// As `dir` is now.
    pub fn of(dir: &Path) -> Self {
        Self(survey(dir).map_err(|error| error.to_string()))
    }
}

fn survey(dir: &Path) -> io::Result<Vec<(std::ffi::OsString, Option<Stamp>)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if is_state_file(&name) {
            let stamp = fs::metadata(dir.join(&name)).ok().as_ref().map(stamp);
            entries.push((name, stamp));
        }
        if entries.len() > MOST_FILES {
            break;
        }
    }
    entries.sort();
    Ok(entries)
}

fn stamp(metadata: &Metadata) -> Stamp {
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    (metadata.dev(), metadata.ino(), metadata.size(), (metadata.mtime(), metadata.mtime_nsec()), changed)
}

fn read_all(dir: &Path, survey: &Survey) -> Loaded {
    let shown = quote(&dir.to_string_lossy());
    let entries = match &survey.0 {
        Ok(entries) => entries,
        Err(error) => return unusable(format!("the state directory {shown} cannot be read: {error}")),
    };
    if entries.is_empty() {
        let empty = unusable(format!("the state directory {shown} holds no .json or .jsonc file"));
        return Loaded {
            unusable: empty.unusable.map(|diagnostic| Diagnostic { reason: EMPTY, ..diagnostic }),
            ..empty
        };
    }
    if entries.len() > MOST_FILES {
        return unusable(format!("the state directory {shown} holds more than {MOST_FILES} files"));
    }
    let sizes = entries.iter().filter_map(|(_, stamp)| stamp.map(|stamp| stamp.2));
    if sizes.filter(|size| *size <= LARGEST_FILE).sum::<u64>() > LARGEST_SUM {
        return unusable(format!("the files in {shown} are larger than {} MiB together", LARGEST_SUM >> 20));
    }
    let files = entries.iter().map(|(name, _)| load_file(dir, name)).collect();
    Loaded { files, unusable: None }
}

fn unusable(message: String) -> Loaded {
    let diagnostic = Diagnostic::error("StateDirectory", message);
    let diagnostic = diagnostic.help("is it the right directory (--state-dir)?");
    Loaded { files: Vec::new(), unusable: Some(diagnostic) }
}

fn load_file(dir: &Path, name: &OsStr) -> LoadedFile {
    let path = dir.join(name);
    let shown = name.to_string_lossy().into_owned();
    if name.to_str().is_none() {
        let diagnostic = Diagnostic::error("Unreadable", "the name of the file is not UTF-8").help("rename it");
        return LoadedFile::unreadable(shown, path, diagnostic);
    }
    match read_file(&path) {
        Ok(text) => LoadedFile::new(shown, Source::new(path, text)),
        Err(diagnostic) => LoadedFile::unreadable(shown, path, *diagnostic),
    }
}

fn check_file(metadata: &Metadata) -> Result<(), Box<Diagnostic>> {
    use std::os::unix::fs::FileTypeExt;
    let file_type = metadata.file_type();
    let what = match () {
        () if file_type.is_file() => {
            return if metadata.len() > LARGEST_FILE { Err(too_large(metadata.len())) } else { Ok(()) };
        }
        () if file_type.is_dir() => "a directory",
        () if file_type.is_fifo() => "a FIFO",
        () if file_type.is_socket() => "a socket",
        () => "a device",
    };
    let diagnostic = Diagnostic::error("NotAFile", format!("this is {what}, not a file: it is not opened"));
    Err(Box::new(diagnostic.help("remove it, or give it a name that does not end in .json or .jsonc")))
}

fn too_large(size: u64) -> Box<Diagnostic> {
    let (size, most) = (size.div_ceil(1024), LARGEST_FILE >> 10);
    Box::new(Diagnostic::error("TooLarge", format!("the file has {size} KiB: more than {most} KiB are not read")))
}

fn read_text(file: &File) -> Result<String, Box<Diagnostic>> {
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
        Box::new(Diagnostic::error("SyntaxError", format!("byte {valid}, in line {line}, is not UTF-8")))
    })
}

fn not_there(path: &Path, error: &io::Error) -> Box<Diagnostic> {
    match fs::read_link(path) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => {
            let target = quote(&target.to_string_lossy());
            Box::new(Diagnostic::error("Unreadable", format!("this is a symlink to {target}, which is not there")))
        }
        _ => unreadable(error),
    }
}

fn unreadable(error: &io::Error) -> Box<Diagnostic> {
    Box::new(Diagnostic::error("Unreadable", format!("the file cannot be read: {error}")))
}

#[cfg(test)]
mod tests;
