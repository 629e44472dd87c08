//! The state directory as the drill takes it: its files, byte for byte.
//!
//! They are read before the drill moves into namespaces of its own (where `/run` is another) and written again into the
//! lab, so that agents leave nothing beside the user's files, and edits during the drill do not show.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// The largest file that is taken; a state file has a few KiB.
const LARGEST: u64 = 4 << 20;

/// Files of a state directory, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StateFiles(Vec<(OsString, Vec<u8>)>);

/// What was being done to which file, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {error}", .path.display())]
pub(super) struct FilesError {
    what: &'static str,
    path: PathBuf,
    #[source]
    error: io::Error,
}

impl StateFiles {
    /// Reads every `*.json` and `*.jsonc` in `dir` that an agent would read: regular files (also through symlinks)
    /// whose name does not begin with a dot.
    pub(super) fn read(dir: &Path) -> Result<Self, FilesError> {
        let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> = entries.map_err(on("read", dir))?.iter().map(fs::DirEntry::path).collect();
        paths.retain(|path| is_state_file(path));
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            let metadata = fs::metadata(&path).map_err(on("read", &path))?;
            if metadata.is_file() && metadata.len() <= LARGEST {
                let name = path.file_name().unwrap_or_default().to_owned();
                files.push((name, fs::read(&path).map_err(on("read", &path))?));
            }
        }
        Ok(Self(files))
    }

    /// Writes them into `dir`, which is made.
    pub(super) fn write(&self, dir: &Path) -> Result<(), FilesError> {
        fs::create_dir_all(dir).map_err(on("make", dir))?;
        for (name, bytes) in &self.0 {
            let path = dir.join(name);
            fs::write(&path, bytes).map_err(on("write", &path))?;
        }
        Ok(())
    }
}

fn is_state_file(path: &Path) -> bool {
    let visible = !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.');
    visible && path.extension().is_some_and(|extension| extension == "json" || extension == "jsonc")
}

fn on(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    move |error| FilesError { what, path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_an_agent_reads_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("vip.json", b"{ \"a\":  1 }\n");
        write("pool.jsonc", b"// words\n{}");
        write(".hidden.json", b"{}");
        write("vip.json~", b"{}");
        write("README.md", b"# words");
        fs::create_dir(dir.path().join("folder.json")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("README.md"), dir.path().join("link.json")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        write("large.json", &vec![b' '; LARGEST as usize + 1]);
        let files = StateFiles::read(dir.path()).unwrap();
        let copy = dir.path().join("copy");
        files.write(&copy).unwrap();
        assert_eq!(StateFiles::read(&copy).unwrap(), files);
        let names: Vec<_> = files.0.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["link.json", "pool.jsonc", "vip.json"]);
        assert_eq!(fs::read(copy.join("vip.json")).unwrap(), b"{ \"a\":  1 }\n");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = StateFiles::read(Path::new("/nowhere/state")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/state"), "{error}");
    }
}
