//! What is watched from outside during a run: clients with a fresh connection each [`PACE`], and the auditor.

use super::{
    audit::Audit,
    common::Failure,
    ground::{FAR_CLIENTS, vip},
    pair::PAIR,
    rig::Rig,
    wire::{Post, front_mac},
};
use lbagent::{
    drill::lab::{
        answers::Answers,
        clock::{now, wait_until},
        targets::{Ask, Target},
        topology::HostRole,
        traffic::{
            GIVE_UP, Traffic,
            record::{Attempt, Summary},
        },
    },
    model::{Mac, Name},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::MutexGuard,
    time::{Duration, Instant},
};

/// From one fresh connection to the next: the grain of every figure about requests.
const PACE: Duration = Duration::from_millis(5);
/// All must have been well for so long before a run begins.
const QUIET: Duration = Duration::from_millis(300);

/// Observers of one run.
pub(crate) struct Watch {
    audit: Audit,
    macs: BTreeMap<&'static str, Mac>,
    /// One on each side, where the front can be split.
    clients: Vec<Traffic>,
    vip: Name,
}

impl Watch {
    /// Everyone begins to ask.
    pub(crate) fn start(rig: &Rig) -> Result<Self, Failure> {
        let ask =
            Ask::Http { host: "www.example.com".into(), path: "/".into(), fields: String::new(), redirects: false };
        let name = Name::new("web")?;
        let targets = BTreeMap::from([(name.clone(), vec![Target { address: SocketAddr::new(vip(0), 80), ask }])]);
        let mut clients = Vec::new();
        for host in ["clients", FAR_CLIENTS].into_iter().take(1 + usize::from(rig.setup.splits)) {
            let host = rig.lab.host(HostRole::Clients, host)?;
            clients.push(Traffic::start_fresh(host.namespace(), targets.clone(), PACE)?);
        }
        let macs = PAIR.map(|node| Ok::<_, Failure>((node, front_mac(&rig.lab, node)?)));
        let macs = macs.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { macs, audit: Audit::start(Post::of(&rig.lab)?, vip(0))?, clients, vip: name })
    }

    /// Who answered for the address. Holding it stops the auditor: look, and let go.
    pub(crate) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.audit.answers()
    }

    /// Announcements between the two moments: those of `node`, and all.
    pub(crate) fn announcements(&self, node: &str, from: Instant, to: Instant) -> Result<[usize; 2], Failure> {
        let mac = self.macs.get(node).ok_or_else(|| format!("{node} is no balancer"))?;
        Ok(self.answers().announcements(*mac, from, to))
    }

    /// Whether for a while `node` alone has answered, and has served every client.
    pub(crate) fn is_quiet(&self, node: &str) -> bool {
        let since = now() - QUIET;
        let served = |clients: &Traffic| {
            let record = clients.record();
            let mut recent = record.attempts.iter().filter(|attempt| attempt.started >= since).peekable();
            recent.peek().is_some() && recent.all(|attempt| attempt.result.as_deref() == Ok(node))
        };
        let owns = self.macs.get(node).is_some_and(|mac| self.answers().is_sole_owner(*mac, since, now()));
        owns && self.clients.iter().all(served)
    }

    /// How long after `since` the first good answer was complete among those to requests begun at `asked` or later: by
    /// `node`, or by anyone. Waits at most `limit`.
    pub(crate) fn served(
        &self,
        node: Option<&str>,
        since: Instant,
        asked: Instant,
        limit: Duration,
    ) -> Option<Duration> {
        let good = |attempt: &&Attempt| {
            let by = attempt.result.as_deref().ok();
            attempt.started >= asked && by.is_some() && node.is_none_or(|node| by == Some(node))
        };
        let first = || self.clients[0].record().attempts.iter().filter(good).map(|attempt| attempt.ended).min();
        let mut found = None;
        wait_until(limit, || {
            found = first();
            found.is_some()
        });
        found.map(|at| at.saturating_duration_since(since))
    }

    /// How many of the clients' hosts got a good answer since `since`.
    pub(crate) fn sides_served(&self, since: Instant) -> usize {
        let good = |attempt: &Attempt| attempt.started >= since && attempt.result.is_ok();
        self.clients.iter().filter(|clients| clients.record().attempts.iter().any(good)).count()
    }

    /// What the (first) clients saw between the two moments; all attempts begun in between must have ended.
    pub(crate) fn seen(&self, from: Instant, to: Instant) -> Summary {
        self.clients[0].record().summary(&self.vip, from, to)
    }

    /// When the last request began that failed, of any client; those of the last [`GIVE_UP`] may still be open.
    pub(crate) fn last_failure(&self, from: Instant, to: Instant) -> Option<Instant> {
        self.clients.iter().filter_map(|clients| clients.record().last_failure(&self.vip, from, to)).max()
    }

    /// Waits until every attempt begun by now has ended.
    pub(crate) fn let_requests_end(&self) {
        std::thread::sleep(GIVE_UP + Duration::from_millis(50));
    }
}
