use super::*;
use crate::desired::fixtures::{document, loaded, nothing, peer, pool, vip};

/// A remembered state that files are read into one after another.
#[derive(Default)]
struct Agent {
    last_good: LastGood,
    told: Vec<Diagnostic>,
    desired: Desired,
}

impl Agent {
    fn reads<T: AsRef<str>>(&mut self, files: impl IntoIterator<Item = (&'static str, T)>) {
        self.resolves(&loaded(files));
    }

    fn resolves(&mut self, loaded: &Loaded) {
        let resolved = resolve(&self.last_good, loaded);
        assert_eq!(resolve(&resolved.last_good, loaded).desired, resolved.desired, "reading again changes nothing");
        self.last_good = resolved.last_good;
        self.told = resolved.diagnostics;
        self.desired = resolved.desired;
    }

    /// What is in force, as `Vip/web`, in order.
    fn in_force(&self) -> Vec<String> {
        self.last_good.objects.keys().map(ToString::to_string).collect()
    }

    fn address(&self, vip: &str) -> String {
        self.desired.vips[vip].addresses[0].ip.to_string()
    }

    /// Reason and effect of each problem.
    fn told(&self) -> Vec<(&str, &str)> {
        self.told.iter().map(|told| (told.reason, told.effect.as_deref().unwrap_or(""))).collect()
    }
}

fn lb1() -> (&'static str, String) {
    ("lb1.json", peer("lb1", "\"192.0.2.1\""))
}

fn web() -> (&'static str, String) {
    ("pool.json", pool("web", "192.0.2.102:80"))
}

fn on(address: &str) -> (&'static str, String) {
    ("vip.json", vip("web", address, "\"lb1\"", "web"))
}

fn settled() -> Agent {
    let mut agent = Agent::default();
    agent.reads([lb1(), web(), on("198.51.100.10")]);
    assert_eq!(agent.in_force(), ["Vip/web", "Pool/web", "Peer/lb1"]);
    assert!(agent.told.is_empty());
    agent
}

const STAYS: &str = "the last good version of Vip/web stays in force";

#[test]
fn a_good_edit_takes_effect() {
    let mut agent = settled();
    agent.reads([lb1(), web(), on("198.51.100.11")]);
    assert_eq!(agent.address("web"), "198.51.100.11");
}

#[test]
fn a_bad_edit_leaves_the_last_good_version_in_force() {
    let mut agent = settled();
    for bad in ["", "{", &vip("web", "nowhere", "\"lb1\"", "web"), &vip("web", "198.51.100.11", "\"lb1\"", "wbe")] {
        agent.reads([lb1(), web(), ("vip.json", bad.to_owned())]);
        assert_eq!(agent.address("web"), "198.51.100.10", "{bad}");
        assert_eq!(agent.told().last().unwrap().1, STAYS, "{bad}");
    }
    agent.reads([lb1(), web(), on("198.51.100.11")]);
    assert_eq!((agent.address("web").as_str(), agent.told.len()), ("198.51.100.11", 0));
}

#[test]
fn a_broken_file_that_was_also_renamed_still_holds_its_object() {
    let mut agent = settled();
    let broken = document("Vip", "web", r#"{"addresses":[]}"#);
    agent.reads([lb1(), web(), ("renamed.json", broken)]);
    assert_eq!(agent.address("web"), "198.51.100.10");
    // By now its file name is known, so not even the envelope is needed.
    agent.reads([lb1(), web(), ("renamed.json", "{".to_owned())]);
    assert_eq!(agent.told(), [("SyntaxError", STAYS)]);
}

#[test]
fn while_a_file_could_be_anything_nothing_is_let_go() {
    let mut agent = settled();
    agent.reads([lb1(), ("mystery.json", "{".to_owned())]);
    assert_eq!(agent.in_force(), ["Vip/web", "Pool/web", "Peer/lb1"]);
    let kept = ("KeptInForce", "it stays in force");
    assert_eq!(agent.told(), [("SyntaxError", "nothing in this file is in force"), kept, kept]);
    agent.reads([lb1()]);
    assert_eq!(agent.in_force(), ["Peer/lb1"]);
}

#[test]
fn a_missing_or_empty_directory_changes_nothing() {
    let mut agent = settled();
    agent.resolves(&nothing());
    assert_eq!(agent.in_force(), ["Vip/web", "Pool/web", "Peer/lb1"]);
    assert_eq!(agent.told(), [("StateDirectory", "nothing changes")]);
    let mut fresh = Agent::default();
    fresh.resolves(&nothing());
    assert_eq!(fresh.told(), [("StateDirectory", "nothing is in force")]);
}

#[test]
fn a_deleted_object_stays_while_it_is_named_and_goes_with_the_name() {
    let mut agent = settled();
    agent.reads([lb1(), on("198.51.100.10")]);
    assert_eq!(agent.in_force(), ["Vip/web", "Pool/web", "Peer/lb1"]);
    assert_eq!(agent.told(), [("KeptInForce", "it stays in force")]);
    assert_eq!(agent.told[0].message, "Pool/web is in no file any more, but Vip/web names it");
    assert!(!agent.told[0].is_error());
    agent.reads([lb1()]);
    assert_eq!(agent.in_force(), ["Peer/lb1"]);
    assert!(agent.told.is_empty());
}

#[test]
fn a_new_object_may_take_the_place_of_a_deleted_one() {
    let mut agent = settled();
    agent.reads([lb1(), web(), ("vip.json", vip("www", "198.51.100.10", "\"lb1\"", "web"))]);
    assert_eq!(agent.in_force(), ["Vip/www", "Pool/web", "Peer/lb1"]);
    assert!(agent.told.is_empty());
}

#[test]
fn an_object_in_two_files_stays_as_it_was() {
    let mut agent = settled();
    let copy = ("copy.json", vip("web", "198.51.100.99", "\"lb1\"", "web"));
    agent.reads([lb1(), web(), on("198.51.100.11"), copy.clone()]);
    assert_eq!(agent.address("web"), "198.51.100.10");
    assert_eq!(agent.told(), [("DuplicateObject", STAYS), ("DuplicateObject", STAYS)]);
    assert!(agent.told[0].message.contains("vip.json") && agent.told[1].message.contains("copy.json"));
    let mut fresh = Agent::default();
    fresh.reads([lb1(), web(), on("198.51.100.11"), copy]);
    assert_eq!(fresh.in_force(), ["Pool/web", "Peer/lb1"]);
}

#[test]
fn a_broken_copy_does_not_disturb_the_good_file() {
    let mut agent = settled();
    agent.reads([lb1(), web(), on("198.51.100.11"), ("copy.json", document("Vip", "web", "{}"))]);
    assert_eq!(agent.address("web"), "198.51.100.11");
}

#[test]
fn of_two_in_conflict_the_new_one_gives_way_whatever_they_are_called() {
    for name in ["a", "z"] {
        let mut agent = settled();
        let changed =
            document("Vip", "web", r#"{"addresses":["198.51.100.10"],"nodes":["lb1"],"failback":{"mode":"manual"}}"#);
        let new = ("new.json", vip(name, "198.51.100.10", "\"lb1\"", "web"));
        agent.reads([lb1(), web(), ("vip.json", changed), new]);
        assert_eq!(agent.in_force(), ["Vip/web", "Pool/web", "Peer/lb1"]);
        assert_eq!(agent.desired.vips["web"].failback.mode, crate::model::FailbackMode::Manual);
        assert!(agent.told().contains(&("AddressConflict", format!("Vip/{name} is not in force").as_str())));
    }
}

#[test]
fn an_object_that_changes_into_another_stays_as_it_was() {
    let mut agent = settled();
    let other = || ("other.json", vip("a", "198.51.100.20", "\"lb1\"", "web"));
    agent.reads([lb1(), web(), on("198.51.100.10"), other()]);
    agent.reads([lb1(), web(), on("198.51.100.20"), other()]);
    assert_eq!((agent.address("web"), agent.address("a")), ("198.51.100.10".into(), "198.51.100.20".into()));
    assert_eq!(agent.told(), [("AddressConflict", STAYS)]);
    let position = agent.told[0].position().unwrap();
    assert_eq!(position.file.to_str(), Some("vip.json"));
}

#[test]
fn what_changes_together_is_judged_together() {
    let mut agent = settled();
    let other = |address: &str| ("other.json", vip("a", address, "\"lb1\"", "web"));
    agent.reads([lb1(), web(), on("198.51.100.10"), other("198.51.100.20")]);
    agent.reads([lb1(), web(), on("198.51.100.20"), other("198.51.100.10")]);
    assert_eq!((agent.address("web"), agent.address("a")), ("198.51.100.20".into(), "198.51.100.10".into()));
    assert!(agent.told.is_empty());
}

#[test]
fn peers_gain_a_path_once_all_of_them_have_it() {
    let paths = |name: &'static str, last: u8, two: bool| {
        let second = if two { format!(", \"198.51.100.{last}\"") } else { String::new() };
        (name, peer(&name[..3], &format!("\"192.0.2.{last}\"{second}")))
    };
    let mut agent = Agent::default();
    agent.reads([paths("lb1.json", 1, false), paths("lb2.json", 2, false), paths("lb3.json", 3, false)]);
    agent.reads([paths("lb1.json", 1, true), paths("lb2.json", 2, false), paths("lb3.json", 3, false)]);
    assert!(agent.desired.peers.values().all(|peer| peer.addresses.len() == 1));
    assert!(agent.told.iter().all(|told| told.object.as_ref().unwrap().to_string() == "Peer/lb1"));
    agent.reads([paths("lb1.json", 1, true), paths("lb2.json", 2, true), paths("lb3.json", 3, true)]);
    assert!(agent.desired.peers.values().all(|peer| peer.addresses.len() == 2));
}

#[test]
fn a_peer_that_is_renamed_before_its_vip_waits_for_it() {
    let mut agent = settled();
    let renamed = || ("lb1.json", peer("lbA", "\"192.0.2.1\""));
    agent.reads([renamed(), web(), on("198.51.100.10")]);
    assert_eq!(agent.in_force(), ["Vip/web", "Pool/web", "Peer/lb1"]);
    agent.reads([renamed(), web(), ("vip.json", vip("web", "198.51.100.10", "\"lbA\"", "web"))]);
    assert_eq!(agent.in_force(), ["Vip/web", "Pool/web", "Peer/lbA"]);
    assert!(agent.told.is_empty());
}

#[test]
fn who_names_something_invalid_is_left_out_as_a_consequence() {
    let mut agent = Agent::default();
    agent.reads([lb1(), on("198.51.100.10"), ("pool.json", document("Pool", "web", r#"{"backends":[]}"#))]);
    assert_eq!(agent.in_force(), ["Peer/lb1"]);
    let consequences: Vec<_> = agent.told.iter().filter(|told| told.consequence).collect();
    assert_eq!(consequences[0].message, "Pool/web, which is named at /spec/listeners/0/pool, is not in force");
}

#[test]
fn a_memory_that_is_not_valid_itself_is_mended() {
    let mut agent = settled();
    agent.last_good.objects.retain(|name, _| name.kind != Kind::Pool);
    agent.resolves(&nothing());
    assert_eq!(agent.in_force(), ["Peer/lb1"]);
}

#[test]
fn everything_else_takes_effect() {
    let mut agent = settled();
    agent.reads([
        ("lb1.json", peer("lb1", "\"192.0.2.9\"")),
        ("pool.json", "{".into()),
        ("new.json", vip("new", "198.51.100.50", "\"lb1\"", "web")),
        ("dangling.json", vip("dangling", "198.51.100.51", "\"lb7\"", "web")),
        on("198.51.100.11"),
    ]);
    assert_eq!(agent.in_force(), ["Vip/new", "Vip/web", "Pool/web", "Peer/lb1"]);
    assert_eq!(agent.address("web"), "198.51.100.11");
    assert_eq!(agent.desired.peers["lb1"].addresses[0].ip().to_string(), "192.0.2.9");
}

#[test]
fn thousands_that_all_want_the_same_address_are_sorted_out_in_time() {
    let names: Vec<String> = (0..2000).map(|i| format!("v{i:04}")).collect();
    let file = |name: &String| {
        crate::desired::LoadedFile::new(
            format!("{name}.json"),
            crate::desired::Source::new("x.json", vip(name, "198.51.100.10", "\"lb1\"", "web")),
        )
    };
    let mut loaded = loaded([lb1(), web()]);
    loaded.files.extend(names.iter().map(file));
    let resolved = resolve(&LastGood::default(), &loaded);
    assert_eq!(resolved.desired.vips.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["v0000"]);
}

#[test]
fn nobody_gives_way_to_something_that_goes_in_the_end() {
    let mut agent = Agent::default();
    agent.reads([("z.json", peer("z", "\"192.0.2.1\""))]);
    // The new Vip names the deleted Peer, which comes back and pushes the new Peer out; but the Vip names a pool in vain
    // and goes, the old Peer goes with it, and the new one has nobody to give way to.
    let vip = ("vip.json", vip("v", "198.51.100.10", "\"z\"", "nowhere"));
    agent.reads([vip, ("x.json", peer("x", "\"2001:db8::1\""))]);
    assert_eq!(agent.in_force(), ["Peer/x"]);
    assert!(agent.told.iter().all(|told| told.object.as_ref().unwrap().to_string() == "Vip/v"));
}
