//! The operator's word that this node is to serve only if nobody else can: a file beside the last good objects, because
//! it is about this node alone (state files are the same everywhere) and must outlast a restart in the middle of the
//! maintenance that it was given for.
//!
//! The file is replaced as a whole (temporary file, fsync, rename, fsync of the directory). Whatever it holds, it means
//! standby: its being there is the word, its content only the reason.

use super::store::{replace, sync};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Name of the file.
const FILE: &str = "standby";
/// Bytes of the file that are read.
const LARGEST: u64 = 64 << 10;
/// Characters of a reason; it travels in every heartbeat.
const LONGEST: usize = 100;
/// Where no reason was given.
const UNGIVEN: &str = "set by an operator";

/// The word could not be kept, taken back or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}: {error}; see that the agent may write there", path.display())]
pub struct StandbyError {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// Why this node is on standby, if it is, as kept in `dir` (that of the last good objects). Blocking IO.
pub fn read(dir: &Path) -> Result<Option<String>, StandbyError> {
    let path = dir.join(FILE);
    let read = || {
        let mut bytes = Vec::new();
        File::open(&path)?.take(LARGEST).read_to_end(&mut bytes)?;
        io::Result::Ok(decode(&String::from_utf8_lossy(&bytes)))
    };
    match read() {
        Ok(reason) => Ok(Some(reason)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StandbyError { attempt: "read", path, error }),
    }
}

/// Puts this node on standby for `reason`, or takes it off, across restarts. What is in force is known by
/// [`read`] afterwards: a reason may be shortened. Blocking IO.
pub fn write(dir: &Path, reason: Option<&str>) -> Result<(), StandbyError> {
    let path = dir.join(FILE);
    match reason {
        Some(reason) => {
            put(dir, &path, &encode(reason)).map_err(|error| StandbyError { attempt: "write", path, error })
        }
        None => take_away(dir, &path).map_err(|error| StandbyError { attempt: "remove", path, error }),
    }
}

/// What the file holds for `reason`.
pub fn encode(reason: &str) -> String {
    format!("{}\n", json!({ "reason": tidy(reason) }))
}

/// The reason in a file of this content, whoever wrote it.
pub fn decode(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    tidy(value["reason"].as_str().unwrap_or_default())
}

/// One line without control characters, not too long, never empty.
fn tidy(reason: &str) -> String {
    let words = reason.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line: String = words.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
    if line.is_empty() { UNGIVEN.to_owned() } else { line.trim_end().to_owned() }
}

fn put(dir: &Path, path: &Path, content: &str) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    replace(dir, path, content)?;
    sync(dir)
}

fn take_away(dir: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync(dir),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Store;
    use proptest::prelude::*;

    #[test]
    fn the_word_outlasts_a_restart_until_it_is_taken_back() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("state.last-good/lb1");
        assert_eq!(read(&dir).unwrap(), None);
        write(&dir, None).unwrap();
        write(&dir, Some("new memory")).unwrap();
        assert_eq!(read(&dir).unwrap().as_deref(), Some("new memory"));
        write(&dir, Some("new disk")).unwrap();
        assert_eq!(read(&dir).unwrap().as_deref(), Some("new disk"));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing temporary is left");
        write(&dir, None).unwrap();
        assert_eq!(read(&dir).unwrap(), None);
    }

    #[test]
    fn the_last_good_objects_beside_it_do_not_mind() {
        let place = tempfile::tempdir().unwrap();
        write(place.path(), Some("new memory")).unwrap();
        let (mut store, last_good, diagnostics) = Store::open(place.path());
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        store.save(&last_good).unwrap();
        assert_eq!(read(place.path()).unwrap().as_deref(), Some("new memory"));
    }

    #[test]
    fn a_file_that_is_there_means_standby_whatever_it_holds() {
        let place = tempfile::tempdir().unwrap();
        for content in ["", "{", "[]", r#"{"reason":7}"#, "\u{0}", r#"{"reason":" \n "}"#] {
            fs::write(place.path().join(FILE), content).unwrap();
            assert_eq!(read(place.path()).unwrap().as_deref(), Some(UNGIVEN), "{content:?}");
        }
        fs::write(place.path().join(FILE), b"\xff\xfe").unwrap();
        assert_eq!(read(place.path()).unwrap().as_deref(), Some(UNGIVEN));
    }

    #[test]
    fn what_cannot_be_written_or_read_says_where_and_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let in_the_way = place.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let error = write(&in_the_way, Some("x")).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("file/standby"), "{error}");
        fs::create_dir(place.path().join(FILE)).unwrap();
        let error = read(place.path()).unwrap_err().to_string();
        assert!(error.contains("cannot read"), "{error}");
    }

    proptest! {
        #[test]
        fn any_reason_comes_back_as_one_short_line(reason in "\\PC{0,200}|[ -~\\n\\t]{0,200}|.{0,300}") {
            let back = decode(&encode(&reason));
            prop_assert!(!back.is_empty() && back.chars().count() <= LONGEST);
            prop_assert!(!back.chars().any(char::is_control));
            prop_assert_eq!(decode(&encode(&back)), back);
        }
    }
}
