use super::*;
use crate::{
    model::{ElectionEvent, Mac, Standby},
    status::{
        build::tests::golden,
        fixture::{World, ip, name},
    },
};
use std::{sync::Arc, time::Duration};

fn told(world: &World) -> String {
    why(&world.status(), "web").unwrap().to_string()
}

fn verdict_of(world: &World) -> String {
    why(&world.status(), "web").unwrap().verdict
}

#[test]
fn an_owner_and_a_backup_in_good_order_read_as_the_golden_text() {
    golden("why_active.txt", &told(&World::new()));
    golden("why_backup.txt", &told(&World::new().backup()));
}

#[test]
fn the_first_line_says_who_owns_it_and_what_this_node_is() {
    assert_eq!(verdict_of(&World::new()), "web: lb1 is Active (this node), since 30m 0s, epoch 7");
    let mut world = World::new().backup();
    assert_eq!(verdict_of(&world), "web: lb2 owns it; lb1 (this node) is Backup, since 30m 0s, epoch 7");
    world.vip().owner = None;
    assert_eq!(verdict_of(&world), "web: nobody owns it; lb1 (this node) is Backup, since 30m 0s, epoch 7");
    world.vip().role = crate::model::Role::Initialize;
    assert_eq!(verdict_of(&world), "web: not decided yet; lb1 (this node) is Initialize, since 30m 0s, epoch 7");
    world.node = name("elsewhere");
    world.election.vips.clear();
    let expected = "web: a node without a Peer (this node) is none of its nodes, which are lb1, lb2";
    assert_eq!(verdict_of(&world), expected);
}

#[test]
fn what_is_not_as_it_should_be_stands_out() {
    let mut world = World::new();
    world.lease.fenced = Err("this kernel has no nf_tables".into());
    world.vip().verified = false;
    world.vip().foreign = Some((ip("198.51.100.10"), Mac([2, 0, 0, 0, 0, 9])));
    world.vip().dual_owner = Duration::from_millis(24);
    world.standing("lb1").verified = false;
    let lb2 = world.standing("lb2");
    (lb2.eligible, lb2.reason) = (false, "eth0 has no carrier".into());
    (lb2.settled, lb2.fenced, lb2.same_state) = (false, false, false);
    let peer = world.peer();
    (peer.hears_us, peer.vanished, peer.paths[0].up, peer.paths[0].front) = (false, 3, false, true);
    let since = world.clock.instant - Duration::from_secs(65);
    world.standby = Some(Standby { since, reason: "kernel update".into(), forced: false });
    let text = told(&world);
    for expected in [
        "this node is in STANDBY since 1m 5s: kernel update\n",
        "NOT WELL: web: 198.51.100.10 answers from 02:00:00:00:00:09, which is no peer\n",
        "two owners were last seen 0s ago, for 0.024 s in all\n",
        "NOT fenced: web would stay with a hung or killed agent: this kernel has no nf_tables\n",
        "Active, has the addresses, NOT verified, epoch 7; eligible",
        "Backup, without the addresses, epoch 7; NOT eligible (eth0 has no carrier), NOT settled yet, NOT fenced, state DIFFERS\n",
        "heard for 10m 0s, but does NOT hear this node, vanished 3 times in ten minutes: 192.0.2.2:694 (front) DOWN, 0.40 ms, 1.0 % lost\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    world.standing("lb2").heard = false;
    world.peer().heard = false;
    let text = told(&world);
    assert!(text.contains("NOT heard; its last known epoch is 7\n") && text.contains("SILENT for 10m 0s"), "{text}");
}

#[test]
fn the_last_twenty_events_of_the_vip_and_its_nodes_are_told_and_no_others() {
    let mut world = World::new();
    let now = world.clock.instant;
    let event = |age, subject: &str| {
        let message = format!("{subject} {age}");
        Arc::new(ElectionEvent { at: now - Duration::from_secs(age), subject: subject.into(), message })
    };
    let ages = (1..=30).rev();
    world.election.events = ages.flat_map(|age| [event(age, "lb2"), event(age, "mail"), event(age, "lb9")]).collect();
    world.election.events.push(event(0, "web"));
    let status = world.status();
    let why = why(&status, "web").unwrap();
    let messages: Vec<&str> = why.events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!((messages.len(), messages[0], messages[18], messages[19]), (20, "lb2 19", "lb2 1", "web 0"));
    assert!(why.to_string().ends_with("   1s ago  lb2  lb2 1\n   0s ago  web  web 0\n"), "{why}");
}

#[test]
fn an_unknown_vip_is_told_with_the_nearest_and_with_all() {
    let mut world = World::new();
    let told = |world: &World, asked: &str| why(&world.status(), asked).unwrap_err().to_string();
    assert_eq!(told(&world, "Web"), "no Vip is called \"Web\"; did you mean \"web\"? (there is: web)");
    assert_eq!(told(&world, "mail"), "no Vip is called \"mail\" (there is: web)");
    world.desired.vips.clear();
    assert_eq!(told(&world, "web"), "no Vip is called \"web\" (there is none at all: see `lbagent status`)");
}

#[test]
fn an_agent_that_says_little_is_explained_as_far_as_it_goes() {
    let mut world = World::new();
    world.vip().standings.clear();
    world.vip().rules.clear();
    world.election.events.clear();
    let text = told(&world);
    assert!(text.contains("\n  1.  lb1, this node\n  2.  lb2\n      heard for"), "{text}");
    assert!(!text.contains("Rules") && !text.contains("Last events"), "{text}");
}

#[test]
fn peers_and_files_do_not_drive_the_terminal() {
    let mut world = World::new();
    world.vip().why = "\u{1b}[31mred\nsecond".into();
    world.vip().rules = vec!["a\rrule".into()];
    world.standing("lb2").reason = "bell\u{7}".into();
    world.standing("lb2").eligible = false;
    assert!(!told(&world).replace('\n', "").contains(|c: char| c.is_control()));
}
