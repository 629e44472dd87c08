//! Backends that are left alone because too much has failed there, and what is tried meanwhile.

use super::harness::*;
use crate::model::Ejection;
use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

fn ejected(lab: &Lab) -> Vec<String> {
    lab.traffic().ejected.iter().map(|(_, backend)| backend.to_string()).collect()
}

fn rule(setup: Setup, errors: u16, period: Duration, on_5xx: bool) -> Setup {
    setup.serving(|s| s.ejection = Some(Ejection { errors, period, on_5xx }))
}

/// Answers with this status while `bad`, else with 200.
fn moody(bad: &Arc<AtomicBool>, act: fn() -> Act) -> Server {
    let bad = bad.clone();
    Server::http(move |_, _| if bad.load(SeqCst) { act() } else { ok("moody") })
}

#[test]
fn a_backend_that_fails_too_often_is_left_alone_for_its_time() {
    let bad = Arc::new(AtomicBool::new(true));
    let servers = [moody(&bad, || Act::Last("nonsense".into())), Server::named("good")];
    let setup = Setup::http(&servers.each_ref().map(|s| s.address));
    let lab = rule(setup, 3, Duration::from_millis(400), false).run();
    let statuses: Vec<u16> = (0..20).map(|_| lab.get("/").status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 3, "{statuses:?}");
    assert_eq!((servers[0].seen().len(), ejected(&lab)), (3, vec!["b0".to_owned()]));
    assert_eq!(backend(&lab.traffic(), 0).ejections, 1);
    bad.store(false, SeqCst);
    eventually("it is back", || lab.get("/").text() == "moody");
    assert!(ejected(&lab).is_empty());
    for _ in 0..10 {
        assert_eq!(lab.get("/").status(), 200);
    }
}

#[test]
fn successes_in_between_forgive() {
    let flip = Arc::new(AtomicBool::new(false));
    let server = {
        let flip = flip.clone();
        Server::http(move |_, _| if flip.fetch_xor(true, SeqCst) { Act::Last("nonsense".into()) } else { ok("fine") })
    };
    let other = Server::named("other");
    let lab = rule(Setup::http(&[server.address, other.address]), 2, Duration::from_secs(60), false).run();
    let statuses: Vec<u16> = (0..24).map(|_| lab.get("/").status()).collect();
    assert!(statuses.contains(&502) && ejected(&lab).is_empty(), "{statuses:?}");
}

#[test]
fn errors_of_the_application_count_only_if_that_is_wanted() {
    for on_5xx in [false, true] {
        let error = || Act::Send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".into());
        let servers = [Server::http(move |_, _| error()), Server::named("good")];
        let setup = Setup::http(&servers.each_ref().map(|s| s.address));
        let lab = rule(setup, 2, Duration::from_secs(60), on_5xx).run();
        let errors = (0..12).filter(|_| lab.get("/").status() == 500).count();
        assert_eq!((errors == 2, ejected(&lab).len()), (on_5xx, usize::from(on_5xx)), "{errors} of 12");
    }
}

#[test]
fn at_most_half_of_the_pool_is_left_alone() {
    let nonsense = || Server::http(|_, _| Act::Last("nonsense".into()));
    for (count, most) in [(1, 0), (2, 1), (4, 2), (5, 2)] {
        let servers: Vec<Server> = (0..count).map(|_| nonsense()).collect();
        let addresses: Vec<_> = servers.iter().map(|s| s.address).collect();
        let lab = rule(Setup::http(&addresses), 1, Duration::from_secs(60), false).run();
        for _ in 0..20 {
            assert_eq!(lab.get("/").status(), 502);
        }
        assert_eq!(ejected(&lab).len(), most, "of {count}");
    }
}

#[test]
fn when_the_rest_goes_down_an_ejected_backend_is_better_than_none() {
    let bad = Arc::new(AtomicBool::new(true));
    let servers = [moody(&bad, || Act::Last("nonsense".into())), Server::named("good")];
    let setup = Setup::http(&servers.each_ref().map(|s| s.address));
    let mut setup = rule(setup, 1, Duration::from_secs(60), false);
    let lab = setup.run();
    eventually("it is left alone", || {
        lab.get("/");
        ejected(&lab) == ["b0"]
    });
    bad.store(false, SeqCst);
    setup.down = [name("b1")].into();
    lab.apply(&setup);
    assert_eq!(lab.get("/").text(), "moody");
    assert_eq!(ejected(&lab), ["b0"], "the edit did not forget it");
    setup.pool.serving.ejection = None;
    lab.apply(&setup);
    assert!(ejected(&lab).is_empty());
}

#[test]
fn a_tcp_backend_that_refuses_is_left_alone() {
    let server = Server::raw(|_, mut wire| wire.send("hello"));
    let lab = rule(Setup::tcp(&[free_address(), server.address]), 3, Duration::from_secs(60), false).run();
    for _ in 0..20 {
        assert_eq!(lab.connect().exactly(5).unwrap(), b"hello");
    }
    assert_eq!((backend(&lab.traffic(), 0).connect_errors, ejected(&lab)), (3, vec!["b0".to_owned()]));
}

#[test]
fn a_lonely_backend_that_restarts_is_tried_again_after_a_moment() {
    for tcp in [false, true] {
        let address = free_address();
        let setup = if tcp { Setup::tcp(&[address]) } else { Setup::http(&[address]) };
        let lab = setup.run();
        let restart = thread::spawn(move || {
            thread::sleep(Duration::from_millis(150));
            let (stream, _) = TcpListener::bind(address).unwrap().accept().unwrap();
            let mut wire = Wire::new(stream);
            if !tcp {
                wire.message(false);
            }
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let mut client = lab.connect();
        if !tcp {
            client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
        }
        assert_eq!(client.message(false).status(), 200);
        restart.join().unwrap();
        let counted = backend(&lab.traffic(), 0);
        assert!((1..=3).contains(&counted.connect_errors) && counted.redispatches == 0, "{counted:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the pauses between tries are what is tested")]
fn there_are_as_many_retries_as_the_pool_says_and_the_first_goes_elsewhere() {
    for (retries, tries) in [(0, [1, 0]), (1, [1, 1]), (2, [2, 1]), (3, [2, 2])] {
        let setup = Setup::http(&[free_address(), free_address()]).serving(|s| s.retries = retries);
        let lab = setup.run_on_one_worker();
        let begin = Instant::now();
        assert_eq!(lab.connect().ask(GET).status(), 502);
        let traffic = lab.traffic();
        let mut made = [0, 1].map(|n| backend(&traffic, n).connect_errors);
        made.sort_by(|a, b| b.cmp(a));
        assert_eq!(made, tries, "{retries} retries");
        assert_eq!(begin.elapsed() >= Duration::from_millis(100), retries >= 2, "it pauses before it begins anew only");
    }
}
