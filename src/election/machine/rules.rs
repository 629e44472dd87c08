//! The protocol's times, and (in tests) a switch for each rule, so that the simulation can be seen to notice a node
//! that breaks it.

use std::time::Duration;

/// Between two probes of one address.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(20);
/// Probes that must stay unanswered before a claim. A kernel answers within 3 ms whatever userland does (KERNEL.md §2).
pub(super) const SILENT_PROBES: u32 = 3;
/// How long the probes before a claim take; also how long a claim is announced (`claiming`) before it is made.
pub(super) const PROBE_TIME: Duration = Duration::from_millis(60);
/// Probing begins at most this long before the owner's dead timer ends.
pub(super) const PROBE_LEAD: Duration = Duration::from_millis(150);
/// After an answer of a host that is no peer, the address is probed anew this often.
pub(super) const FOREIGN_EVERY: Duration = Duration::from_secs(1);
/// How long a claim waits while a peer's kernel answers that does not say it holds the address. Without a fence the
/// kernel of a dead agent answers for ever.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// A node that is not first in line leaves the ones before it this long,
pub(super) const DEFER: Duration = Duration::from_millis(200);
/// and this long more for each of them.
pub(super) const DEFER_STEP: Duration = Duration::from_millis(100);
/// Added to the longest dead time of the other nodes before a new agent takes them for dead.
pub(super) const START_SLACK: Duration = Duration::from_millis(50);
/// A new agent that holds addresses leaves Initialize at the latest this long after it could have.
pub(super) const START_LIMIT: Duration = Duration::from_secs(1);
/// An offer to take over stands this long after the addresses have left.
pub(super) const OFFER_FOR: Duration = Duration::from_millis(300);
/// A handover whose addresses do not leave is called off after this.
pub(super) const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// A peer that was offered a Vip and did not take it is not offered it again for this long, doubled each time,
pub(super) const REFUSE_FOR: Duration = Duration::from_secs(10);
/// up to this.
pub(super) const REFUSE_LIMIT: Duration = Duration::from_secs(600);
/// An Active node whose addresses are not on its device for this long counts as not eligible,
pub(super) const HOLD_PATIENCE: Duration = Duration::from_secs(1);
/// and goes on to count so for this long, unless the Vip or its device changes.
pub(super) const CANNOT_HOLD_FOR: Duration = Duration::from_secs(600);
/// A claim that has been announced for longer than this holds nobody back any more.
pub(super) const DETER_FOR: Duration = Duration::from_millis(1500);

/// A rule that a test may switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::election) enum Rule {
    /// A claim follows silent probes.
    SilentProbes,
    /// Of two owners the one with the lower epoch leaves.
    ConflictEnds,
    /// A new owner's epoch is higher than any that was heard.
    EpochGrows,
    /// An heir waits until the old owner has let go.
    WaitForRelease,
    /// An owner that released and is not succeeded takes back.
    TakeBack,
    /// The nodes after the first wait for it, but not for ever.
    DeferEnds,
    /// A host that is no peer is left alone.
    ForeignRespected,
    /// Only a mutual, equal, preferred peer is handed the addresses.
    Entitled,
    /// The winner of a heal announces.
    AnnounceAfterHeal,
    /// An agent that was stopped gives the others time to be heard again.
    ForgiveSleep,
    /// A peer's kernel that answers delays a claim only for so long.
    AnswerPatience,
}

/// Which rules hold: all of them, outside tests.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::election) struct Rules {
    #[cfg(test)]
    off: Option<Rule>,
}

impl Rules {
    /// All but `rule`.
    #[cfg(test)]
    pub(in crate::election) fn without(rule: Rule) -> Self {
        Self { off: Some(rule) }
    }

    #[cfg(test)]
    pub(super) fn hold(self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "in tests it depends on self")]
    pub(super) fn hold(self, _: Rule) -> bool {
        true
    }
}
