use super::*;
use crate::desired::fixtures::{peer, put};
use std::{fs, os::unix::fs::symlink};

/// Far more than anything here takes on a loaded machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Place {
    root: tempfile::TempDir,
    options: StateOptions,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("etc/state");
        fs::create_dir_all(&dir).unwrap();
        let last_good_dir = root.path().join("var/last-good");
        let options = StateOptions { dir, last_good_dir, rescan: Arc::new(Notify::new()) };
        Self { root, options }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    async fn start(&self) -> Receiver {
        start(self.options.clone()).await.0
    }
}

type Receiver = watch::Receiver<Arc<Snapshot>>;

fn put_peer(dir: &Path, last: u8) {
    put(dir, "lb1.json", &peer("lb1", &format!("\"192.0.2.{last}\"")));
}

/// Waits until the Peer `lb1` has the address that ends in `last`.
async fn until(receiver: &mut Receiver, last: u8) {
    let wanted = format!("192.0.2.{last}:694");
    let has = |snapshot: &Arc<Snapshot>| {
        snapshot.desired.peers.get("lb1").is_some_and(|peer| peer.addresses[0].to_string() == wanted)
    };
    let waited = tokio::time::timeout(PATIENCE, receiver.wait_for(has)).await;
    assert!(waited.is_ok_and(|found| found.is_ok()), "{wanted} never took effect: {:?}", *receiver.borrow());
}

#[tokio::test]
async fn the_first_snapshot_is_there_at_once_and_edits_follow() {
    let place = Place::new();
    put_peer(&place.options.dir, 1);
    let mut receiver = place.start().await;
    assert_eq!(receiver.borrow().desired.peers.len(), 1);
    for last in 2..6 {
        put_peer(&place.options.dir, last);
        until(&mut receiver, last).await;
    }
    fs::write(place.options.dir.join("lb1.json"), peer("lb1", "\"192.0.2.6\"")).unwrap();
    until(&mut receiver, 6).await;
}

#[tokio::test]
async fn files_that_change_together_take_effect_together() {
    let place = Place::new();
    let pair = |last: u8| {
        for name in ["lb1", "lb2"] {
            let address = format!("\"192.0.2.{last}:{}\"", if name == "lb1" { 694 } else { 695 });
            put(&place.options.dir, &format!("{name}.json"), &peer(name, &address));
        }
    };
    pair(1);
    let mut receiver = place.start().await;
    pair(2);
    until(&mut receiver, 2).await;
    let snapshot = receiver.borrow().clone();
    assert_eq!((snapshot.generation, snapshot.desired.peers["lb2"].addresses[0].port()), (2, 695));
    assert_eq!(snapshot.desired.peers["lb2"].addresses[0].ip().to_string(), "192.0.2.2");
}

#[tokio::test]
async fn a_directory_may_go_and_come_back_as_another() {
    let place = Place::new();
    put_peer(&place.options.dir, 1);
    let mut receiver = place.start().await;
    for last in [2, 3] {
        fs::remove_dir_all(place.at("etc")).unwrap();
        let gone =
            |snapshot: &Arc<Snapshot>| snapshot.problems.iter().any(|problem| problem.reason == "StateDirectory");
        tokio::time::timeout(PATIENCE, receiver.wait_for(gone)).await.unwrap().unwrap();
        assert_eq!(receiver.borrow().desired.peers.len(), 1, "it stays in force");
        fs::create_dir_all(&place.options.dir).unwrap();
        put_peer(&place.options.dir, last);
        until(&mut receiver, last).await;
        put_peer(&place.options.dir, last + 10);
        until(&mut receiver, last + 10).await;
    }
}

#[tokio::test]
async fn a_directory_behind_a_swapped_symlink_is_followed() {
    let mut place = Place::new();
    for (name, last) in [("v1", 1), ("v2", 2)] {
        fs::create_dir(place.at(name)).unwrap();
        put_peer(&place.at(name), last);
    }
    let swap = |place: &Place, target: &str| {
        symlink(target, place.at("tmp")).unwrap();
        fs::rename(place.at("tmp"), place.at("current")).unwrap();
    };
    swap(&place, "v1");
    place.options.dir = place.at("current");
    let mut receiver = place.start().await;
    until(&mut receiver, 1).await;
    swap(&place, "v2");
    until(&mut receiver, 2).await;
    put_peer(&place.at("v2"), 3);
    until(&mut receiver, 3).await;
}

