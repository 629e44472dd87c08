//! Looks up the addresses of backends that go by a name, again and again.
//!
//! As this machine looks up any name: what `/etc/nsswitch.conf` says, so `/etc/hosts` and then DNS as a rule. That call
//! blocks, for long if the name servers are dead, so it happens on threads that nobody else needs, one name at a time
//! on each; the data plane never waits for it.
//!
//! A name with several addresses has one that is in use. It stays for as long as it is among the answers, for name
//! servers turn the order round with each answer and connections must not follow that. When there is no answer, the last
//! one stays in force: a name server that is down must not take down what it names.

use crate::model::{Desired, NameTable, NameView};
use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::AbortHandle,
};

/// Names that are looked up at one time, each of which may hold a thread.
const AT_ONCE: usize = 16;

/// What the standard library says before it says anything.
const PREFIX: &str = "failed to lookup address information: ";

/// Answers what a name means.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of `host`, in order of preference, or why there are none, in words.
    fn lookup(&self, host: &str) -> impl Future<Output = Result<Vec<IpAddr>, String>> + Send;
}

/// The machine's own way (`getaddrinfo`).
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Lookup for System {
    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let host = host.to_owned();
        let found = tokio::task::spawn_blocking(move || (host.as_str(), 0).to_socket_addrs());
        match found.await {
            Ok(Ok(found)) => Ok(found.map(|address| address.ip().to_canonical()).collect()),
            Ok(Err(error)) => Err(error.to_string().trim_start_matches(PREFIX).to_owned()),
            Err(_) => Err("the lookup was broken off".to_owned()),
        }
    }
}

/// Looks up every name of every pool of `desired`, for as long as both ends are held. Receivers are woken when what is
/// known of a name changes. Call it within a tokio runtime.
pub fn start(desired: watch::Receiver<Arc<Desired>>, lookup: impl Lookup) -> watch::Receiver<Arc<NameTable>> {
    let (table, receiver) = watch::channel(Arc::default());
    tokio::spawn(run(desired, Arc::new(lookup), table));
    receiver
}

/// `desired` with the addresses of its names, for those who need no more than those.
pub fn resolved(
    mut desired: watch::Receiver<Arc<Desired>>,
    mut names: watch::Receiver<Arc<NameTable>>,
) -> watch::Receiver<Arc<Desired>> {
    let now = desired.borrow_and_update().resolve(&names.borrow_and_update());
    let (sender, receiver) = watch::channel(now);
    tokio::spawn(async move {
        loop {
            let changed = tokio::select! {
                changed = desired.changed() => changed,
                changed = names.changed() => changed,
                () = sender.closed() => return,
            };
            if changed.is_err() {
                return;
            }
            let now = desired.borrow_and_update().resolve(&names.borrow_and_update());
            sender.send_if_modified(|old| std::mem::replace(old, now.clone()) != now);
        }
    });
    receiver
}

async fn run(
    mut desired: watch::Receiver<Arc<Desired>>,
    lookup: Arc<impl Lookup>,
    table: watch::Sender<Arc<NameTable>>,
) {
    let (answers, mut inbox) = mpsc::channel(AT_ONCE);
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
    desired.mark_changed();
    loop {
        tokio::select! {
            changed = desired.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = intervals(&desired.borrow_and_update());
                tasks.retain(|host, task| wanted.get(host) == Some(&task.interval));
                for (host, interval) in &wanted {
                    tasks.entry(host.clone()).or_insert_with(|| {
                        let job = watch_name(host.clone(), *interval, lookup.clone(), permits.clone(), answers.clone());
                        Task { interval: *interval, handle: tokio::spawn(job).abort_handle() }
                    });
                }
                forget(&table, |host| wanted.contains_key(host));
            }
            Some((host, answer)) = inbox.recv() => {
                if tasks.contains_key(&host) {
                    enter(&table, host, answer);
                }
            }
            () = table.closed() => return,
        }
    }
}

/// Looks up one name, for as long as it lives.
struct Task {
    interval: Duration,
    handle: AbortHandle,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Every name, and the shortest of the intervals that its pools want.
fn intervals(desired: &Desired) -> BTreeMap<String, Duration> {
    let mut wanted = BTreeMap::new();
    for pool in desired.pools.values() {
        for host in pool.backends.iter().filter_map(|backend| backend.host.as_ref()) {
            let interval = wanted.entry(host.clone()).or_insert(pool.serving.resolve);
            *interval = pool.serving.resolve.min(*interval);
        }
    }
    wanted
}

type Answer = Result<Vec<IpAddr>, String>;

async fn watch_name(
    host: String,
    interval: Duration,
    lookup: Arc<impl Lookup>,
    permits: Arc<Semaphore>,
    answers: mpsc::Sender<(String, Answer)>,
) {
    loop {
        let Ok(permit) = permits.acquire().await else { return };
        let answer = lookup.lookup(&host).await;
        drop(permit);
        if answers.send((host.clone(), answer)).await.is_err() {
            return;
        }
        tokio::time::sleep(interval).await;
    }
}

fn forget(table: &watch::Sender<Arc<NameTable>>, is_wanted: impl Fn(&String) -> bool) {
    table.send_if_modified(|table| {
        let modified = table.keys().any(|host| !is_wanted(host));
        if modified {
            Arc::make_mut(table).retain(|host, _| is_wanted(host));
        }
        modified
    });
}

fn enter(table: &watch::Sender<Arc<NameTable>>, host: String, answer: Answer) {
    table.send_if_modified(|table| {
        let before = table.get(&host).cloned();
        let after = next(before.as_ref(), answer);
        let modified = before.as_ref() != Some(&after);
        if modified {
            // What is wrong is told as a problem, by whoever shows the table.
            if let Some(address) = after.address.filter(|_| before.is_none_or(|view| view.address != after.address)) {
                tracing::info!(host, "the address of the backend is {address}");
            }
            Arc::make_mut(table).insert(host, after);
        }
        modified
    });
}

/// What is known after one more answer.
fn next(before: Option<&NameView>, answer: Answer) -> NameView {
    let current = before.and_then(|view| view.address);
    let found: Vec<IpAddr> = match answer {
        Ok(found) => found.into_iter().filter(is_a_hosts).collect(),
        Err(error) => return NameView { address: current, error: Some(error) },
    };
    match current.filter(|current| found.contains(current)).or(found.first().copied()) {
        None => NameView { address: current, error: Some("the name has no address".to_owned()) },
        address => NameView { address, error: None },
    }
}

fn is_a_hosts(address: &IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
