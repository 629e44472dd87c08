//! Every transition, and every refusal to make one, in one table.

use super::*;

/// A situation: what leads to it, and the role and reason that must come of it.
type Row = (&'static str, fn() -> Bench, Role, &'static str);

#[test]
fn every_transition() {
    use Role::{Active, Backup, Initialize};
    let rows: [Row; 32] = [
        ("I→I: nothing heard yet", || ran(Bench::new("lb1"), 100), Initialize, "just started"),
        (
            "I→I: no key",
            || {
                let mut b = Bench::new("lb1");
                b.machine.handle_voice(false);
                ran(b, 3000)
            },
            Initialize,
            "",
        ),
        ("I→B: an owner is heard", || Bench::follower("lb1"), Backup, "lb2 is Active (epoch 5000)"),
        ("I→B: not first in line", || said(Bench::new("lb2"), backup(), 50), Backup, "lb1 comes first and may claim"),
        ("I→B: leaving", || changed(Bench::new("lb1"), |c| c.eligibility.leaving = true, 10), Backup, "leaving"),
        (
            "I→B: a holder that comes first",
            || {
                let mut b = Bench::new("lb2");
                b.hold(true);
                said(b, Claim { role: Role::Initialize, holding: true, ..backup() }, 40)
            },
            Backup,
            "",
        ),
        ("I→A: everybody is silent", || ran(Bench::new("lb1"), 200), Active, "nobody else is Active"),
        (
            "I→A: it has the addresses",
            || {
                let mut b = Bench::new("lb2");
                b.hold(true);
                said(b, Claim { settled: false, ..backup() }, 100)
            },
            Active,
            "had the addresses already",
        ),
        (
            "B→B: a stranger answers",
            || {
                let mut b = Bench::new("lb1");
                b.answers = Some(STRANGER);
                ran(b, 5000)
            },
            Backup,
            "belongs to no peer",
        ),
        (
            "B→B: not eligible",
            || {
                changed(
                    said(Bench::new("lb2"), backup(), 50),
                    |c| c.eligibility.reasons = vec!["eth1 has no carrier".into()],
                    2000,
                )
            },
            Backup,
            "eth1 has no carrier",
        ),
        ("B→B: no device", || changed(Bench::new("lb1"), |c| c.link = None, 2000), Backup, "no device"),
        ("B→A: the owner dies", || silent(Bench::follower("lb2"), 110), Active, "lb1 is not heard"),
        (
            "B→B: its kernel answers",
            || {
                let mut b = Bench::follower("lb2");
                b.answers = Some(PEER_MAC);
                silent(b, 1000)
            },
            Backup,
            "still answers for 198.51.100.10",
        ),
        (
            "B→A: offered",
            || {
                let mut b = Bench::follower("lb2");
                b.offered();
                b
            },
            Active,
            "lb1 handed over",
        ),
        ("B→A: the first does not claim", || said(Bench::new("lb2"), backup(), 320), Active, "did not claim"),
        ("A→A: a lower epoch", || said(Bench::owner("lb2"), active(3), 10), Active, ""),
        ("A→B: a higher epoch", || said(Bench::owner("lb1"), active(9_999_999), 1), Backup, "higher epoch"),
        ("A→B: the same epoch, but preferred", || same_epoch("lb2", 1), Backup, "comes first"),
        ("A→A: the same epoch, and preferred", || same_epoch("lb1", 1), Active, ""),
        ("A→B: asked by a preferred peer", || said(Bench::owner("lb2"), asks(), 1), Backup, "failback"),
        ("A→A: asked by a lesser peer", || said(Bench::owner("lb1"), asks(), 50), Active, ""),
        (
            "A→A: asked by other state",
            || said(Bench::owner("lb2"), Claim { digest: Digest(2), ..asks() }, 50),
            Active,
            "",
        ),
        (
            "A→A: asked by one that does not hear us",
            || {
                let mut b = Bench::owner("lb2");
                b.hears_us = false;
                said(b, asks(), 50)
            },
            Active,
            "",
        ),
        (
            "A→B: not eligible, and asked",
            || {
                said(
                    changed(Bench::owner("lb1"), |c| c.eligibility.reasons = vec!["eth1 has no carrier".into()], 50),
                    asks(),
                    1,
                )
            },
            Backup,
            "handed over to lb2",
        ),
        (
            "A→B: leaving",
            || changed(Bench::owner("lb1"), |c| c.eligibility.leaving = true, 1),
            Backup,
            "leaving; handed over to lb2",
        ),
        (
            "A→B: the lease is lost",
            || {
                let mut b = Bench::owner("lb1");
                b.machine.handle_lost(b.now, &[VIP]);
                ran(b, 1)
            },
            Backup,
            "did not renew it in time",
        ),
        (
            "A→B: the machine slept",
            || {
                let mut b = Bench::owner("lb1");
                b.machine.handle_jump(b.now);
                ran(b, 1)
            },
            Backup,
            "this machine slept",
        ),
        (
            "A→B: unfit, and another is not",
            || {
                let mut b = Bench::owner("lb1");
                b.machine.handle_unfit(vec!["the reconcile loop hangs".into()]);
                ran(b, 1)
            },
            Backup,
            "the reconcile loop hangs; lb2 is to take over",
        ),
        (
            "A→A: unfit, but the other is no better",
            || {
                let mut b = said(Bench::owner("lb1"), Claim { eligible: false, ..backup() }, 40);
                b.machine.handle_unfit(vec!["the reconcile loop hangs".into()]);
                ran(b, 40)
            },
            Active,
            "",
        ),
        (
            "A→B: unverified, and a proven claim of a lower epoch is heard",
            || {
                let mut b = Bench::new("lb1");
                b.gateway = false;
                b.run(500);
                b.expect(Active, "unverified");
                said(b, active(3), 1)
            },
            Backup,
            "its claim is proven",
        ),
        ("B→B: blind", || blind(400), Backup, "no host on the segment answers this node"),
        ("A→B: the device is gone", || changed(Bench::owner("lb1"), |c| c.link = None, 1), Backup, "no device"),
    ];
    for (what, situation, role, why) in rows {
        let bench = situation();
        let vip = bench.vip();
        let view = bench.machine.view(bench.now);
        let told = view.events.iter().any(|event| event.message.contains(why)) || vip.why.contains(why);
        assert!(vip.role == role && told, "{what}: {vip:#?}");
    }
}

/// Behind a fence what was found on the devices is silent, and may stay until it is known whose it is.
#[test]
fn a_new_agent_that_cannot_fence_gives_up_what_another_answers_for() {
    for (fenced, trusted) in [(false, true), (true, true), (false, false)] {
        let mut bench = Bench::new("lb1");
        bench.reload(|candidate| candidate.trust_probe = trusted);
        bench.machine.handle_fenced(fenced);
        bench.hold(true);
        bench.run(10);
        bench.expect(Role::Initialize, "");
        bench.sees(2, VIP, PEER_MAC, SightKind::Has);
        bench.run(30);
        match !fenced && trusted {
            true => bench.expect(Role::Backup, "02:00:00:00:00:02 answers for it"),
            false => bench.expect(Role::Initialize, ""),
        }
    }
}
