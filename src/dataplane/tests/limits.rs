//! `maxConnections`, and who waits for a place.

use super::{harness::*, load::queue};
use crate::{dataplane::Dataplane, model::BackendState};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// Lets so many requests be answered.
#[derive(Default, Clone)]
struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    fn let_pass(&self, more: usize) {
        *self.0.0.lock().unwrap() += more;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let (left, changed) = &*self.0;
        let (mut left, timeout) =
            changed.wait_timeout_while(left.lock().unwrap(), PATIENCE, |left| *left == 0).unwrap();
        assert!(!timeout.timed_out(), "nobody let it pass");
        *left -= 1;
    }

    /// Answers what it lets pass with `name` and the path.
    fn server(&self, name: &'static str) -> Server {
        let gate = self.clone();
        Server::http(move |request, _| {
            gate.wait();
            ok(&format!("{name} {}", request.path()))
        })
    }
}

fn limited(backends: &[&Server], max: u16) -> Setup {
    let addresses: Vec<_> = backends.iter().map(|server| server.address).collect();
    Setup::http(&addresses).backends(|backend| backend.max_connections = Some(max))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

/// Sends a request and waits until `count` are in the queue.
fn join(lab: &Lab, path: &str, count: u64) -> Wire {
    let mut client = lab.connect();
    client.send(&get(path));
    lab.until("it waits", |t| queue(t).queued == count);
    client
}

#[test]
fn a_backend_never_gets_more_at_once_than_it_may_and_everybody_is_served() {
    const CLIENTS: usize = 48;
    const REQUESTS: usize = 12;
    let busiest = [(); 2].map(|()| (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))));
    let server = |(now, most): (Arc<AtomicUsize>, Arc<AtomicUsize>)| {
        Server::http(move |_, _| {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::sleep(Duration::from_millis(1));
            now.fetch_sub(1, SeqCst);
            ok("done")
        })
    };
    let servers = busiest.clone().map(server);
    let mut setup = Setup::http(&servers.each_ref().map(|s| s.address)).serving(|s| s.queue.timeout = PATIENCE);
    (setup.pool.backends[0].max_connections, setup.pool.backends[1].max_connections) = (Some(3), Some(2));
    let lab = setup.run_with(Dataplane::start(NonZeroUsize::new(3).unwrap()).unwrap());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let lab = &lab;
            scope.spawn(move || {
                let mut wire = lab.connect();
                for _ in 0..REQUESTS {
                    if client % 2 == 0 {
                        assert_eq!(wire.ask(GET).status(), 200);
                    } else {
                        assert_eq!(lab.get("/").status(), 200);
                    }
                }
            });
        }
    });
    let most = busiest.map(|(_, most)| most.load(SeqCst));
    assert_eq!(most, [3, 2], "all of the places were used, and no more");
    let traffic = lab.traffic();
    assert_eq!(servers.iter().map(|s| s.seen().len()).sum::<usize>(), CLIENTS * REQUESTS);
    let counted = queue(&traffic);
    assert!(counted.queued_total > 0 && counted.queued == 0, "{counted:?}");
    assert_eq!((counted.queue_timeouts, counted.queue_refused), (0, 0));
    lab.until("nothing is under way", |t| backend(t, 0).active == 0 && backend(t, 1).active == 0);
}

#[test]
fn who_came_first_is_served_first_whatever_worker_serves_him() {
    let gate = Gate::default();
    let server = gate.server("b0");
    let lab = limited(&[&server], 1).serving(|s| s.queue.timeout = PATIENCE).run();
    let mut first = lab.connect();
    first.send(&get("/first"));
    eventually("the backend is busy", || server.seen().len() == 1);
    let mut waiting: Vec<Wire> = (0..12).map(|n| join(&lab, &format!("/{n}"), n + 1)).collect();
    assert_eq!(server.seen().len(), 1);
    gate.let_pass(13);
    assert_eq!(first.message(false).text(), "b0 /first");
    for (n, client) in waiting.iter_mut().enumerate() {
        assert_eq!(client.message(false).text(), format!("b0 /{n}"));
    }
    let paths: Vec<String> = (0..12).map(|n| format!("/{n}")).collect();
    assert_eq!(server.paths()[1..], paths);
    assert_eq!(queue(&lab.traffic()).queued_total, 12);
}

