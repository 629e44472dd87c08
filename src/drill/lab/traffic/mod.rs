//! Clients: fresh connections at a steady pace, and connections that stay.
//!
//! For each Vip a new connection is made each [`PACE`], given up after [`GIVE_UP`]; they take turns over the Vip's
//! [`Target`]s. Beside them [`STAYING`] connections per Vip are kept and used each [`BEAT`]: they are what a move of the
//! address may break. Starts are on absolute times, so a slow answer does not thin out the traffic that is to see it.
//!
//! One thread in the clients' namespace does it all; at most `GIVE_UP` over the pace attempts per Vip are open at a time.

mod exchange;
pub mod record;

use super::{LabError, clock::now, targets::Target};
use crate::{kernel::netns::NetNs, model::Name};
use record::{Attempt, Broken, Record};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::{MissedTickBehavior, interval, timeout},
};

/// From the start of one fresh connection to the start of the next, per Vip.
pub const PACE: Duration = Duration::from_millis(10);
/// After which an attempt has failed.
pub const GIVE_UP: Duration = Duration::from_millis(200);
/// Long-lived connections per Vip.
pub const STAYING: usize = 10;
/// From one request of a long-lived connection to its next.
pub const BEAT: Duration = Duration::from_millis(50);
/// After which a request of a long-lived connection shows that it is broken: a few retransmissions.
pub const HUNG: Duration = Duration::from_secs(2);

/// Clients at work. Dropping it ends them.
pub struct Traffic {
    targets: BTreeMap<Name, Vec<Target>>,
    record: Arc<Mutex<Record>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    /// Starts clients in `namespace` for every Vip of `targets`.
    pub fn start(namespace: &NetNs, targets: BTreeMap<Name, Vec<Target>>) -> Result<Self, LabError> {
        Self::start_with(namespace, targets, PACE, STAYING)
    }

    /// The same with nothing but fresh connections, one each `pace` (at least 1 ms) per Vip: a finer ruler.
    pub fn start_fresh(
        namespace: &NetNs,
        targets: BTreeMap<Name, Vec<Target>>,
        pace: Duration,
    ) -> Result<Self, LabError> {
        Self::start_with(namespace, targets, pace, 0)
    }

    fn start_with(
        namespace: &NetNs,
        targets: BTreeMap<Name, Vec<Target>>,
        pace: Duration,
        staying: usize,
    ) -> Result<Self, LabError> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::sync_channel(1);
        let record = Arc::new(Mutex::new(Record::default()));
        let (namespace, asked) = (namespace.clone(), targets.clone());
        let work = Work { namespace, targets: asked, pace, staying, record: record.clone() };
        let thread = std::thread::Builder::new().name("clients".into()).spawn(move || run(work, &ready, stopped));
        let thread = thread.map_err(LabError::on("start a thread"))?;
        let started = started.recv().unwrap_or_else(|_| Err(io::Error::other("the clients' thread ended")));
        started.map_err(LabError::on("start the clients"))?;
        Ok(Self { targets, record, stop: Some(stop), thread: Some(thread) })
    }

    /// What has happened so far. Holding it stops the clients: look, and let go.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// The addresses that clients ask of `vip`.
    pub fn addresses(&self, vip: &Name) -> BTreeSet<SocketAddr> {
        self.targets.get(vip).into_iter().flatten().map(|target| target.address).collect()
    }

    /// The Vips that are asked.
    pub fn vips(&self) -> impl Iterator<Item = &Name> {
        self.targets.keys()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    namespace: NetNs,
    targets: BTreeMap<Name, Vec<Target>>,
    pace: Duration,
    staying: usize,
    record: Arc<Mutex<Record>>,
}

fn run(work: Work, ready: &mpsc::SyncSender<io::Result<()>>, stopped: oneshot::Receiver<()>) {
    let Work { namespace, targets, pace, staying, record } = work;
    let runtime = namespace.enter().and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
    match runtime {
        Err(error) => drop(ready.send(Err(error))),
        Ok(runtime) => runtime.block_on(async {
            let _ = ready.send(Ok(()));
            for (vip, targets) in targets.into_iter().filter(|(_, targets)| !targets.is_empty()) {
                for number in 0..staying {
                    let target = targets[number % targets.len()].clone();
                    tokio::spawn(stay(vip.clone(), target, record.clone()));
                }
                tokio::spawn(begin(vip, targets, pace, record.clone()));
            }
            let _ = stopped.await;
        }),
    }
}

/// A fresh connection each `pace`.
async fn begin(vip: Name, targets: Vec<Target>, pace: Duration, record: Arc<Mutex<Record>>) {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0u64.. {
        ticks.tick().await;
        let target = targets[number as usize % targets.len()].clone();
        let (vip, record) = (vip.clone(), record.clone());
        tokio::spawn(async move {
            let (started, address) = (now(), target.address);
            let (result, cut, silent) = attempt(&target, number).await;
            let attempt = Attempt { vip, address, started, ended: now(), result, cut };
            let index = lock(&record).add(attempt);
            // It has failed, whatever is found out now.
            if let Some(stream) = silent
                && is_gone(stream).await
            {
                lock(&record).attempts[index].cut = true;
            }
        });
    }
}

