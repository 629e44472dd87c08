//! What is in force, to be told to another program and read there.

use super::{Object, Objects, Source, canonical::canonical, decode, digest::desired};
use crate::model::Desired;
use std::sync::Arc;

/// The canonical document of each object of `desired`, one on each line.
pub fn documents(desired: &Desired) -> String {
    let peers = desired.peers.values().cloned().map(Object::Peer);
    let pools = desired.pools.values().cloned().map(Object::Pool);
    let vips = desired.vips.values().cloned().map(Object::Vip);
    peers.chain(pools).chain(vips).map(|object| format!("{}\n", canonical(&object))).collect()
}

/// What [`documents`] has written. An error says which line means nothing to this release.
pub fn read_documents(text: &str) -> Result<Desired, String> {
    let mut objects = Objects::new();
    for (number, line) in text.lines().enumerate() {
        let decoded = decode(&Arc::new(Source::new("state.json", line.to_owned())));
        let Some(object) = decoded.object else {
            let why = decoded.diagnostics.first().map_or("it is no object", |first| &first.message);
            return Err(format!("object {}: {why}", number + 1));
        };
        objects.insert(object.reference(), object);
    }
    Ok(desired(&objects))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{LastGood, load, resolve};

    #[test]
    fn what_is_told_is_what_is_in_force() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("state");
        let desired = resolve(&LastGood::default(), &load(&root)).desired;
        let text = documents(&desired);
        assert_eq!(text.lines().count(), desired.vips.len() + desired.pools.len() + desired.peers.len());
        assert_eq!(read_documents(&text).as_ref(), Ok(&desired));
        let newer = text.replacen("\"balance\":", "\"unheardOf\":", 1);
        assert!(newer == text || read_documents(&newer).unwrap_err().starts_with("object "), "{newer}");
        assert!(read_documents("{}\n").unwrap_err().starts_with("object 1: "));
    }
}
