use super::*;
use crate::model::{Backend, Name, Pool, Serving};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

/// A name service that says what a test tells it to.
#[derive(Default, Clone)]
struct Fake(Arc<(Mutex<BTreeMap<String, Answer>>, AtomicUsize)>);

impl Fake {
    fn set(&self, host: &str, answer: Result<&[&str], &str>) {
        let answer = answer.map(|found| found.iter().map(|ip| ip.parse().unwrap()).collect()).map_err(str::to_owned);
        self.0.0.lock().unwrap().insert(host.to_owned(), answer);
    }

    fn asked(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

impl Lookup for Fake {
    async fn lookup(&self, host: &str) -> Answer {
        self.0.1.fetch_add(1, SeqCst);
        self.0.0.lock().unwrap().get(host).cloned().unwrap_or_else(|| Err("unknown name".to_owned()))
    }
}

fn desired(hosts: &[&str], interval: Duration) -> Arc<Desired> {
    let named =
        |(n, host): (usize, &&str)| Backend::named(Name::new(&format!("b{n}")).unwrap(), (*host).to_owned(), 80);
    let name = Name::new("web").unwrap();
    let pool = Pool {
        name: name.clone(),
        balance: Default::default(),
        sticky: None,
        check: Default::default(),
        backends: hosts.iter().enumerate().map(named).collect(),
        timeouts: Default::default(),
        serving: Serving { resolve: interval, ..Serving::default() },
    };
    Arc::new(Desired { pools: BTreeMap::from([(name, Arc::new(pool))]), ..Desired::default() })
}

const OFTEN: Duration = Duration::from_millis(5);

async fn until(table: &mut watch::Receiver<Arc<NameTable>>, what: impl FnMut(&Arc<NameTable>) -> bool) {
    let wait = tokio::time::timeout(Duration::from_secs(15), table.wait_for(what));
    drop(wait.await.expect("in vain").expect("the resolver has ended"));
}

fn view(address: Option<&str>, error: Option<&str>) -> NameView {
    NameView { address: address.map(|ip| ip.parse().unwrap()), error: error.map(str::to_owned) }
}

#[test]
fn the_address_in_use_stays_while_it_is_among_the_answers() {
    let found = |ips: &[&str]| Ok(ips.iter().map(|ip| ip.parse().unwrap()).collect());
    let first = next(None, found(&["192.0.2.1", "192.0.2.2"]));
    assert_eq!(first, view(Some("192.0.2.1"), None));
    let turned = next(Some(&first), found(&["192.0.2.2", "192.0.2.1"]));
    assert_eq!(turned, first);
    let gone = next(Some(&turned), found(&["192.0.2.2", "192.0.2.3"]));
    assert_eq!(gone, view(Some("192.0.2.2"), None));
    let failed = next(Some(&gone), Err("no answer".into()));
    assert_eq!(failed, view(Some("192.0.2.2"), Some("no answer")));
    let empty = next(Some(&failed), found(&["0.0.0.0", "224.0.0.1"]));
    assert_eq!(empty, view(Some("192.0.2.2"), Some("the name has no address")), "none that a host can have");
    assert_eq!(next(Some(&empty), found(&["192.0.2.2"])), gone);
    assert_eq!(next(None, Err("no answer".into())), view(None, Some("no answer")));
}

#[tokio::test]
async fn names_are_followed_through_failures_and_moves() {
    let fake = Fake::default();
    let (state, wanted) = watch::channel(desired(&["a.example"], OFTEN));
    let mut table = start(wanted.clone(), fake.clone());
    until(&mut table, |t| t.get("a.example") == Some(&view(None, Some("unknown name")))).await;
    fake.set("a.example", Ok(&["192.0.2.1"]));
    until(&mut table, |t| t["a.example"] == view(Some("192.0.2.1"), None)).await;
    fake.set("a.example", Err("no answer"));
    until(&mut table, |t| t["a.example"] == view(Some("192.0.2.1"), Some("no answer"))).await;
    fake.set("a.example", Ok(&["192.0.2.9"]));
    until(&mut table, |t| t["a.example"] == view(Some("192.0.2.9"), None)).await;
    fake.set("b.example", Ok(&["2001:db8::b"]));
    state.send_replace(desired(&["b.example"], OFTEN));
    until(&mut table, |t| t.len() == 1 && t.get("b.example") == Some(&view(Some("2001:db8::b"), None))).await;
}

#[tokio::test]
async fn what_nobody_names_is_not_looked_up_and_an_edit_does_not_forget() {
    let fake = Fake::default();
    fake.set("a.example", Ok(&["192.0.2.1"]));
    let (state, wanted) = watch::channel(desired(&["a.example", "a.example"], Duration::from_secs(3600)));
    let mut table = start(wanted, fake.clone());
    until(&mut table, |t| t.contains_key("a.example")).await;
    assert_eq!(fake.asked(), 1, "one name, looked up once");
    fake.set("a.example", Err("no answer"));
    state.send_replace(desired(&["a.example"], OFTEN));
    until(&mut table, |t| t["a.example"].error.is_some()).await;
    assert_eq!(table.borrow()["a.example"].address, Some("192.0.2.1".parse().unwrap()));
}

#[tokio::test]
async fn who_needs_addresses_is_woken_when_they_change() {
    let fake = Fake::default();
    let (_state, wanted) = watch::channel(desired(&["a.example"], OFTEN));
    let mut resolved = resolved(wanted.clone(), start(wanted, fake.clone()));
    let address = |desired: &Desired| desired.pools.values().next().unwrap().backends[0].address.to_string();
    assert_eq!(address(&resolved.borrow_and_update()), "0.0.0.0:80");
    fake.set("a.example", Ok(&["192.0.2.1"]));
    let changed = tokio::time::timeout(Duration::from_secs(15), resolved.wait_for(|d| address(d) == "192.0.2.1:80"));
    drop(changed.await.expect("in vain").unwrap());
}

#[tokio::test]
async fn the_machine_knows_its_own_name() {
    let found = System.lookup("localhost").await.unwrap();
    assert!(found.iter().any(|ip| ip.is_loopback()), "{found:?}");
    let error = System.lookup("no-such-name.invalid").await.unwrap_err();
    assert!(!error.is_empty() && !error.starts_with(PREFIX), "{error}");
}