#[test]
fn a_full_queue_refuses_at_once_and_a_long_wait_ends() {
    let gate = Gate::default();
    let server = gate.server("b0");
    let mut setup = limited(&[&server], 1).serving(|s| (s.queue.max, s.queue.timeout) = (1, PATIENCE));
    let lab = setup.run();
    let mut busy = lab.connect();
    busy.send(GET);
    eventually("the backend is busy", || server.seen().len() == 1);
    let mut waits = join(&lab, "/waits", 1);
    assert_eq!(lab.get("/").status(), 503);
    assert_eq!(queue(&lab.traffic()).queue_refused, 1);
    gate.let_pass(2);
    assert_eq!((busy.message(false).status(), waits.message(false).status()), (200, 200));
    // A limit that is edited holds for the next one who comes.
    setup.pool.serving.queue.timeout = Duration::from_millis(50);
    lab.apply(&setup);
    busy.send(GET);
    eventually("the backend is busy", || server.seen().len() == 3);
    assert_eq!(waits.ask(GET).status(), 503);
    assert_eq!((queue(&lab.traffic()).queue_timeouts, queue(&lab.traffic()).queued), (1, 0));
    gate.let_pass(2);
    assert_eq!((busy.message(false).status(), waits.ask(GET).status()), (200, 200), "and the connection goes on");
}

#[test]
fn a_client_that_leaves_makes_room_in_the_queue() {
    let gate = Gate::default();
    let server = gate.server("b0");
    let lab = limited(&[&server], 1).serving(|s| s.queue.timeout = PATIENCE).run();
    let mut busy = lab.connect();
    busy.send(GET);
    eventually("the backend is busy", || server.seen().len() == 1);
    let leaves = join(&lab, "/leaves", 1);
    let resets = join(&lab, "/resets", 2);
    let mut stays = join(&lab, "/stays", 3);
    drop(leaves);
    resets.reset();
    lab.until("they have left", |t| queue(t).queued == 1);
    gate.let_pass(2);
    assert_eq!(stays.message(false).text(), "b0 /stays");
    assert_eq!(busy.message(false).status(), 200);
    assert_eq!(server.paths(), ["/", "/stays"], "who has left is not asked for");
}

#[test]
fn what_a_client_says_while_it_waits_is_not_lost() {
    let gate = Gate::default();
    let server = gate.server("b0");
    let lab = limited(&[&server], 1).serving(|s| s.queue.timeout = PATIENCE).run();
    let mut busy = lab.connect();
    busy.send(GET);
    eventually("the backend is busy", || server.seen().len() == 1);
    let mut waits = lab.connect();
    waits.send("POST /post HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n01234");
    lab.until("it waits", |t| queue(t).queued == 1);
    waits.send("56789");
    waits.send(&get("/next"));
    gate.let_pass(3);
    assert_eq!(waits.message(false).text(), "b0 /post");
    assert_eq!(waits.message(false).text(), "b0 /next");
    assert_eq!(server.seen()[1].body, b"0123456789");
    busy.message(false);
    lab.until("every byte is counted", |t| {
        let sent = GET.len() + "POST /post HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n0123456789".len();
        listener(t).bytes_in == (sent + get("/next").len()) as u64
    });
}

#[test]
fn edits_let_those_in_who_wait() {
    let gates = [Gate::default(), Gate::default()];
    let servers = [gates[0].server("b0"), gates[1].server("b1")];
    let mut setup = limited(&[&servers[0], &servers[1]], 1).serving(|s| s.queue.timeout = PATIENCE);
    setup.down = [name("b1")].into();
    let lab = setup.run();
    let mut clients = vec![lab.connect()];
    clients[0].send(GET);
    eventually("the backend is busy", || servers[0].seen().len() == 1);
    clients.extend((1..=3).map(|n| join(&lab, "/", n)));
    // One more place at the same backend, then another backend; then the limit goes altogether.
    setup.pool.backends[0].max_connections = Some(2);
    lab.apply(&setup);
    eventually("the first in line is served", || servers[0].seen().len() == 2);
    assert_eq!(queue(&lab.traffic()).queued, 2);
    setup.down.clear();
    lab.apply(&setup);
    eventually("the second is served", || servers[1].seen().len() == 1);
    assert_eq!(queue(&lab.traffic()).queued, 1);
    setup.pool.backends[0].max_connections = None;
    lab.apply(&setup);
    eventually("the third is served", || servers[0].seen().len() == 3);
    gates.iter().for_each(|gate| gate.let_pass(4));
    assert!(clients.iter_mut().all(|client| client.message(false).status() == 200));
}

