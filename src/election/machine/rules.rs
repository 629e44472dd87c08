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

/// A rule that a test may switch off. What it says in the negative is what happens without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::election) enum Rule {
    /// A claim follows silent probes.
    SilentProbes,
    /// Silence counts only beside answered references; without: twelve silent rounds always suffice.
    References,
    /// Where many references' answers are lost, more silent rounds are needed; without: twelve suffice.
    LossNeedsMore,
    /// Where references once answered and none does, nothing is claimed; without: such a node claims, unverified.
    BlindWaits,
    /// Whoever asks for a Vip is a reference from then on, so that a live client ends a node's blindness.
    LearnsReferences,
    /// A probe of a more preferred node cancels a claim.
    TwoProbers,
    /// A frame from the Vip of a peer that cannot be asked itself forbids the claim.
    HeardHaving,
    /// The lease is granted only on the ticket of the last probes; without: tickets last for an hour.
    CheckThenAct,
    /// Answers of a fenced peer's kernel delay a claim without limit; without: like those of an unfenced one.
    FencedBlocks,
    /// The answers of an unfenced peer's kernel delay a claim only for so long.
    AnswerPatience,
    /// A host that is no peer is left alone.
    ForeignRespected,
    /// Of two owners the one with the lower epoch leaves.
    ConflictEnds,
    /// A new owner's epoch is higher than any that was heard.
    EpochGrows,
    /// A new owner's epoch is higher than any that an earlier process of this node knew.
    EpochRemembered,
    /// An owner asks the wire for its own Vip, and leaves or insists when somebody answers.
    OwnerAudits,
    /// A claim without proof loses to a proven one whatever the epochs, and stops no proven claim.
    UnverifiedLoses,
    /// An owner that hears nothing at all on the Vip's device gives up.
    DeafLeaves,
    /// An owner yields to a Backup that hears others on the segment, but never the owner's answers.
    SilentOwnerYields,
    /// A lost lease ends ownership at once, and the start rule decides anew.
    LostLeaseLeaves,
    /// A machine that slept starts anew.
    JumpStartsAnew,
    /// After a step of the wall clock, earlier echoes prove nothing.
    FreshNonces,
    /// An agent whose parts make no progress yields.
    UnfitYields,
    /// The nodes after the first wait for it, but not for ever.
    DeferEnds,
    /// A node that has just started comes after those that have settled.
    UnsettledLast,
    /// The winner of a heal announces, and an owner while somebody cannot tell it of a conflict.
    AnnounceAfterHeal,
    /// The loser of a conflict says so for a while, and the owner announces on it.
    LostIsSaid,
    /// An agent that was stopped gives the others time to be heard again.
    ForgiveSleep,
    /// An heir waits until the old owner has let go.
    WaitForRelease,
    /// An owner that released and is not succeeded takes back.
    TakeBack,
    /// Also one that leaves takes back, as long as its agent runs.
    LastResort,
    /// An heir takes an offer only on a ticket that is younger than its own question; without: whenever it hears one.
    OfferExpires,
    /// An owner that takes back waits until its last offer cannot be taken any more.
    WithdrawnOfferWaits,
    /// An open offer to another node occupies the Vip.
    OfferOccupies,
    /// Only a mutual, equal, preferred peer is handed the addresses.
    Entitled,
    /// Each time a node vanishes, its failback waits longer.
    Damping,
    /// The Vip's own device is a heartbeat path.
    FrontPath,
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
