//! Others change the tables.

use super::*;

const FENCE: Table = Table { family: Family::Netdev, name: "lbagent_fence" };
const PERMIT: Table = Table { family: Family::Netdev, name: "lbagent_permit" };

impl Scene {
    /// A change by somebody else.
    fn meddle(&self, write: impl FnOnce(&mut Batch) + Send) -> Result<(), BatchError> {
        self.host.blocking(|| {
            let mut batch = Batch::new();
            write(&mut batch);
            Socket::open().unwrap().commit(batch)
        })
    }

    fn repair(&mut self) -> bool {
        self.fence().repair().unwrap()
    }
}

#[test]
fn while_the_agent_lives_a_removed_fence_opens_nothing() {
    in_both_modes(|mut scene| {
        scene.grant(&vips()[..1], LONG);
        let socket = scene.host.blocking(|| Socket::open().unwrap());
        assert!(state::remove(&socket).unwrap());
        assert_eq!(scene.answers(), ips(&VIPS[..1]));
        assert!(!scene.asks_from(vips()[1]));
        scene.fence().mute(&vips()[..1], LONG).unwrap();
        assert_eq!(scene.answers(), ips(&[]));
        assert!(scene.repair());
        scene.kill();
        assert_eq!(scene.answers(), ips(&[]));
    });
}

#[test]
fn an_administrators_flush_ruleset_opens_nothing() {
    if !std::path::Path::new("/usr/sbin/nft").exists() {
        return;
    }
    in_both_modes(|mut scene| {
        scene.grant(&vips()[..1], LONG);
        let status = scene.host.blocking(|| std::process::Command::new("nft").args(["flush", "ruleset"]).status());
        assert!(status.unwrap().success());
        assert_eq!(scene.answers(), ips(&VIPS[..1]));
        assert!(scene.repair() && !scene.repair());
        scene.kill();
        assert_eq!(scene.answers(), ips(&[]));
    });
}

#[test]
fn whatever_is_changed_is_repaired() {
    let mut scene = Scene::new(Fence::open);
    scene.grant(&vips(), LONG);
    let drop_all = Rule { matches: vec![], action: Action::Drop };
    let changes: [fn(&mut Batch, &Rule); 6] = [
        |batch, _| batch.delete_table(FENCE),
        |batch, _| batch.flush_chain(FENCE, "in"),
        |batch, rule| batch.add_rule(FENCE, "out", rule),
        |batch, _| assert!(batch.delete_element(FENCE, "fenced4", &[192, 0, 2, 10]) > 0),
        |batch, _| batch.add_elements(FENCE, "fenced4", [&[192, 0, 2, 11][..]], None),
        |batch, _| {
            batch.flush_chain(FENCE, "in-eth0");
            batch.delete_chain(FENCE, "in-eth0");
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        scene.fence().renew(&active(&vips()), LONG).unwrap();
        assert!(!scene.repair(), "nothing to repair before change {number}");
        scene.meddle(|batch| change(batch, &drop_all)).unwrap();
        assert!(scene.repair(), "change {number} was not seen");
        assert!(!scene.repair(), "change {number} was not repaired");
        assert_eq!(scene.answers(), ips(&VIPS));
    }
    scene.fence().revoke(&vips()).unwrap();
    scene.kill();
    assert_eq!(scene.answers(), ips(&[]));
}

#[test]
fn what_others_do_elsewhere_is_no_drift() {
    let mut scene = Scene::new(Fence::open);
    let table = Table { family: Family::Inet, name: "theirs" };
    scene
        .meddle(|batch| {
            batch.new_table(table, false);
            batch.new_set(table, "set", Key::Ipv4, false);
        })
        .unwrap();
    assert!(!scene.repair());
    scene.kill();
    scene.host.blocking(|| assert!(remove_persistent().unwrap()));
    scene.meddle(|batch| batch.delete_table(table)).unwrap();
}

#[test]
fn nobody_else_can_grant_a_lease() {
    let scene = Scene::new(Fence::open);
    let key: &[u8] = &[192, 0, 2, 10];
    let result = scene.meddle(|batch| batch.add_elements(PERMIT, "speak4", [key], Some(LONG)));
    assert_eq!(result.unwrap_err().into_io().raw_os_error(), Some(libc::EPERM));
    assert_eq!(scene.answers(), ips(&[]));
}

#[test]
fn events_tell_of_others_and_who_it_was() {
    let mut scene = Scene::new(Fence::open);
    let host = scene.host.clone();
    host.run(async |_| {
        let events = scene.fence().events().unwrap();
        scene.grant(&vips(), LONG);
        scene.fence().renew(&active(&vips()), LONG).unwrap();
        let table = Table { family: Family::Inet, name: "theirs" };
        scene.meddle(|batch| batch.new_table(table, true)).unwrap();
        let calm = tokio::time::timeout(Duration::from_millis(200), events.changed()).await;
        assert!(calm.is_err() && events.meddler().is_none(), "woke for its own changes, or for other tables");
        scene.meddle(|batch| batch.flush_chain(FENCE, "in")).unwrap();
        events.changed().await;
        let named = async || events.meddler().filter(|it| it.pid.is_some());
        let meddler = eventually("the meddler's name", named).await;
        assert_ne!(meddler.port, scene.fence().port());
        assert!(meddler.program.is_some(), "{meddler:?}");
        // One transaction may be told of in several parts.
        while tokio::time::timeout(Duration::from_millis(200), events.changed()).await.is_ok() {}
        assert!(scene.repair());
        let calm = tokio::time::timeout(Duration::from_millis(200), events.changed()).await;
        assert!(calm.is_err(), "woke for its own repair");
    });
}

#[test]
fn a_flood_of_events_wakes_and_goes_on_waking() {
    let mut scene = Scene::new(Fence::open);
    let host = scene.host.clone();
    host.run(async |_| {
        let events = scene.fence().events().unwrap();
        // The reader of events stands still meanwhile; its buffer holds some hundred of them.
        for number in 0..2000 {
            scene.fence().ticket(number, Duration::from_millis(1)).unwrap();
        }
        events.changed().await;
        while tokio::time::timeout(Duration::from_millis(200), events.changed()).await.is_ok() {}
        scene.meddle(|batch| batch.flush_chain(FENCE, "in")).unwrap();
        events.changed().await;
    });
}
