//! The state of the whole in seven conditions, each with a reason and the words for it.
//!
//! Each is judged from the finished sections of the [`Status`], so that a condition never says other than what the
//! sections show. A condition keeps its transition time for as long as its status stays.

use super::{Condition, ConditionStatus, FenceStatus, Inputs, PoolStatus, ProblemStatus, Status, VipStatus};
use std::time::Duration;

/// A loop that has not ended a pass for this long is taken for stuck: it passes at least every few seconds.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Every condition, in the order in which they are shown.
pub(super) fn judge(status: &Status, inputs: &Inputs<'_>) -> Vec<Condition> {
    let verdicts = [
        ("Ready", ready(status, inputs)),
        ("StateValid", state_valid(status)),
        ("Fenced", fenced(status)),
        ("Listening", listening(status)),
        ("PeersHeard", peers_heard(status)),
        ("VipsOwned", vips_owned(status)),
        ("PoolsServing", pools_serving(status)),
    ];
    let before = inputs.previous.map_or(&[][..], |before| &before.conditions);
    verdicts.into_iter().map(|(r#type, verdict)| condition(r#type, verdict, before, inputs)).collect()
}

/// The conditions of each Vip: `Fenced`, where this node has one of its addresses on a device.
pub(super) fn judge_vips(status: &mut Status, inputs: &Inputs<'_>) {
    let fence = &status.fence;
    for vip in status.vips.iter_mut().filter(|vip| vip.addresses.iter().any(|address| address.ours)) {
        let before = inputs.previous.and_then(|before| before.vips.iter().find(|before| before.name == vip.name));
        let before = before.map_or(&[][..], |before| &before.conditions);
        vip.conditions = vec![condition("Fenced", vip_fenced(vip, fence), before, inputs)];
    }
}

struct Verdict(ConditionStatus, &'static str, String);

fn good(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict(ConditionStatus::True, reason, message.into())
}

fn bad(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict(ConditionStatus::False, reason, message.into())
}

fn unknown(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict(ConditionStatus::Unknown, reason, message.into())
}

fn condition(
    r#type: &str,
    Verdict(status, reason, message): Verdict,
    before: &[Condition],
    inputs: &Inputs<'_>,
) -> Condition {
    let before = before.iter().find(|before| before.r#type == r#type && before.status == status);
    Condition {
        r#type: r#type.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: before.map_or(inputs.clock.now(), |before| before.last_transition_time),
    }
}

/// Whether the agent does its work, whatever it finds to work with.
fn ready(status: &Status, inputs: &Inputs<'_>) -> Verdict {
    if status.node.is_none() {
        let message = format!("no Peer is called {}; name this node with --node or add a Peer for it", inputs.node);
        return bad("NodeUnknown", message);
    }
    let Some(last) = inputs.reconcile.last_at else {
        return bad("Starting", "the first pass of the reconcile loop has not ended yet");
    };
    let age = inputs.clock.age(last);
    if age > STUCK_AFTER {
        return bad("Stuck", format!("the reconcile loop has not ended a pass for {} s", age.as_secs()));
    }
    let errors: Vec<&ProblemStatus> = status.problems.iter().filter(|problem| problem.is_error()).collect();
    match errors.first().filter(|_| status.reconcile.last_failed) {
        Some(problem) => bad("ReconcileFailed", summary(&problem.message, errors.len(), "problems")),
        None => good("Reconciled", "the machine is as it is wanted to be"),
    }
}

fn state_valid(status: &Status) -> Verdict {
    let errors: Vec<&ProblemStatus> = status.state.problems.iter().filter(|problem| problem.is_error()).collect();
    match errors.first() {
        Some(problem) => {
            let what = format!("{}{}", problem.place(), problem.message);
            bad("Invalid", summary(&what, errors.len(), "problems"))
        }
        None if status.state.objects.is_empty() => bad("Empty", format!("no objects from {}", status.state.dir)),
        None => good("Valid", format!("{} objects in force", status.state.objects.len())),
    }
}

/// What happens when the agent hangs or dies: whether the kernel takes the addresses from it.
fn fenced(status: &Status) -> Verdict {
    let fence = &status.fence;
    if !fence.enforced {
        let message = format!("a hung or killed agent would keep its addresses: {}", fence.reason);
        return bad("NotEnforced", message);
    }
    let message = "a hung or killed agent loses its addresses within a lease";
    if !fence.stalled.is_empty() {
        let stalled = fence.stalled.join(", ");
        return good("Stalled", format!("{message}; none is renewed now, because of {stalled}"));
    }
    match (&fence.meddler, fence.realtime) {
        (Some(meddler), _) => {
            good("Contested", format!("{message}; put back {} times, last after {meddler}", fence.repairs))
        }
        (None, true) => good("Enforced", message),
        (None, false) => {
            let risk = "on a busy machine a healthy one may too";
            good("NotRealtime", format!("{message}; {risk}, without real-time priority: {}", fence.not_realtime))
        }
    }
}

fn vip_fenced(vip: &VipStatus, fence: &FenceStatus) -> Verdict {
    let silent: Vec<String> =
        vip.addresses.iter().filter(|it| it.ours && !it.leased).map(|it| it.address.to_string()).collect();
    if !fence.enforced {
        return bad("NotEnforced", format!("{} would stay with a hung or killed agent: {}", vip.name, fence.reason));
    }
    match silent.is_empty() {
        true => good("Leased", "this node speaks for its addresses for as long as its agent renews the lease"),
        false => good("Silent", format!("the kernel keeps {} from speaking and being spoken to", silent.join(", "))),
    }
}

fn listening(status: &Status) -> Verdict {
    let all = status.vips.iter().flat_map(|vip| &vip.listeners);
    let closed: Vec<String> = all
        .clone()
        .filter(|listener| !listener.open)
        .map(|listener| format!("{}: {}", listener.address, listener.error.as_deref().unwrap_or("closed")))
        .collect();
    match (closed.first(), all.count()) {
        (Some(first), _) => bad("Closed", summary(first, closed.len(), "listeners")),
        (None, 0) => good("NoListeners", "no listener is wanted here"),
        (None, count) => good("Open", format!("{count} listeners open")),
    }
}

fn peers_heard(status: &Status) -> Verdict {
    let others = || status.peers.iter().filter(|peer| !peer.me);
    let silent: Vec<&str> = others().filter(|peer| !peer.heard).map(|peer| peer.name.as_str()).collect();
    let deaf: Vec<&str> = others().filter(|peer| peer.heard && !peer.hears_us).map(|peer| peer.name.as_str()).collect();
    match (silent.as_slice(), deaf.as_slice(), others().count()) {
        ([], [], 0) => good("NoPeers", "there is no other Peer"),
        ([], [], count) => good("Heard", format!("{count} of {count} peers heard")),
        ([], deaf, _) => bad("NotHeardByPeer", format!("not heard by {}", deaf.join(", "))),
        (silent, _, _) => bad("Silent", format!("nothing heard from {}", silent.join(", "))),
    }
}

fn vips_owned(status: &Status) -> Verdict {
    let mine = status.vips.iter().filter(|vip| vip.role.is_some());
    let wrong: Vec<(&'static str, String)> = mine.clone().filter_map(|vip| vip.trouble()).collect();
    if let Some((reason, message)) = wrong.first() {
        return bad(reason, summary(message, wrong.len(), "Vips"));
    }
    let waiting: Vec<&str> = mine.clone().filter(|vip| vip.is_initializing()).map(|vip| vip.name.as_str()).collect();
    match (waiting.as_slice(), mine.count()) {
        ([], 0) => good("NoVips", "no Vip names this node"),
        ([], count) => good("Owned", format!("each of {count} Vips has its owner")),
        (waiting, _) => unknown("Initializing", format!("not decided yet: {}", waiting.join(", "))),
    }
}

fn pools_serving(status: &Status) -> Verdict {
    let empty: Vec<&PoolStatus> = status.pools.iter().filter(|pool| pool.up == 0).collect();
    let degraded: Vec<&PoolStatus> = status.pools.iter().filter(|pool| pool.up < pool.total).collect();
    match (empty.first(), degraded.first()) {
        (Some(pool), _) => {
            let message = format!("no backend of {} is up ({} in all)", pool.name, pool.total);
            bad("Empty", summary(&message, empty.len(), "pools"))
        }
        (None, Some(pool)) => {
            let message = format!("{} of {} backends of {} are up", pool.up, pool.total, pool.name);
            good("Degraded", summary(&message, degraded.len(), "pools"))
        }
        (None, None) if status.pools.is_empty() => good("NoPools", "there is no pool"),
        (None, None) => good("Serving", "every backend is up"),
    }
}

impl VipStatus {
    /// The election has not decided yet.
    pub fn is_initializing(&self) -> bool {
        self.role.as_deref() == Some("Initialize")
    }

    /// This node owns it.
    pub fn is_active(&self) -> bool {
        self.role.as_deref() == Some("Active")
    }

    /// This node has addresses of it, and its kernel takes them from an agent that hangs or dies.
    pub fn is_fenced(&self) -> bool {
        self.fenced().is_some_and(Condition::is_true)
    }

    /// The condition `Fenced`, while this node has addresses of it.
    pub fn fenced(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.r#type == "Fenced")
    }

    /// What keeps it from being served, as far as this node can tell: a reason and the words.
    pub fn trouble(&self) -> Option<(&'static str, String)> {
        if let Some(foreign) = &self.foreign {
            let message = format!("{} answers from {}, which is no peer", foreign.address, foreign.mac);
            return Some(("Foreign", format!("{}: {message}", self.name)));
        }
        if !self.rivals.is_empty() {
            let message = format!("{}: Active here, and {} says the same of itself", self.name, self.rivals.join(", "));
            return Some(("TwoOwners", message));
        }
        let missing: Vec<String> =
            self.addresses.iter().filter(|address| !address.held).map(|address| address.address.to_string()).collect();
        if self.is_active() && !missing.is_empty() {
            return Some((
                "NotHeld",
                format!("{}: Active, but {} is not on any device", self.name, missing.join(", ")),
            ));
        }
        let silent: Vec<String> = self
            .addresses
            .iter()
            .filter(|address| !address.leased)
            .map(|address| address.address.to_string())
            .collect();
        if self.is_active() && self.is_fenced() && !silent.is_empty() {
            let message = format!("{}: Active, but the kernel lets nobody speak for {}", self.name, silent.join(", "));
            return Some(("NotLeased", format!("{message}: this node has no lease")));
        }
        if self.owner.is_none() && !self.is_active() && !self.is_initializing() {
            return Some(("NoOwner", format!("{} has no owner: {}", self.name, self.why)));
        }
        None
    }
}

fn summary(first: &str, count: usize, what: &str) -> String {
    if count == 1 { first.to_owned() } else { format!("{first} ({count} {what} in all)") }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
