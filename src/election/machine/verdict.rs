//! What the rounds of a [segment](super::segment) prove.

use super::{
    rules::{
        ANSWER_WAIT, PROBE_TIME, PROBE_TIME_LOSSY, REFERENCE_MEMORY, Rule, Rules, SILENT_ROUNDS, SILENT_ROUNDS_LOSSY,
    },
    segment::{Question, Reference, Round, Segment, Verdict},
};
use crate::model::Name;
use std::time::{Duration, Instant};

impl Segment {
    /// What the rounds say.
    pub(super) fn judge(&self, now: Instant, question: Question, rules: Rules) -> Verdict {
        let silent = self.rounds_of(question).filter(|round| now >= round.at + ANSWER_WAIT).count() as u32;
        if !rules.hold(Rule::References) {
            return if silent >= SILENT_ROUNDS { Verdict::Silent { verified: true } } else { Verdict::Wait };
        }
        if !self.ever_answered(question) {
            return if silent >= SILENT_ROUNDS_LOSSY { Verdict::Silent { verified: false } } else { Verdict::Wait };
        }
        let few = self.share(now, question, SILENT_ROUNDS);
        let most = if rules.hold(Rule::LossNeedsMore) { 0.9 } else { 0.25 };
        if silent >= SILENT_ROUNDS && few >= most {
            return Verdict::Silent { verified: true };
        }
        let many = self.share(now, question, SILENT_ROUNDS_LOSSY);
        match silent {
            SILENT_ROUNDS_LOSSY.. if many >= 0.25 => Verdict::Silent { verified: true },
            SILENT_ROUNDS_LOSSY.. if !rules.hold(Rule::BlindWaits) => Verdict::Silent { verified: false },
            SILENT_ROUNDS_LOSSY.. => Verdict::Blind,
            SILENT_ROUNDS.. if many == 0.0 && rules.hold(Rule::BlindWaits) => Verdict::Blind,
            _ => Verdict::Wait,
        }
    }

    /// Rounds sent so far that count, and how many are needed at least.
    pub(super) fn progress(&self, question: Question) -> (u32, u32) {
        let needed = if self.ever_answered(question) { SILENT_ROUNDS } else { SILENT_ROUNDS_LOSSY };
        (self.rounds_of(question).count() as u32, needed)
    }

    /// How long a claim's probes take here, as far as can be known before.
    pub(super) fn probe_time(&self, now: Instant, suspects: &[&Name]) -> Duration {
        let question = Question { from: now, answered_at: None, suspects };
        if self.expected(now, question) == 0 { PROBE_TIME_LOSSY } else { PROBE_TIME }
    }

    fn rounds_of(&self, question: Question) -> impl Iterator<Item = &Round> {
        let counts = move |round: &&Round| round.at >= question.from && Some(round.at) > question.answered_at;
        self.rounds.iter().rev().take_while(counts)
    }

    /// The bits of those that should answer. A suspect's own address need not, but if it does it is as good as any.
    fn expected(&self, now: Instant, question: Question) -> u16 {
        let counts = |known: &&Reference| match known.answered_at {
            Some(at) if known.is_one_of(question.suspects) => at >= question.from,
            Some(at) => now < at + REFERENCE_MEMORY,
            None => false,
        };
        self.references.values().filter(counts).map(|known| known.bit).sum()
    }

    /// There is somebody who should answer.
    pub(super) fn ever_answered(&self, question: Question) -> bool {
        let counts = |known: &Reference| match known.answered_at {
            Some(at) => !known.is_one_of(question.suspects) || at >= question.from,
            None => false,
        };
        self.references.values().any(counts)
    }

    /// The part of the questions to references that was answered in the last `count` judged rounds.
    fn share(&self, now: Instant, question: Question, count: u32) -> f64 {
        let expected = self.expected(now, question);
        let judged = self.rounds_of(question).filter(|round| now >= round.at + ANSWER_WAIT).take(count as usize);
        let (asked, answered) = judged.fold((0, 0), |(asked, answered), round| {
            (asked + (round.asked & expected).count_ones(), answered + (round.answered & expected).count_ones())
        });
        if asked == 0 { 0.0 } else { f64::from(answered) / f64::from(asked) }
    }
}
