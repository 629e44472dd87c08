use super::*;
use crate::model::{Balance, Pool, PoolTimeouts, Serving, StatusRange};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn check() -> Check {
    Check { interval: Duration::from_millis(20), timeout: Duration::from_secs(5), ..Check::default() }
}

fn backend(name_of: &str, address: SocketAddr) -> Backend {
    Backend::new(name(name_of), address)
}

fn pool(check: Check, backends: Vec<Backend>) -> Pool {
    let timeouts = PoolTimeouts::default();
    let serving = Serving::default();
    Pool { name: name("web"), balance: Balance::default(), sticky: None, check, backends, timeouts, serving }
}

fn desired(pool: Pool) -> Arc<Desired> {
    Arc::new(Desired { pools: BTreeMap::from([(pool.name.clone(), Arc::new(pool))]), ..Desired::default() })
}

fn key(backend: &str) -> Key {
    (name("web"), name(backend))
}

/// A server whose answer is `answer`, told anew for each connection, and the count of connections.
async fn server(answer: watch::Receiver<&'static str>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let text = *answer.borrow();
            tokio::spawn(async move {
                let mut scratch = [0; 1024];
                let _ = stream.read(&mut scratch).await;
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn who_is_in_maintenance_or_has_no_address_yet_is_not_asked() {
    let (_answer, answers) = watch::channel("");
    let (address, asked) = server(answers).await;
    let works = Backend { state: BackendState::Maint, ..backend("a", address) };
    let named = Backend::named(name("b"), "web.example".into(), 80);
    let (state, wanted) = watch::channel(desired(pool(check(), vec![works, named, backend("c", address)])));
    let table = start(wanted);
    eventually(&table, |t| t.get(&key("c")).is_some_and(|health| health.passed > 2)).await;
    assert_eq!(table.borrow().len(), 1);
    let before = asked.load(Ordering::Relaxed);
    state.send_replace(desired(pool(check(), vec![backend("a", address)])));
    eventually(&table, |t| t.get(&key("a")).is_some_and(|health| health.up)).await;
    assert!(asked.load(Ordering::Relaxed) > before && table.borrow().len() == 1);
}

fn http() -> Check {
    let expect = vec![StatusRange { first: 200, last: 399 }];
    Check { kind: CheckKind::Http { path: "/".into(), host: None, expect }, ..check() }
}

async fn eventually(table: &watch::Receiver<Arc<HealthTable>>, what: impl Fn(&HealthTable) -> bool) {
    for _ in 0..2000 {
        if what(&table.borrow()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 10 s; the table is {:?}", table.borrow());
}

/// Nothing listens there, and no ephemeral port of another test ever will.
fn closed_port() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

const GOOD: &str = "HTTP/1.1 200 OK\r\n\r\n";
const BAD: &str = "HTTP/1.1 500 Oh\r\n\r\n";

#[tokio::test]
async fn the_first_answer_comes_at_once_and_decides() {
    let (_answer, receiver) = watch::channel(GOOD);
    let (address, _) = server(receiver).await;
    let check = Check { interval: Duration::from_secs(3600), ..http() };
    let pool = pool(check, vec![backend("good", address), backend("dead", closed_port())]);
    let (_desired, receiver) = watch::channel(desired(pool));
    let table = start(receiver);
    eventually(&table, |table| table.len() == 2).await;
    let table = table.borrow();
    let (good, dead) = (&table[&key("good")], &table[&key("dead")]);
    assert!(good.up && !dead.up, "{table:?}");
    assert_eq!(good.last.as_ref().unwrap().detail, "200 OK");
    assert_eq!(dead.last.as_ref().unwrap().detail, "connection refused");
}

#[tokio::test]
async fn a_backend_leaves_after_fall_and_returns_after_rise_and_only_then_wakes_the_loop() {
    let (answer, receiver) = watch::channel(GOOD);
    let (address, _) = server(receiver).await;
    let (_desired, receiver) = watch::channel(desired(pool(http(), vec![backend("a", address)])));
    let mut table = start(receiver);
    eventually(&table, |table| table.get(&key("a")).is_some_and(|health| health.passed > 3)).await;
    table.mark_unchanged();
    eventually(&table, |table| table[&key("a")].passed > 6).await;
    assert!(!table.has_changed().unwrap(), "good answers as before wake nobody");
    answer.send(BAD).unwrap();
    eventually(&table, |table| !table[&key("a")].up).await;
    assert!(table.has_changed().unwrap());
    let down = table.borrow()[&key("a")].clone();
    assert!(down.failed >= 3, "{down:?}");
    assert_eq!(down.last.unwrap().detail, "500 where 200-399 was expected");
    answer.send(GOOD).unwrap();
    eventually(&table, |table| table[&key("a")].up).await;
    assert_eq!(table.borrow()[&key("a")].transitions, 2);
}

#[tokio::test]
async fn silence_is_a_failure_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let check = Check { timeout: Duration::from_millis(50), ..http() };
    let (_desired, receiver) = watch::channel(desired(pool(check, vec![backend("mute", address)])));
    let table = start(receiver);
    eventually(&table, |table| table.contains_key(&key("mute"))).await;
    let health = table.borrow()[&key("mute")].clone();
    assert!(!health.up);
    assert_eq!(health.last.unwrap().detail, "no answer within 50ms");
}

#[tokio::test]
async fn edits_that_ask_the_same_reset_nothing() {
    let (_answer, receiver) = watch::channel(BAD);
    let (address, asked) = server(receiver).await;
    let slow = Check { interval: Duration::from_secs(3600), ..http() };
    let (sender, receiver) = watch::channel(desired(pool(slow.clone(), vec![backend("a", address)])));
    let table = start(receiver);
    eventually(&table, |table| table.contains_key(&key("a"))).await;
    let before = table.borrow()[&key("a")].clone();
    let heavy = Backend { weight: 7, backup: true, ..backend("a", address) };
    let edited = Pool { balance: Balance::Random, ..pool(Check { rise: 9, fall: 9, ..slow }, vec![heavy]) };
    let other = backend("b", closed_port());
    let edited = Pool { backends: vec![edited.backends[0].clone(), other], ..edited };
    sender.send(desired(edited)).unwrap();
    eventually(&table, |table| table.contains_key(&key("b"))).await;
    assert_eq!(table.borrow()[&key("a")], before);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_new_question_keeps_the_state_until_its_first_answer_decides() {
    let (_answer, receiver) = watch::channel(GOOD);
    let (address, _) = server(receiver).await;
    let strict = Check {
        kind: CheckKind::Http { path: "/".into(), host: None, expect: vec![StatusRange { first: 204, last: 204 }] },
        interval: Duration::from_secs(3600),
        ..http()
    };
    let (sender, receiver) = watch::channel(desired(pool(strict, vec![backend("a", address)])));
    let table = start(receiver);
    eventually(&table, |table| table.get(&key("a")).is_some_and(|health| !health.up)).await;
    let lenient = Check { interval: Duration::from_secs(3600), ..http() };
    sender.send(desired(pool(lenient, vec![backend("a", address)]))).unwrap();
    eventually(&table, |table| {
        let health = table.get(&key("a")).expect("the state stays while the new question is under way");
        health.up && (health.passed, health.failed, health.transitions) == (1, 1, 1)
    })
    .await;
}

#[tokio::test]
async fn another_address_is_another_server_and_what_is_gone_disappears() {
    let (dead, silent) = (closed_port(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let slow = Check { interval: Duration::from_secs(3600), timeout: Duration::from_secs(3600), ..http() };
    let both = vec![backend("a", dead), backend("b", dead)];
    let (sender, receiver) = watch::channel(desired(pool(slow.clone(), both)));
    let table = start(receiver);
    eventually(&table, |table| table.len() == 2).await;
    let moved = vec![backend("a", silent.local_addr().unwrap()), backend("b", dead)];
    sender.send(desired(pool(slow, moved))).unwrap();
    eventually(&table, |table| !table.contains_key(&key("a")) && table.contains_key(&key("b"))).await;
    sender.send(Arc::default()).unwrap();
    eventually(&table, |table| table.is_empty()).await;
}

#[tokio::test]
async fn everything_ends_with_its_owner() {
    let (_answer, receiver) = watch::channel(GOOD);
    let (address, asked) = server(receiver).await;
    let (sender, receiver) = watch::channel(desired(pool(http(), vec![backend("a", address)])));
    let mut table = start(receiver);
    eventually(&table, |table| !table.is_empty()).await;
    drop(sender);
    while tokio::time::timeout(Duration::from_secs(10), table.changed()).await.expect("ends in time").is_ok() {}
    let after = asked.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(asked.load(Ordering::Relaxed) <= after + 1, "one may have been under way");
}

#[test]
fn gaps_spread_over_an_interval_and_are_the_same_each_time() {
    let interval = Duration::from_secs(2);
    let gaps: Vec<Duration> = (0..200).map(|index| first_gap(&key(&format!("b{index}")), interval)).collect();
    assert!(gaps.iter().all(|gap| (interval / 2..=interval * 3 / 2).contains(gap)));
    for quarter in 0..4u32 {
        let from = interval / 2 + interval / 4 * quarter;
        let within = gaps.iter().filter(|gap| (from..from + interval / 4).contains(*gap)).count();
        assert!((25..=75).contains(&within), "{within} of 200 in quarter {quarter}");
    }
    assert_eq!(first_gap(&key("b1"), interval), gaps[1]);
}
