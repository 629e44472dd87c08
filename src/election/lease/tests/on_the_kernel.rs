//! The true fence: what another host sees of it.

use super::*;
use crate::kernel::{
    probe::Prober,
    testing::{self, Host, joined},
};
use std::sync::atomic::AtomicU64;

const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];

fn vips() -> BTreeSet<IpAddr> {
    VIPS.iter().map(|text| text.parse().unwrap()).collect()
}

/// An asker, and a host that has both VIPs on a device.
fn pair() -> [Host; 2] {
    let [asker, host] = joined();
    let asker = asker.with(&["192.0.2.1/24", "2001:db8::1/64"]);
    [asker, host.with(&["192.0.2.2/24", "192.0.2.10/32", "2001:db8::2/64", "2001:db8::10/128"])]
}

/// Which of the VIPs are answered for, beside the host's own addresses, which always are.
fn answered(asker: &Host) -> BTreeSet<IpAddr> {
    asker.run(async |net| {
        let prober = Prober::new().unwrap();
        prober.own(&net.observe().await);
        let link = net.link("eth0").await;
        let mut heard = BTreeSet::new();
        for (vip, reference) in VIPS.iter().zip(["192.0.2.2", "2001:db8::2"]) {
            let reference: IpAddr = reference.parse().unwrap();
            testing::eventually("the host's own address answers", async || {
                prober.send(&link, vip.parse().unwrap()).unwrap();
                prober.send(&link, reference).unwrap();
                let sight = tokio::time::timeout(200 * MS, prober.recv()).await.ok()?;
                heard.insert(sight.ip);
                (sight.ip == reference).then_some(())
            })
            .await;
        }
        &heard & &vips()
    })
}

/// On `host`, with both addresses fenced; and the age of the only part that must make progress.
fn start(host: &Host) -> (Leases, Arc<AtomicU64>) {
    let age = Arc::new(AtomicU64::new(0));
    let theirs = age.clone();
    let leases = host.blocking(|| {
        let mut progress = Progress::default();
        progress.follow("a part", move || Duration::from_millis(theirs.load(Relaxed)));
        let leases = Leases::start(progress).unwrap();
        leases.install(&devices(), &vips()).unwrap();
        leases
    });
    assert_eq!(leases.view().fenced, Ok(()));
    (leases, age)
}

fn grant(leases: &Leases) {
    let ips: Vec<_> = vips().into_iter().collect();
    leases.ticket(1, LONG).unwrap();
    assert_eq!(leases.grant(1, &ips), Ok(true));
}

#[test]
fn only_what_is_leased_is_answered_for_and_only_while_the_agent_works() {
    let [asker, host] = pair();
    assert_eq!(answered(&asker), vips());
    let (leases, age) = start(&host);
    assert_eq!(answered(&asker), BTreeSet::new());
    grant(&leases);
    std::thread::sleep(2 * TTL);
    assert_eq!(answered(&asker), vips(), "renewed");
    age.store(60_000, Relaxed);
    eventually("both are lost", || leases.view().running.is_empty());
    assert_eq!(answered(&asker), BTreeSet::new());
    assert_eq!(leases.lost(now()).len(), 2);
    age.store(0, Relaxed);
    grant(&leases);
    assert_eq!(answered(&asker), vips(), "granted anew");
    leases.revoke(&vips().into_iter().collect::<Vec<_>>());
    assert_eq!(answered(&asker), BTreeSet::new());
    assert!(leases.lost(now()).is_empty());
}

#[test]
fn a_mute_address_is_not_answered_for_until_it_may_speak_again() {
    let [asker, host] = pair();
    let (leases, _) = start(&host);
    grant(&leases);
    let one = BTreeSet::from([VIPS[0].parse().unwrap()]);
    leases.mute(&one).unwrap();
    std::thread::sleep(2 * TTL);
    assert_eq!(answered(&asker), &vips() - &one);
    leases.mute(&BTreeSet::new()).unwrap();
    std::thread::sleep(2 * TTL);
    assert_eq!(answered(&asker), vips());
}

#[test]
fn a_killed_agent_is_silent_and_its_successor_takes_the_fence_over() {
    let [asker, host] = pair();
    let (leases, _) = start(&host);
    grant(&leases);
    assert_eq!(answered(&asker), vips());
    drop(leases); // closes the socket, as the kernel does for a killed process
    assert_eq!(answered(&asker), BTreeSet::new(), "the fence outlives it");
    let (leases, _) = start(&host);
    assert_eq!(answered(&asker), BTreeSet::new());
    grant(&leases);
    assert_eq!(answered(&asker), vips());
    leases.close().unwrap();
    assert_eq!(answered(&asker), vips(), "a clean end leaves no fence");
}

#[test]
fn where_the_kernel_cannot_fence_it_says_so_and_the_account_is_kept() {
    let [asker, host] = pair();
    let leases = host.blocking(|| {
        let _other = Leases::start(Progress::default()).unwrap();
        Leases::start_with(Err("no nf_tables".into()), Progress::default()).unwrap()
    });
    assert_eq!(leases.view().fenced, Err("no nf_tables".into()));
    leases.install(&devices(), &vips()).unwrap();
    grant(&leases);
    assert_eq!((leases.active(), answered(&asker)), (vips(), vips()));
    assert_eq!(leases.lost(now() + TTL).len(), 2);
}