#[tokio::test]
async fn a_config_map_is_followed_when_its_data_is_swapped() {
    let place = Place::new();
    let dir = &place.options.dir;
    for (name, last) in [("..1", 1), ("..2", 2)] {
        fs::create_dir(dir.join(name)).unwrap();
        put_peer(&dir.join(name), last);
    }
    symlink("..1", dir.join("..data")).unwrap();
    symlink("..data/lb1.json", dir.join("lb1.json")).unwrap();
    let mut receiver = place.start().await;
    until(&mut receiver, 1).await;
    symlink("..2", dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    until(&mut receiver, 2).await;
}

#[tokio::test]
async fn a_file_may_be_a_symlink_to_one_elsewhere_that_is_edited_there() {
    let place = Place::new();
    fs::create_dir(place.at("elsewhere")).unwrap();
    put_peer(&place.at("elsewhere"), 1);
    symlink(place.at("elsewhere/lb1.json"), place.options.dir.join("lb1.json")).unwrap();
    let mut receiver = place.start().await;
    put_peer(&place.at("elsewhere"), 2);
    until(&mut receiver, 2).await;
}

#[tokio::test]
async fn whoever_asks_for_a_rescan_gets_one() {
    let place = Place::new();
    put_peer(&place.options.dir, 1);
    let (publish, mut receiver) = watch::channel(Arc::default());
    let (dir, store) = (place.options.dir.clone(), place.options.last_good_dir.clone());
    // Blind, so that only the request can be the reason.
    let eyes = Eyes { open: true, ..Eyes::new(place.at("nowhere"), Arc::new(Notify::new())) };
    let events = Arc::new(Notify::new());
    let keeper = Keeper::open(dir.clone(), &store);
    let follower = Follower { eyes, keeper, events, rescan: place.options.rescan.clone(), publish };
    tokio::spawn(follower.run());
    until(&mut receiver, 1).await;
    put_peer(&dir, 2);
    place.options.rescan.notify_one();
    until(&mut receiver, 2).await;
}

#[tokio::test]
async fn without_a_watch_the_directory_is_scanned() {
    let place = Place::new();
    put_peer(&place.options.dir, 1);
    let (publish, mut receiver) = watch::channel(Arc::default());
    let (dir, store) = (place.options.dir.clone(), place.options.last_good_dir.clone());
    // It looks where nothing happens and knows that it is blind.
    let eyes = Eyes::new(place.at("nowhere/at/all"), Arc::new(Notify::new()));
    let keeper = Keeper::open(dir.clone(), &store);
    let rescan = Arc::new(Notify::new());
    let follower = Follower { eyes, keeper, events: Arc::new(Notify::new()), rescan, publish };
    tokio::spawn(follower.run());
    until(&mut receiver, 1).await;
    put_peer(&dir, 2);
    until(&mut receiver, 2).await;
}

#[tokio::test]
async fn it_ends_when_nobody_receives_any_more() {
    let place = Place::new();
    put_peer(&place.options.dir, 1);
    let (receiver, task) = start(place.options.clone()).await;
    drop(receiver);
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn its_own_reading_does_not_wake_it() {
    let place = Place::new();
    put_peer(&place.options.dir, 1);
    let events = Arc::new(Notify::new());
    let mut eyes = Eyes::new(place.options.dir.clone(), events.clone());
    eyes.open();
    assert!(eyes.open);
    let keeper = Keeper::open(place.options.dir.clone(), &place.options.last_good_dir);
    assert_eq!(keeper.snapshot().generation, 1);
    fs::write(place.at("etc/other"), "a neighbour's file").unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), events.notified()).await.is_err());
    put_peer(&place.options.dir, 2);
    tokio::time::timeout(PATIENCE, events.notified()).await.unwrap();
}

#[test]
fn the_way_to_a_directory_is_watched() {
    let place = Place::new();
    let root = place.root.path().canonicalize().unwrap();
    symlink("etc/state", place.at("link")).unwrap();
    let places = Places::of(&place.at("link"));
    let expected = [root.clone(), root.join("etc"), root.join("etc/state")];
    assert_eq!(places.watch, BTreeSet::from(expected));
    let missing = Places::of(&place.at("gone/for/good"));
    assert_eq!(missing.watch, BTreeSet::from([root.clone()]));
    assert_eq!(missing.interest, [root.join("gone")]);
}
