//! Pools that are edited in place while clients never rest.

use super::{
    harness::*,
    load::{Load, queue},
};
use crate::model::{Backend, BackendState, Balance, Ejection, Sticky, StickyCookie};
use std::time::Duration;

/// One edit of a setup with four backends; the next one is made on top of it.
type Edit = (&'static str, fn(&mut Setup));

/// Every field of a pool and of its backends, and the checks' word on them.
const EDITS: &[Edit] = &[
    ("weights", |s| s.pool.backends.iter_mut().enumerate().for_each(|(n, b)| b.weight = n as u16 * 3)),
    ("leastconn", |s| s.pool.balance = Balance::LeastConn),
    ("a limit", |s| s.pool.backends.iter_mut().for_each(|b| b.max_connections = Some(1))),
    ("another limit", |s| s.pool.backends[1].max_connections = Some(2)),
    ("a check fails", |s| s.down = [name("b1")].into()),
    ("another one too", |s| s.down = [name("b1"), name("b2")].into()),
    ("no limit at one", |s| s.pool.backends[3].max_connections = None),
    ("slow start", |s| s.pool.serving.slow_start = Some(Duration::from_millis(300))),
    ("they are back", |s| s.down.clear()),
    ("drain", |s| s.pool.backends[0].state = BackendState::Drain),
    ("random", |s| s.pool.balance = Balance::Random),
    ("maintenance", |s| s.pool.backends[0].state = BackendState::Maint),
    ("sticky", |s| s.pool.sticky = Some(Sticky::Cookie(StickyCookie::named("LB")))),
    ("ejection", |s| s.pool.serving.ejection = Some(Ejection { errors: 1, ..Ejection::default() })),
    ("ready", |s| s.pool.backends[0].state = BackendState::Ready),
    ("nothing kept", |s| s.pool.serving.idle.max = 0),
    ("little kept", |s| (s.pool.serving.idle.max, s.pool.serving.idle.expiry) = (1, Duration::from_millis(20))),
    ("queue", |s| (s.pool.serving.queue.max, s.pool.serving.queue.timeout) = (500, PATIENCE)),
    ("retries", |s| s.pool.serving.retries = 1),
    ("another order", |s| s.pool.backends.rotate_left(1)),
    ("timeouts", |s| s.pool.timeouts.response = PATIENCE),
    ("one less", |s| drop(s.pool.backends.pop())),
    ("a dead one", |s| s.pool.backends.push(Backend::new(name("b9"), free_address()))),
    ("source", |s| s.pool.balance = Balance::Source),
    ("the dead one moves to a living address", |s| {
        let address = s.pool.backends[0].address;
        s.pool.backends[3].address = address;
    }),
    ("backup", |s| s.pool.backends[0].backup = true),
    ("not sticky", |s| s.pool.sticky = None),
];

#[test]
fn any_edit_of_a_pool_fails_no_request_and_keeps_the_counters() {
    let servers = [Server::named("b0"), Server::named("b1"), Server::named("b2"), Server::named("b3")];
    let begin = Setup::http(&servers.each_ref().map(|s| s.address)).serving(|s| s.queue.timeout = PATIENCE);
    let lab = begin.run();
    let load = Load::start(lab.address);
    let mut before = 0;
    for _ in 0..2 {
        let mut setup = begin.clone();
        for (what, edit) in EDITS {
            edit(&mut setup);
            lab.apply(&setup);
            load.goes_on();
            let b1 = backend(&lab.traffic(), 1).requests;
            assert!(b1 >= before, "{what}: the counters of b1 went from {before} to {b1}");
            before = b1;
        }
        lab.apply(&begin);
        load.goes_on();
    }
    let good = load.good() as u64;
    load.end();
    let totals = listener(&lab.traffic());
    assert!(totals.responses.0[1] >= good && totals.responses.0[3] + totals.responses.0[4] == 0, "{totals:?}");
    lab.until("nothing is left behind", |t| t.backends.values().all(|b| b.active == 0) && queue(t).queued == 0);
    assert_eq!(queue(&lab.traffic()).queue_timeouts + queue(&lab.traffic()).queue_refused, 0);
}

#[test]
fn a_backend_that_goes_by_a_name_serves_once_that_is_known_and_moves_with_it() {
    let servers = [Server::named("here"), Server::named("there")];
    let mut setup = Setup::http(&[servers[0].address]);
    setup.pool.backends = vec![Backend::named(name("b0"), "web.example".into(), servers[0].address.port())];
    let lab = setup.run();
    assert_eq!(lab.get("/").status(), 503, "nobody knows where it is");
    setup.pool.backends[0].address = servers[0].address;
    lab.apply(&setup);
    let mut client = lab.connect();
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").text(), "here /");
    setup.pool.backends[0].address = servers[1].address;
    lab.apply(&setup);
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").text(), "there /");
    assert_eq!(backend(&lab.traffic(), 0).requests, 2);
}

#[test]
fn an_edit_elsewhere_leaves_idle_connections_alone() {
    let servers = [Server::named("b0"), Server::named("b1")];
    let mut setup = Setup::http(&servers.each_ref().map(|s| s.address));
    let lab = setup.run();
    let mut client = lab.connect();
    let mut ask = || assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status(), 200);
    (0..4).for_each(|_| ask());
    lab.until("both are kept", |t| t.backends.values().all(|b| b.idle == 1));
    setup.pool.backends[0].weight = 2;
    setup.pool.backends[0].max_connections = Some(9);
    setup.pool.serving.slow_start = Some(PATIENCE);
    setup.pool.serving.ejection = Some(Ejection::default());
    lab.apply(&setup);
    (0..6).for_each(|_| ask());
    assert_eq!((servers[0].connections(), servers[1].connections()), (1, 1));
}

#[test]
fn a_backend_that_comes_back_starts_slowly() {
    let servers = [Server::named("b0"), Server::named("b1")];
    let mut setup = Setup::http(&servers.each_ref().map(|s| s.address));
    setup.pool.serving.slow_start = Some(Duration::from_secs(3600));
    for balance in [Balance::RoundRobin, Balance::Random] {
        setup.pool.balance = balance;
        setup.down.clear();
        let lab = setup.run();
        let share = |of: usize| (0..of).filter(|_| lab.get("/").text() == "b0 /").count();
        assert!(share(60) > 15, "at the start of the agent nothing is slow");
        setup.down = [name("b0")].into();
        lab.apply(&setup);
        assert_eq!(share(10), 0);
        setup.down.clear();
        lab.apply(&setup);
        let slow = share(200);
        assert!((1..40).contains(&slow), "a twentieth of a full share: {slow} of 200");
        setup.pool.serving.slow_start = Some(Duration::from_micros(1));
        lab.apply(&setup);
        assert!(share(60) > 15, "and then all of it");
        setup.pool.serving.slow_start = Some(Duration::from_secs(3600));
    }
}
