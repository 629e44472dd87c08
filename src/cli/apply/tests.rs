use super::*;
use crate::desired::fixtures::{document, peer, pool, vip};

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    /// A valid state directory, and a place for new files.
    fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(place.dir()).unwrap();
        fs::create_dir(place.root.path().join("new")).unwrap();
        fs::write(place.dir().join("lb1.json"), peer("lb1", "\"192.0.2.1\"")).unwrap();
        fs::write(place.dir().join("pool-web.json"), pool("web", "192.0.2.102:80")).unwrap();
        fs::write(place.dir().join("vip-web.json"), vip("web", "198.51.100.10", "\"lb1\"", "web")).unwrap();
        place
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join("new").join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Exit code, stdout and stderr.
    fn apply(&self, files: &[PathBuf]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = apply_to(files, &self.dir(), &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    /// All that is in the directory, hidden or not.
    fn content(&self) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap());
        let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), text(entry.path()))).collect()
    }

    /// Applies `files`, which must be refused with `why` and change nothing.
    fn refuses(&self, files: &[PathBuf], why: &str) {
        let before = self.content();
        let (code, out, err) = self.apply(files);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(why), "{err}");
        assert!(err.contains("nothing was changed in "), "{err}");
        assert_eq!(self.content(), before);
    }
}

#[test]
fn a_file_takes_the_place_of_the_one_that_defines_the_same_object() {
    let place = Place::new();
    let text = pool("web", "192.0.2.103:80");
    let (code, out, err) = place.apply(&[place.write("anything.json", &text)]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("Pool/web → ") && out.ends_with("/pool-web.json\n1 object applied\n"), "{out}");
    let content = place.content();
    assert_eq!(content.len(), 3);
    assert_eq!(content["pool-web.json"], text);
}

#[test]
fn a_new_object_is_stored_under_the_name_of_its_file() {
    let place = Place::new();
    let (code, _, err) = place.apply(&[place.write("pool-api.json", &pool("api", "192.0.2.104:80"))]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        place.content().keys().collect::<Vec<_>>(),
        ["lb1.json", "pool-api.json", "pool-web.json", "vip-web.json"]
    );
    assert_eq!(fs::metadata(place.dir().join("pool-api.json")).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn files_are_judged_together() {
    let place = Place::new();
    let api = place.write("pool-api.json", &pool("api", "192.0.2.104:80"));
    let uses = place.write("vip.json", &vip("web", "198.51.100.10", "\"lb1\"", "api"));
    place.refuses(std::slice::from_ref(&uses), "there is no Pool \"api\"");
    assert_eq!(place.apply(&[uses, api]).0, 0);
}

#[test]
fn an_empty_directory_can_be_filled() {
    let place = Place::new();
    for name in place.content().keys() {
        fs::remove_file(place.dir().join(name)).unwrap();
    }
    assert_eq!(place.apply(&[place.write("lb1.json", &peer("lb1", "\"192.0.2.1\""))]).0, 0);
}

#[test]
fn a_broken_file_can_be_mended_by_one_of_the_same_name() {
    let place = Place::new();
    fs::write(place.dir().join("pool-web.json"), "{").unwrap();
    assert_eq!(place.apply(&[place.write("pool-web.json", &pool("web", "192.0.2.103:80"))]).0, 0);
}

#[test]
fn what_would_not_be_valid_is_refused_whole() {
    let place = Place::new();
    let good = || place.write("pool-api.json", &pool("api", "192.0.2.104:80"));
    place.refuses(&[good(), place.write("bad.json", "{")], "this object has no end");
    place.refuses(&[good(), place.write("bad.json", &document("Pool", "bad", "{}"))], "missing field \"backends\"");
    let clash = place.write("clash.json", &vip("b", "198.51.100.10", "\"lb1\"", "web"));
    place.refuses(&[good(), clash], "the address 198.51.100.10 is also that of Vip/web");
    let dangling = place.write("dangling.json", &vip("b", "198.51.100.11", "\"lb9\"", "web"));
    place.refuses(&[good(), dangling], "there is no Peer \"lb9\"");
}

#[test]
fn a_directory_that_is_not_valid_otherwise_is_not_added_to() {
    let place = Place::new();
    fs::write(place.dir().join("broken.json"), "{").unwrap();
    place.refuses(
        &[place.write("pool-api.json", &pool("api", "192.0.2.104:80"))],
        "broken.json:1:1: error: this object",
    );
}

#[test]
fn names_that_would_mislead_are_refused() {
    let place = Place::new();
    let text = pool("api", "192.0.2.104:80");
    for name in [".hidden.json", "pool.json~", "pool.txt"] {
        place.refuses(&[place.write(name, &text)], "would be passed over");
    }
    place.refuses(&[place.write("pool-web.json", &text)], "pool-web.json already, and it defines Pool/web");
    place.refuses(&[place.write("a.json", &text), place.write("b.json", &text)], "a.json too");
    let clash = place.root.path().join("pool-api.json");
    fs::write(&clash, pool("other", "192.0.2.105:80")).unwrap();
    place.refuses(&[place.write("pool-api.json", &text), clash], "pool-api.json is the name of two");
    let commented = place.write("web.jsonc", &format!("// ours\n{}", pool("web", "192.0.2.103:80")));
    place.refuses(&[commented], "pool-web.json, which may have no comments");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let place = Place::new();
    place.refuses(&[], "no file is given");
    place.refuses(&[place.root.path().join("gone.json")], "gone.json: error: the file cannot be read");
    place.refuses(&[PathBuf::from("/")], "would be passed over");
    let fifo = place.root.path().join("fifo.json");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.refuses(&[fifo], "this is a FIFO");
}

#[test]
fn a_missing_directory_is_not_made() {
    let place = Place::new();
    let file = place.write("pool-api.json", &pool("api", "192.0.2.104:80"));
    let gone = place.root.path().join("gone");
    let mut err = Vec::new();
    assert_eq!(apply_to(&[file], &gone, &mut Vec::new(), &mut err), 1);
    assert!(!gone.exists());
    assert!(String::from_utf8(err).unwrap().contains("cannot be locked: No such file"));
}

#[test]
fn two_do_not_apply_at_once() {
    let place = Place::new();
    let _other = lock(&place.dir()).unwrap();
    place.refuses(&[place.write("pool-api.json", &pool("api", "192.0.2.104:80"))], "cannot be locked");
}

#[test]
fn should_a_rename_fail_those_before_it_are_undone() {
    let place = Place::new();
    // A directory in the way cannot be replaced by a file, which shows only when it is tried.
    fs::create_dir_all(place.dir().join("z.json/x")).unwrap();
    let files = [
        place.write("new.json", &pool("new", "192.0.2.104:80")),
        place.write("web.json", &pool("web", "192.0.2.103:80")),
        place.write("z.json", &pool("z", "192.0.2.105:80")),
    ];
    place.refuses(&files, "z.json cannot be written: ");
}

#[test]
fn who_owns_a_file_and_who_may_read_it_stays() {
    let place = Place::new();
    let path = place.dir().join("pool-web.json");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(1), Some(2)).unwrap();
    assert_eq!(place.apply(&[place.write("pool.json", &pool("web", "192.0.2.103:80"))]).0, 0);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid(), metadata.gid()), (0o640, 1, 2));
}
