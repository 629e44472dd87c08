//! Leases and tickets end by themselves, and nothing that has ended can be used.

use super::*;

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_fenced_address_is_silent_until_it_is_granted_and_again_when_it_is_revoked() {
    in_both_modes(|mut scene| {
        assert_eq!(scene.answers(), ips(&[]));
        scene.grant(&vips(), LONG);
        assert_eq!(scene.answers(), ips(&VIPS));
        scene.fence().revoke(&vips()[..1]).unwrap();
        assert_eq!(scene.answers(), ips(&VIPS[1..]));
        scene.fence().revoke(&vips()).unwrap();
        assert_eq!(scene.answers(), ips(&[]));
        scene.fence().revoke(&vips()).unwrap();
    });
}

#[test]
fn a_lease_ends_by_itself_and_cannot_be_renewed_then() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), SHORT);
        scene.answers_become(&[]);
        let Err(RenewError::Expired(expired)) = scene.fence().renew(&active(&vips()), LONG) else {
            panic!("renewed what had expired")
        };
        assert_eq!(expired, vips());
        assert!(matches!(scene.fence().mute(&vips(), LONG), Err(RenewError::Expired(_))));
        assert_eq!(scene.answers(), ips(&[]));
        scene.grant(&vips(), LONG);
        assert_eq!(scene.answers(), ips(&VIPS));
    });
}

#[test]
fn what_is_renewed_outlives_what_is_not() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), SHORT);
        scene.fence().renew(&active(&vips()[..1]), LONG).unwrap();
        scene.answers_become(&VIPS[..1]);
    });
}

#[test]
fn one_that_has_expired_keeps_all_from_being_renewed_and_is_named() {
    in_both_modes(|mut scene| {
        scene.grant(&vips()[1..], SHORT);
        scene.answers_become(&[]);
        scene.grant(&vips()[..1], SHORT * 10);
        let result = scene.fence().renew(&active(&vips()), LONG);
        let Err(RenewError::Expired(expired)) = result else { panic!("{result:?}") };
        assert_eq!(expired, vips()[1..]);
        // The other was not renewed: it ends as granted.
        scene.answers_become(&[]);
    });
}

#[test]
fn a_draining_lease_ends_too_and_is_renewed_as_what_it_is() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), LONG);
        assert!(scene.serves(vips()[0]));
        scene.fence().mute(&vips(), LONG).unwrap();
        assert!(matches!(scene.fence().renew(&active(&vips()), LONG), Err(RenewError::Expired(_))));
        scene.fence().renew(&draining(&vips()), SHORT).unwrap();
        let ended = || (!scene.serves(vips()[0])).then_some(());
        while ended().is_none() {}
        assert!(matches!(scene.fence().renew(&draining(&vips()), LONG), Err(RenewError::Expired(_))));
    });
}

#[test]
fn a_draining_lease_can_become_active_again() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), LONG);
        scene.fence().mute(&vips(), LONG).unwrap();
        scene.grant(&vips(), LONG);
        assert_eq!(scene.answers(), ips(&VIPS));
        scene.fence().renew(&active(&vips()), LONG).unwrap();
    });
}

#[test]
fn a_grant_replaces_a_lease_that_runs() {
    in_both_modes(|mut scene| {
        scene.grant(&vips(), SHORT);
        scene.grant(&vips()[..1], LONG);
        scene.answers_become(&VIPS[..1]);
        scene.grant(&vips(), SHORT);
        scene.answers_become(&[]);
    });
}

#[test]
fn a_ticket_serves_one_grant_and_not_for_long() {
    in_both_modes(|mut scene| {
        let expired =
            |fence: &mut Fence, ticket| matches!(fence.grant(ticket, &vips(), LONG), Err(GrantError::Expired));
        let fence = scene.fence();
        assert!(expired(fence, 1), "there never was one");
        fence.ticket(2, SHORT).unwrap();
        std::thread::sleep(SHORT * 2);
        assert!(expired(fence, 2), "it has expired");
        fence.ticket(3, LONG).unwrap();
        assert!(expired(fence, 4), "another one is there");
        assert_eq!(scene.answers(), ips(&[]));
        let fence = scene.fence();
        fence.grant(3, &vips(), LONG).unwrap();
        fence.revoke(&vips()).unwrap();
        assert!(expired(fence, 3), "it was used");
        assert_eq!(scene.answers(), ips(&[]));
    });
}

#[test]
fn what_is_not_fenced_is_not_granted() {
    let mut scene = Scene::new(Fence::open);
    let fence = scene.fence();
    fence.ticket(1, LONG).unwrap();
    let error = fence.grant(1, &[vips()[0], ip("192.0.2.99")], LONG).unwrap_err();
    assert!(error.to_string().contains("192.0.2.99"), "{error}");
    fence.grant(1, &vips(), LONG).unwrap();
}