#[test]
fn nobody_waits_for_what_has_gone() {
    let gate = Gate::default();
    let server = gate.server("b0");
    let mut setup = limited(&[&server], 1).serving(|s| s.queue.timeout = PATIENCE);
    let lab = setup.run();
    let mut busy = lab.connect();
    busy.send(GET);
    eventually("the backend is busy", || server.seen().len() == 1);
    let mut waits = join(&lab, "/", 1);
    setup.down = [name("b0")].into();
    lab.apply(&setup);
    assert_eq!(waits.message(false).status(), 503, "at once, not after the time in the queue");
    gate.let_pass(1);
    assert_eq!(busy.message(false).status(), 200);
    assert_eq!(queue(&lab.traffic()).queued, 0);
}

#[test]
fn a_sticky_client_waits_for_its_own_backend_unless_the_queue_is_full() {
    let gates = [Gate::default(), Gate::default()];
    let servers = [gates[0].server("b0"), gates[1].server("b1")];
    let setup = limited(&[&servers[0], &servers[1]], 1).sticky().serving(|s| s.queue.timeout = PATIENCE);
    let lab = setup.serving(|s| s.queue.max = 1).run();
    let sticky = "GET /sticky HTTP/1.1\r\nHost: t\r\nCookie: LB=b0\r\n\r\n";
    let mut busy = lab.connect();
    busy.send(sticky);
    eventually("the backend is busy", || servers[0].seen().len() == 1);
    let mut waits = lab.connect();
    waits.send(sticky);
    lab.until("it waits", |t| queue(t).queued == 1);
    assert!(servers[1].seen().is_empty(), "although the other one is free");
    gates[1].let_pass(2);
    assert_eq!(lab.connect().ask(GET).text(), "b1 /", "who may go elsewhere does not wait behind it");
    lab.until("the other one is free again", |t| backend(t, 1).active == 0);
    let moved = lab.connect().ask(sticky);
    assert_eq!((moved.text(), moved.field("set-cookie").is_some()), ("b1 /sticky", true));
    gates[0].let_pass(2);
    assert_eq!((busy.message(false).text(), waits.message(false).text()), ("b0 /sticky", "b0 /sticky"));
    assert_eq!(queue(&lab.traffic()).queue_refused, 0);
}

#[test]
fn tcp_connections_wait_too_and_are_reset_when_there_is_no_room() {
    let server = Server::raw(|number, mut wire| {
        wire.send(&format!("{number}"));
        let said = wire.rest().unwrap_or_default();
        wire.stream.shutdown(std::net::Shutdown::Both).unwrap_or(());
        assert!(said.is_empty() || said == b"early", "{said:?}");
    });
    let setup = Setup::tcp(&[server.address]).backends(|b| b.max_connections = Some(1));
    let lab = setup.serving(|s| (s.queue.max, s.queue.timeout) = (2, PATIENCE)).run();
    let mut first = lab.connect();
    assert_eq!(first.exactly(1).unwrap(), b"0");
    let mut second = lab.connect();
    second.send("early");
    second.stream.shutdown(std::net::Shutdown::Write).unwrap();
    lab.until("it waits", |t| queue(t).queued == 1);
    let leaves = lab.connect();
    lab.until("it waits", |t| queue(t).queued == 2);
    assert!(lab.connect().rest().is_err(), "no room");
    drop(leaves);
    lab.until("it has left", |t| queue(t).queued == 1);
    drop(first);
    assert_eq!(second.rest().unwrap(), b"1", "half closed, and served all the same");
    assert_eq!((server.connections(), queue(&lab.traffic()).queue_refused), (2, 1));
}

#[test]
fn a_backend_in_drain_keeps_its_own_and_one_in_maintenance_nobody() {
    let servers = [Server::named("b0"), Server::named("b1")];
    let mut setup = Setup::http(&servers.each_ref().map(|s| s.address)).sticky();
    let lab = setup.run();
    let mut own = lab.connect();
    let sticky = "GET / HTTP/1.1\r\nHost: t\r\nCookie: LB=b0\r\n\r\n";
    assert_eq!(own.ask(sticky).text(), "b0 /");
    setup.pool.backends[0].state = BackendState::Drain;
    lab.apply(&setup);
    for _ in 0..6 {
        assert_eq!(own.ask(sticky).text(), "b0 /");
        assert_eq!(lab.get("/").text(), "b1 /");
    }
    lab.until("its connection is kept", |t| backend(t, 0).idle > 0);
    setup.pool.backends[0].state = BackendState::Maint;
    lab.apply(&setup);
    assert_eq!(own.ask(sticky).text(), "b1 /");
    lab.until("nothing is kept", |t| backend(t, 0).idle == 0);
    setup.pool.backends[0].state = BackendState::Ready;
    lab.apply(&setup);
    assert_eq!(own.ask(sticky).text(), "b0 /");
    eventually("it gets new clients again", || lab.get("/").text() == "b0 /");
}
