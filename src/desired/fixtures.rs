//! Small state files for tests.

use super::{Loaded, LoadedFile, Source, load};
use std::{fs, path::Path};

/// A document around `spec`.
pub(crate) fn document(kind: &str, name: &str, spec: &str) -> String {
    format!(r#"{{"apiVersion":"lbagent/v1","kind":"{kind}","metadata":{{"name":"{name}"}},"spec":{spec}}}"#)
}

/// A Vip on `address` that serves the pool `pool` from `nodes` (JSON texts, with commas between).
pub(crate) fn vip(name: &str, address: &str, nodes: &str, pool: &str) -> String {
    let listeners = format!(r#"[{{"port":80,"protocol":"http","pool":"{pool}"}}]"#);
    document("Vip", name, &format!(r#"{{"addresses":["{address}"],"nodes":[{nodes}],"listeners":{listeners}}}"#))
}

/// A Pool with one backend.
pub(crate) fn pool(name: &str, backend: &str) -> String {
    document("Pool", name, &format!(r#"{{"backends":[{{"name":"a","address":"{backend}"}}]}}"#))
}

/// A Peer with these `addresses` (JSON texts, with commas between).
pub(crate) fn peer(name: &str, addresses: &str) -> String {
    document("Peer", name, &format!(r#"{{"addresses":[{addresses}]}}"#))
}

/// A directory with these files, as if it had been read.
pub(crate) fn loaded<T: AsRef<str>>(files: impl IntoIterator<Item = (&'static str, T)>) -> Loaded {
    let file = |(name, text): (&str, T)| LoadedFile::new(name, Source::new(name, text.as_ref()));
    let mut files: Vec<_> = files.into_iter().map(file).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Loaded { files, unusable: None }
}

/// A directory without any file, as if it had been read.
pub(crate) fn nothing() -> Loaded {
    load(Path::new("/nonexistent/lbagent"))
}

/// Writes `text` as an editor does: beside it, then in its place.
pub(crate) fn put(dir: &Path, name: &str, text: &str) {
    let beside = dir.join(format!(".{name}.swp"));
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, dir.join(name)).unwrap();
}
