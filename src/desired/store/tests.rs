use super::*;
use crate::desired::{
    fixtures::{loaded, peer, pool, vip},
    resolve,
};
use std::os::unix::fs::MetadataExt;

fn last_good(address: &str) -> LastGood {
    let files = [
        ("vip.json", vip("web", address, "\"lb1\"", "web")),
        ("pool.json", pool("web", "192.0.2.102:80")),
        ("lb1.json", peer("lb1", "\"192.0.2.1\"")),
    ];
    resolve(&LastGood::default(), &loaded(files)).last_good
}

fn names(dir: &Path) -> Vec<String> {
    list(dir).unwrap()
}

#[test]
fn what_is_saved_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("not/yet/there");
    let (mut store, empty, told) = Store::open(&at);
    assert_eq!((empty, told), (LastGood::default(), vec![]));
    store.save(&last_good("198.51.100.10")).unwrap();
    assert_eq!(names(&at), ["Peer.lb1.json", "Pool.web.json", "Vip.web.json"]);
    let (_, found, told) = Store::open(&at);
    assert_eq!((found, told), (last_good("198.51.100.10"), vec![]));
}

#[test]
fn only_what_changed_is_written_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let inodes =
        || names(dir.path()).iter().map(|n| fs::metadata(dir.path().join(n)).unwrap().ino()).collect::<Vec<_>>();
    Store::open(dir.path()).0.save(&last_good("198.51.100.10")).unwrap();
    let before = inodes();
    let mut store = Store::open(dir.path()).0;
    store.save(&last_good("198.51.100.10")).unwrap();
    assert_eq!(inodes(), before);
    store.save(&last_good("198.51.100.11")).unwrap();
    assert_eq!(inodes()[..2], before[..2]);
    assert_ne!(inodes()[2], before[2]);
}

#[test]
fn what_is_no_longer_in_force_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).0;
    store.save(&last_good("198.51.100.10")).unwrap();
    let mut less = last_good("198.51.100.10");
    less.objects.retain(|name, _| name.kind == crate::model::Kind::Peer);
    store.save(&less).unwrap();
    assert_eq!(names(dir.path()), ["Peer.lb1.json"]);
}

#[test]
fn a_damaged_entry_is_skipped_told_of_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path()).0.save(&last_good("198.51.100.10")).unwrap();
    let good = fs::read_to_string(dir.path().join("Pool.web.json")).unwrap();
    for damage in ["", "{", "{\"file\":\"x\"}", "[]", &good[..good.len() / 2], &good.replace("\"web\"", "\"www\"")] {
        fs::write(dir.path().join("Pool.web.json"), damage).unwrap();
        let (mut store, found, told) = Store::open(dir.path());
        assert_eq!((found.objects.len(), told.len()), (2, 1), "{damage}");
        assert!(told[0].message.contains("Pool.web.json"), "{}", told[0].message);
        store.save(&last_good("198.51.100.10")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("Pool.web.json")).unwrap(), good);
    }
}

#[test]
fn a_damaged_entry_that_nobody_wants_goes() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Vip.old.json"), "\0").unwrap();
    let mut store = Store::open(dir.path()).0;
    store.save(&LastGood::default()).unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn leftovers_of_a_kill_are_removed_and_strange_files_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".new-abc"), "{").unwrap();
    fs::write(dir.path().join("README"), "mine").unwrap();
    nix::unistd::mkfifo(&dir.path().join("Vip.fifo.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (mut store, _, told) = Store::open(dir.path());
    assert!(told.is_empty());
    store.save(&last_good("198.51.100.10")).unwrap();
    assert_eq!(names(dir.path()), ["Peer.lb1.json", "Pool.web.json", "README", "Vip.web.json"]);
}

#[test]
fn a_kill_between_two_writes_leaves_something_closed() {
    // A directory in the place of a file fails the write of that one file: the state of the disk is then what a kill
    // just before it leaves, but for what comes after.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("Vip.web.json/x")).unwrap();
    let mut store = Store::open(dir.path()).0;
    assert!(store.save(&last_good("198.51.100.10")).is_err());
    let (_, found, _) = Store::open(dir.path());
    assert_eq!(found.objects.keys().map(ToString::to_string).collect::<Vec<_>>(), ["Pool/web", "Peer/lb1"]);
    fs::remove_dir_all(dir.path().join("Vip.web.json")).unwrap();
    store.save(&last_good("198.51.100.10")).unwrap();
    assert_eq!(Store::open(dir.path()).1, last_good("198.51.100.10"));
}

#[test]
fn a_store_that_cannot_be_written_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (mut store, _, told) = Store::open(&file);
    assert_eq!(told.len(), 1);
    let error = store.save(&last_good("198.51.100.10")).unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("it would be lost in a restart"), "{error}");
}