/// The server that answered well or what went wrong, whether it was that an established connection was cut, and the
/// connection if it was there and nobody knows yet whether it still is.
async fn attempt(target: &Target, number: u64) -> (Result<String, String>, bool, Option<TcpStream>) {
    let mut connected = None;
    let exchange = async {
        // A reset at this point, too, ends a connection that was there: one that never was would be refused.
        let stream = connected.insert(connect(target).await?);
        exchange::ask(stream, &target.ask, number, false).await
    };
    let result = timeout(GIVE_UP, exchange).await;
    match (result, connected) {
        (Ok(Ok(answer)), _) => (Ok(answer.server), false, None),
        (Ok(Err(error)), _) => (Err(error.to_string()), error.is_cut(), None),
        (Err(_), None) => (Err(format!("no connection within {} ms", GIVE_UP.as_millis())), false, None),
        (Err(_), silent) => (Err(format!("no answer within {} ms", GIVE_UP.as_millis())), false, silent),
    }
}

/// Whether nobody has the other end of a silent connection any more: then its kernel answers with a reset. Whatever else
/// comes, or nothing, means that the connection is there and its request was left lying.
///
/// A balancer that gave its address away between request and answer cannot say so, and the client, whose request has been
/// acknowledged, sends nothing that the new owner could reset: so one more byte is sent.
async fn is_gone(mut stream: TcpStream) -> bool {
    let heard = async {
        stream.write_all(b"\n").await?;
        stream.read(&mut [0]).await
    };
    let heard = timeout(HUNG - GIVE_UP, heard).await;
    heard.is_ok_and(|heard| heard.is_err_and(|error| exchange::AskError::from(error).is_cut()))
}

/// A connection that is kept, and made anew when it breaks.
async fn stay(vip: Name, target: Target, record: Arc<Mutex<Record>>) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0u64.. {
        ticks.tick().await;
        let Ok(Ok(mut stream)) = timeout(GIVE_UP, connect(&target)).await else { continue };
        let why = loop {
            match timeout(HUNG, exchange::ask(&mut stream, &target.ask, number, true)).await {
                Ok(Ok(answer)) if answer.last => break None,
                Ok(Ok(_)) => {}
                // A bad answer over a good connection is a failed request, and fresh connections count those.
                Ok(Err(error)) if error.is_answer() => {}
                Ok(Err(error)) => break Some(error.to_string()),
                Err(_) => break Some(format!("no answer within {} s", HUNG.as_secs())),
            }
            ticks.tick().await;
        };
        if let Some(why) = why {
            let broken = Broken { vip: vip.clone(), at: now(), why };
            lock(&record).broken.push(broken);
        }
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(target: &Target) -> Result<TcpStream, exchange::AskError> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::lab::targets::Ask;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_reset_before_the_client_knows_of_its_connection_is_a_cut() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target { address: listener.local_addr().unwrap(), ask: Ask::Line };
        // On loopback the connection is there when `connect` returns, which is before the client first waits.
        let reset = async {
            let (stream, _) = listener.accept().unwrap();
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        };
        let ((result, cut, _), ()) = runtime().block_on(async { tokio::join!(biased; attempt(&target, 1), reset) });
        assert_eq!((result, cut), (Err("connection reset".to_owned()), true));
    }

    #[test]
    fn a_refused_connection_is_a_failure_and_no_cut() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target { address: listener.local_addr().unwrap(), ask: Ask::Line };
        drop(listener);
        let (result, cut, _) = runtime().block_on(attempt(&target, 1));
        assert_eq!((result, cut), (Err("connection refused".to_owned()), false));
    }

    /// Takes a connection on `listener`, reads its request, and is silent for longer than the client waits.
    async fn leave_silent(listener: tokio::net::TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        stream
    }

    async fn silent_attempt() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target { address: listener.local_addr().unwrap(), ask: Ask::Line };
        let ((result, cut, silent), server) = tokio::join!(attempt(&target, 1), leave_silent(listener));
        assert_eq!((result, cut), (Err("no answer within 200 ms".to_owned()), false));
        (silent.unwrap(), server)
    }

    #[test]
    fn a_silent_connection_that_nobody_has_any_more_is_gone() {
        runtime().block_on(async {
            let (client, server) = silent_attempt().await;
            socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
            drop(server);
            assert!(is_gone(client).await);
        });
    }

    #[test]
    fn a_silent_connection_that_somebody_has_or_that_answers_late_is_there() {
        runtime().block_on(async {
            let (client, server) = silent_attempt().await;
            assert!(!is_gone(client).await);
            drop(server);
            let (client, mut server) = silent_attempt().await;
            server.write_all(b"late").await.unwrap();
            drop(server);
            assert!(!is_gone(client).await);
        });
    }
}
