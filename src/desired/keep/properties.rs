//! Any sequence of edits, good, bad and absurd, over a few names and addresses that are bound to clash.

use super::*;
use crate::desired::{
    LoadedFile, Source,
    fixtures::{document, peer, pool, vip},
};
use proptest::prelude::*;

const FILES: [&str; 6] = ["a.json", "b.json", "c.json", "d.json", "e.json", "f.json"];

/// What is done to the directory in one step: files get a content or go.
type Edit = Vec<(&'static str, Option<String>)>;

fn content() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["x", "y", "z"]);
    let address = || prop::sample::select(vec!["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]);
    let nodes = prop::sample::select(vec!["\"x\"", "\"x\",\"y\"", "\"z\"", "\"y\""]);
    let vips = (name(), address(), nodes, name()).prop_map(|(name, address, nodes, to)| vip(name, address, nodes, to));
    let pools = (name(), address().prop_filter("needs brackets", |text| !text.contains(':')))
        .prop_map(|(name, address)| pool(name, &format!("{address}:80")));
    let one = (name(), address()).prop_map(|(name, address)| peer(name, &format!("\"{address}\"")));
    let two = (name(), address()).prop_map(|(name, address)| {
        peer(name, &format!("\"{address}:695\", \"198.51.100.1\"").replace("1:695\"", "1\""))
    });
    let bad =
        (prop::sample::select(vec!["Vip", "Pool", "Peer"]), name()).prop_map(|(kind, name)| document(kind, name, "{}"));
    let broken = prop::sample::select(vec!["", "{", "[]", "{\"kind\":\"Vip\"}"]).prop_map(String::from);
    prop_oneof![4 => vips, 4 => pools, 4 => one, 1 => two, 1 => bad, 1 => broken]
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let change = (prop::sample::select(FILES.to_vec()), prop::option::weighted(0.8, content()));
    prop::collection::vec(prop::collection::vec(change, 1..4), 1..14)
}

fn directory(files: &BTreeMap<&'static str, String>) -> Loaded {
    if files.is_empty() {
        return crate::desired::fixtures::nothing();
    }
    let file = |(name, text): (&&str, &String)| LoadedFile::new(*name, Source::new(*name, text.as_str()));
    Loaded { files: files.iter().map(file).collect(), unusable: None }
}

/// Objects that exactly one file defines, as it defines them.
fn defined(loaded: &Loaded) -> Objects {
    let mut count: BTreeMap<ObjectRef, usize> = BTreeMap::new();
    let objects: Vec<_> = loaded.files.iter().filter_map(|file| file.decoded.object.clone()).collect();
    for object in &objects {
        *count.entry(object.reference()).or_default() += 1;
    }
    let once = objects.into_iter().map(|object| (object.reference(), object));
    once.filter(|(name, _)| count[name] == 1).collect()
}

proptest! {
    #[test]
    fn the_result_is_valid_and_closed_and_what_does_not_change_stays(edits in edits()) {
        let mut files = BTreeMap::new();
        let mut last_good = LastGood::default();
        for edit in edits {
            for (name, content) in edit {
                match content {
                    Some(content) => _ = files.insert(name, content),
                    None => _ = files.remove(name),
                }
            }
            let loaded = directory(&files);
            let resolved = resolve(&last_good, &loaded);
            let now: Objects = resolved.last_good.objects.iter().map(|(n, kept)| (n.clone(), kept.object.clone())).collect();

            prop_assert_eq!(conflicts(&now), vec![], "valid and closed");
            prop_assert_eq!(resolved.desired.digests.len(), now.len());
            let defined = defined(&loaded);
            for (name, object) in &now {
                let before = last_good.objects.get(name).map(|kept| &kept.object);
                prop_assert!(before == Some(object) || defined.get(name) == Some(object), "{} comes from nowhere", name);
            }
            for (name, kept) in &last_good.objects {
                let unchanged = defined.get(name) == Some(&kept.object);
                let named = now.values().any(|object| object.names().contains(name));
                if unchanged || named || loaded.unusable.is_some() {
                    prop_assert_eq!(now.contains_key(name), true, "{} is gone", name);
                }
                if unchanged {
                    prop_assert_eq!(now.get(name), Some(&kept.object), "{} was not changed", name);
                }
            }
            // Whoever is not in force as its file says is told of.
            for (name, object) in &defined {
                let told = || resolved.diagnostics.iter().any(|told| told.is_error() && told.object.as_ref() == Some(name));
                prop_assert!(now.get(name) == Some(object) || told(), "{} is held back in silence", name);
            }
            let again = resolve(&resolved.last_good, &loaded);
            prop_assert_eq!(&again.last_good, &resolved.last_good, "reading again changes nothing");
            last_good = resolved.last_good;
        }
    }

    #[test]
    fn if_all_is_well_memory_does_not_matter(edits in edits()) {
        let mut files = BTreeMap::new();
        let mut last_good = LastGood::default();
        for edit in edits {
            files.extend(edit.into_iter().filter_map(|(name, content)| Some((name, content?))));
            let loaded = directory(&files);
            let fresh = resolve(&LastGood::default(), &loaded);
            let resolved = resolve(&last_good, &loaded);
            if !fresh.diagnostics.iter().any(Diagnostic::is_error) {
                prop_assert_eq!(&resolved.desired, &fresh.desired);
            }
            last_good = resolved.last_good;
        }
    }
}
