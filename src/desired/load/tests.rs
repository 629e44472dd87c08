use super::*;
use crate::desired::fixtures::{peer, put};
use std::os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener};

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.files.iter().map(|file| file.name.as_str()).collect()
}

fn why(loaded: &Loaded, name: &str) -> String {
    let file = loaded.files.iter().find(|file| file.name == name).unwrap();
    assert!(file.decoded.object.is_none());
    file.decoded.diagnostics[0].message.clone()
}

#[test]
fn state_files_are_told_from_what_lies_beside_them() {
    for name in ["vip-web.json", "a.jsonc", "a.b.json", "-.json"] {
        assert!(is_state_file(OsStr::new(name)), "{name}");
    }
    for name in
        [".vip.json", ".vip.json.swp", "vip.json~", "vip.json.bak", "vip.JSON", "json", ".json", "..data", "#a.json#"]
    {
        assert!(!is_state_file(OsStr::new(name)), "{name}");
    }
}

#[test]
fn files_come_in_the_order_of_their_names() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.json", "a.jsonc", "c.txt", ".d.json", "e.json~"] {
        put(dir.path(), name, &peer("lb1", "\"192.0.2.1\""));
    }
    fs::create_dir(dir.path().join("sub")).unwrap();
    let loaded = load(dir.path());
    assert_eq!((names(&loaded), loaded.unusable.is_none()), (vec!["a.jsonc", "b.json"], true));
    assert!(loaded.files.iter().all(|file| file.decoded.object.is_some()));
}

#[test]
fn a_directory_that_says_nothing_is_unusable() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(dir.path()).unusable.unwrap().reason, EMPTY);
    assert_eq!(load(&dir.path().join("gone")).unusable.unwrap().reason, "StateDirectory");
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(load(&file).unusable.unwrap().reason, "StateDirectory");
}

#[test]
fn nothing_but_regular_files_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    nix::unistd::mkfifo(&at("fifo.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(at("socket.json")).unwrap();
    fs::create_dir(at("dir.json")).unwrap();
    symlink("/dev/zero", at("device.json")).unwrap();
    symlink("fifo.json", at("link-to-fifo.json")).unwrap();
    symlink("nowhere", at("dangling.json")).unwrap();
    symlink("loop.json", at("loop.json")).unwrap();
    // A reader that blocks on one of these would hang the test.
    let loaded = load(dir.path());
    assert_eq!(why(&loaded, "fifo.json"), "this is a FIFO, not a file: it is not opened");
    assert_eq!(why(&loaded, "socket.json"), "this is a socket, not a file: it is not opened");
    assert_eq!(why(&loaded, "dir.json"), "this is a directory, not a file: it is not opened");
    assert_eq!(why(&loaded, "device.json"), "this is a device, not a file: it is not opened");
    assert_eq!(why(&loaded, "link-to-fifo.json"), "this is a FIFO, not a file: it is not opened");
    assert_eq!(why(&loaded, "dangling.json"), "this is a symlink to \"nowhere\", which is not there");
    assert!(why(&loaded, "loop.json").starts_with("the file cannot be read: "));
}

#[test]
fn symlinks_to_files_are_files_as_in_a_config_map() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (version, address) in [("..1", "\"192.0.2.1\""), ("..2", "\"192.0.2.2\"")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("lb1.json"), peer("lb1", address)).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/lb1.json", at("lb1.json")).unwrap();
    let before = (Survey::of(dir.path()), load(dir.path()));
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    let after = (Survey::of(dir.path()), load(dir.path()));
    assert!(before.1.files[0].decoded.object.is_some() && after.1.files[0].decoded.object.is_some());
    assert_ne!(before.1, after.1);
    assert_ne!(before.0, after.0, "the survey notices");
}

#[test]
fn the_directory_may_be_a_symlink() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    put(&dir.path().join("real"), "lb1.json", &peer("lb1", "\"192.0.2.1\""));
    symlink("real", dir.path().join("link")).unwrap();
    assert_eq!(names(&load(&dir.path().join("link"))), ["lb1.json"]);
}

#[test]
fn a_huge_file_is_refused_without_being_read() {
    let dir = tempfile::tempdir().unwrap();
    // Sparse: were it read, it would be 1 TiB.
    File::create(dir.path().join("huge.json")).unwrap().set_len(1 << 40).unwrap();
    File::create(dir.path().join("big.json")).unwrap().set_len(LARGEST_FILE + 1).unwrap();
    fs::write(dir.path().join("fits.json"), " ".repeat(LARGEST_FILE as usize)).unwrap();
    let loaded = load(dir.path());
    assert!(why(&loaded, "huge.json").starts_with("the file has 1073741824 KiB: more than 1024 KiB"));
    assert!(why(&loaded, "big.json").contains("1025 KiB"));
    assert_eq!(why(&loaded, "fits.json"), "the file is empty");
}

#[test]
fn too_many_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..=MOST_FILES {
        File::create(dir.path().join(format!("{i}.json"))).unwrap();
    }
    assert!(load(dir.path()).unusable.unwrap().message.ends_with("holds more than 4096 files"));
}

#[test]
fn bytes_that_are_no_text_are_told_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.json"), b"{\n\xff}").unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"\xff.json")), "{}").unwrap();
    let loaded = load(dir.path());
    assert_eq!(why(&loaded, "x.json"), "byte 2, in line 2, is not UTF-8");
    assert_eq!(why(&loaded, "\u{fffd}.json"), "the name of the file is not UTF-8");
}

#[test]
fn a_survey_notices_every_way_to_change_a_file() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.json", "1");
    let mut last = Survey::of(dir.path());
    assert_eq!(Survey::of(dir.path()), last);
    let mut changed = |what: &str| {
        let now = Survey::of(dir.path());
        assert_ne!(now, last, "{what}");
        last = now;
    };
    put(dir.path(), "a.json", "2");
    changed("replaced by one of the same size");
    fs::write(dir.path().join("a.json"), "333").unwrap();
    changed("written in place");
    put(dir.path(), "b.json", "1");
    changed("a new one");
    fs::remove_file(dir.path().join("b.json")).unwrap();
    changed("one gone");
    fs::remove_dir_all(dir.path()).unwrap();
    changed("all gone");
}
