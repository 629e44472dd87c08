//! The fence comes, changes, outlives its agent and goes.

use super::*;

#[test]
fn it_outlives_its_agent_and_the_leases_do_not() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), LONG);
        assert_eq!(scene.answers(), ips(&VIPS));
        scene.kill();
        assert_eq!(scene.answers(), ips(&[]));
        assert!(!scene.serves(vips()[0]));
    });
}

#[test]
fn the_next_agent_takes_it_over() {
    in_both_modes(|mut scene| {
        scene.install(&["eth0"], &["192.0.2.10", "2001:db8::10", "192.0.2.2"]);
        scene.kill();
        scene.open();
        assert_eq!(scene.answers_of_vips_only(), ips(&[]));
        scene.install(&["eth0"], &VIPS);
        assert_eq!(scene.answers(), ips(&[]));
        scene.grant(&vips(), LONG);
        assert_eq!(scene.answers(), ips(&VIPS));
    });
}

impl Scene {
    /// As [`Scene::answers`] where the host's own addresses may be fenced too: asks for some time.
    fn answers_of_vips_only(&self) -> BTreeSet<IpAddr> {
        self.asker.run(async |net| {
            let prober = Prober::new().unwrap();
            prober.own(&net.observe().await);
            let link = net.link("eth0").await;
            let mut heard = BTreeSet::new();
            for vip in vips() {
                prober.send(&link, vip).unwrap();
                if let Ok(answer) = tokio::time::timeout(Duration::from_millis(200), prober.recv()).await {
                    heard.insert(answer.ip);
                }
            }
            heard
        })
    }
}

#[test]
fn addresses_come_and_go_and_leases_of_the_others_go_on() {
    in_both_modes(|mut scene| {
        scene.install(&["eth0"], &VIPS[..1]);
        assert_eq!(scene.answers(), ips(&VIPS[1..]), "the second is open");
        scene.grant(&vips()[..1], LONG);
        scene.install(&["eth0"], &VIPS);
        assert_eq!(scene.answers(), ips(&VIPS[..1]), "the second is fenced, the first still leased");
        scene.fence().renew(&active(&vips()[..1]), LONG).unwrap();
        scene.install(&["eth0"], &VIPS[1..]);
        assert_eq!(scene.answers(), ips(&VIPS[..1]), "the first is open");
        scene.install(&["eth0"], &VIPS);
        assert_eq!(scene.answers(), ips(&[]), "and its lease has not come back");
        scene.install(&["eth0"], &[]);
        assert_eq!(scene.answers(), ips(&VIPS), "an empty fence");
    });
}

#[test]
fn devices_come_and_go_and_leases_go_on() {
    for open in [Fence::open, Fence::open_without_egress] {
        let ([asker, host], switch) = switched();
        let asker = asker.with(&["192.0.2.1/24", "2001:db8::1/64"]);
        let host = host.with(&["192.0.2.2/24", "192.0.2.10/32", "2001:db8::2/64", "2001:db8::10/128"]);
        let mut scene = Scene { asker, host, fence: None, open, ticket: 0 };
        scene.open();
        scene.install(&["eth0", "eth1"], &VIPS);
        scene.grant(&vips(), LONG);
        for _ in 0..2 {
            plug(&switch, &scene.host, "second", "eth1");
            scene.install(&["eth0", "eth1"], &VIPS);
            scene.fence().renew(&active(&vips()), LONG).unwrap();
            scene.fence().mute(&vips(), LONG).unwrap();
            // The kernel answers for all of its addresses on every device, so this needs the fence on both.
            assert_eq!(scene.answers(), ips(&[]));
            scene.grant(&vips(), LONG);
            assert_eq!(scene.answers(), ips(&VIPS));
            switch.run(async |net| {
                let index = net.link("second").await.index;
                net.0.link().del(index).execute().await.unwrap();
            });
            scene.install(&["eth0"], &VIPS);
            scene.install(&["eth0", "eth1"], &VIPS);
        }
        scene.fence().renew(&active(&vips()), LONG).unwrap();
    }
}

#[test]
fn a_device_that_is_no_longer_listed_is_open() {
    let mut scene = Scene::new(Fence::open);
    scene.install(&[], &VIPS);
    assert_eq!(scene.answers(), ips(&VIPS));
    scene.install(&["eth0"], &VIPS);
    assert_eq!(scene.answers(), ips(&[]));
}

#[test]
fn removing_it_opens_everything_and_leaves_nothing() {
    in_both_modes(|mut scene| {
        scene.fence.take().unwrap().remove().unwrap();
        assert_eq!(scene.answers(), ips(&VIPS));
        scene.host.blocking(|| assert!(!remove_persistent().unwrap()));
    });
}

#[test]
fn a_fence_without_agent_can_be_removed_and_one_with_agent_cannot() {
    in_both_modes(|mut scene| {
        scene.host.blocking(|| {
            let error = remove_persistent().unwrap_err();
            assert!(error.to_string().contains("running lbagent"), "{error}");
        });
        scene.kill();
        assert_eq!(scene.answers(), ips(&[]));
        scene.host.blocking(|| assert!(remove_persistent().unwrap()));
        assert_eq!(scene.answers(), ips(&VIPS));
        scene.host.blocking(|| assert!(!remove_persistent().unwrap()));
    });
}

#[test]
fn looking_whether_the_kernel_can_changes_nothing() {
    Host::new().blocking(|| {
        let fences = [Fence::open().unwrap(), Fence::open_without_egress().unwrap()];
        let all = [Family::Netdev, Family::Arp, Family::Inet].map(|family| {
            let kind = crate::kernel::nft::kind::GET_TABLE;
            fences[0].socket.dump(kind, family, |_| {}).unwrap().len()
        });
        assert_eq!(all, [0; 3]);
        assert!(fences[0].stops_raw_frames(), "this kernel has an egress hook");
    });
}

#[test]
fn a_second_agent_is_told_about_the_first() {
    let scene = Scene::new(Fence::open);
    let error = scene.host.blocking(|| Fence::open().unwrap_err());
    assert!(error.to_string().contains("stop the other lbagent"), "{error}");
    assert_eq!(scene.answers(), ips(&[]));
}

#[test]
fn without_the_capability_it_says_so() {
    Host::new().blocking(|| {
        // The thread ends with this.
        nix::unistd::setgroups(&[]).unwrap();
        as_nobody();
        let error = Fence::open().unwrap_err();
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    });
}

/// Makes this thread, and no other, one of an ordinary user.
#[allow(unsafe_code, reason = "libc's own setresuid would change all threads")]
fn as_nobody() {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: a system call that takes three integers.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
    assert_eq!(result, 0);
}

#[test]
fn a_child_does_not_inherit_it() {
    let mut scene = Scene::new(Fence::open);
    scene.grant(&vips(), LONG);
    let mut child = scene.host.blocking(|| std::process::Command::new("sleep").arg("60").spawn().unwrap());
    scene.kill();
    assert!(child.try_wait().unwrap().is_none(), "the child is still there");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(scene.answers(), ips(&[]));
}
