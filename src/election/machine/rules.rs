//! The protocol's times, and (in tests) a switch for each rule, so that the simulation can be seen to notice a node
//! that breaks it.

use std::time::Duration;

/// Between two rounds of probes.
pub(super) const ROUND_EVERY: Duration = Duration::from_millis(5);
/// A round is judged after this. A kernel answers within 3 ms whatever its userland does.
pub(super) const ANSWER_WAIT: Duration = Duration::from_millis(10);
/// Silent rounds before a claim where nearly all references answer: with a tenth of the questions or answers lost,
/// twelve of twelve are lost once in 10^12.
pub(super) const SILENT_ROUNDS: u32 = 12;
/// The same where answers of references are lost (at a loss of 30 % each way 40 of 40 are lost once in 10^11), or where
/// there are none to compare with.
pub(super) const SILENT_ROUNDS_LOSSY: u32 = 40;
/// How long [`SILENT_ROUNDS`] take,
pub(super) const PROBE_TIME: Duration = Duration::from_millis(65);
/// and [`SILENT_ROUNDS_LOSSY`].
pub(super) const PROBE_TIME_LOSSY: Duration = Duration::from_millis(205);
/// A peer whose host says that nobody listens there any more, and that is not heard for this long after, is dead: its
/// agent has ended. The wire is asked meanwhile, as before every claim, so a lie of the network moves nothing.
pub(super) const HINTED_DEAD: Duration = PROBE_TIME;
/// The last probes before a claim are worth something for this long.
pub(super) const TICKET_FOR: Duration = Duration::from_millis(25);
/// A node that hears no reference asks them this often.
pub(super) const HUNT_EVERY: Duration = Duration::from_millis(20);
/// References are asked this often where nothing is going on,
pub(super) const REFERENCES_EVERY: Duration = Duration::from_secs(1);
/// and this often by an owner, or where they did not answer the last time.
pub(super) const REFERENCES_CLOSELY: Duration = Duration::from_millis(250);
/// A reference that has answered within this is expected to answer.
pub(super) const REFERENCE_MEMORY: Duration = Duration::from_secs(60);
/// A learned reference that does not answer is forgotten after this.
pub(super) const LEARNED_FOR: Duration = Duration::from_secs(10);
/// No answer of a reference that once answered, nor any packet, for this long: the device is taken for broken.
pub(super) const BLIND_AFTER: Duration = Duration::from_secs(2);
/// The same for an owner that receives no packet at all.
pub(super) const DEAF_AFTER: Duration = Duration::from_millis(500);
/// An owner asks for its own addresses this often,
pub(super) const AUDIT_EVERY: Duration = Duration::from_secs(1);
/// and this often while a node of the Vip is not heard.
pub(super) const AUDIT_CLOSELY: Duration = Duration::from_millis(20);
/// A Backup asks for the owner's addresses this often.
pub(super) const AUDIT_OTHERS: Duration = Duration::from_millis(250);
/// No more than one question in this time and device, over all Vips.
pub(super) const AUDIT_LOAD: Duration = Duration::from_millis(2);
/// A Backup that sees silence for this long says so,
pub(super) const SILENCE_AFTER: Duration = Duration::from_secs(2);
/// if it has asked this often.
pub(super) const SILENT_AUDITS: u32 = 8;
/// A node that yielded because nobody saw its answers does not want the Vip back for this long, and one that was
/// yielded to keeps it as long.
pub(super) const YIELD_FOR: Duration = Duration::from_secs(60);
/// A claim makes way for that of a more preferred node, and begins again after this.
pub(super) const MAKE_WAY: Duration = Duration::from_millis(80);
/// The same where the other is not known, if it comes first: by then its claim, if it makes one, can be seen.
pub(super) const MAKE_WAY_LONG: Duration = Duration::from_millis(380);
/// Unknown hosts that probe delay a claim this often.
pub(super) const MAKE_WAY_TIMES: u32 = 6;
/// After an answer of a host that is no peer, the address is probed anew this often.
pub(super) const FOREIGN_EVERY: Duration = Duration::from_secs(1);
/// Silent rounds after which such a host is taken to have gone.
pub(super) const FOREIGN_GONE: u32 = 3;
/// Answers of an unfenced peer's kernel delay a claim until the peer has been silent for this long: addresses have a
/// lifetime of one second, which the kernel ends up to a quarter late.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_millis(1300);
/// A frame from the Vip of a peer that cannot be asked forbids a claim for this long. A live owner announces each
/// second.
pub(super) const HEARD_HAVING_FOR: Duration = Duration::from_millis(1500);
/// Of two owners that see each other's answers but not each other's heartbeats, the preferred one insists this long.
pub(super) const INSIST: Duration = Duration::from_millis(500);
/// A sight of another owner counts for this long.
pub(super) const SIGHT_FOR: Duration = Duration::from_millis(100);
/// A claim without proof is proven by this much of answered references, or of being heard by a Backup.
pub(super) const PROVEN_AFTER: Duration = Duration::from_millis(500);
/// The loser of a conflict says so for this long.
pub(super) const LOST_FOR: Duration = Duration::from_millis(500);
/// An owner announces this often while a node of the Vip is not heard.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);
/// How long a node remembers that a peer vanished,
pub(super) const VANISHED_FOR: Duration = Duration::from_secs(600);
/// and how often the wait for its failback is doubled at most.
pub(super) const DAMPING_DOUBLINGS: u32 = 6;
/// A wall clock that moves by more than this against the monotonic one has been stepped.
pub(super) const CLOCK_STEP: Duration = Duration::from_secs(1);
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
/// An offer can be taken this long after the heir has asked,
pub(super) const OFFER_TICKET_FOR: Duration = Duration::from_millis(100);
/// so that after this nobody can take it any more.
pub(super) const WITHDRAWN_FOR: Duration = Duration::from_millis(130);
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
/// A claim that is about to be made for longer than this holds nobody back any more.
pub(super) const DETER_FOR: Duration = Duration::from_millis(800);

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
    /// An owner that hears a preferred one which does not hear it leaves, whatever the epochs.
    UnheardYields,
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
    /// A new agent whose kernel cannot fence gives up what it found on its devices when another host answers for it.
    StartYields,
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
    /// An heir that has seen the addresses answered by a node that it does not hear neither asks for them nor takes them on
    /// an offer's word.
    OfferIsNoProof,
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
