//! Who answered for an address on the wire, question by question, and what follows from it. Pure: times come in as values.

use crate::model::Mac;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Only after so long without an answer, while another answered, does an answer count as a move: shorter silences are
/// lost frames.
const GONE: Duration = Duration::from_millis(100);

/// Everything so far.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    rounds: Vec<Round>,
    announcements: Vec<(Instant, Mac)>,
}

#[derive(Debug, Clone)]
struct Round {
    asked: Instant,
    by: BTreeSet<Mac>,
}

impl Answers {
    /// Adds a question, which comes after those before it, and all who answered it.
    pub fn add(&mut self, asked: Instant, by: BTreeSet<Mac>) {
        self.rounds.push(Round { asked, by });
    }

    /// Adds a frame in which `by` told everyone unasked that it has the address.
    pub fn add_announcement(&mut self, at: Instant, by: Mac) {
        self.announcements.push((at, by));
    }

    /// All who answered between the two moments.
    pub fn owners(&self, from: Instant, to: Instant) -> BTreeSet<Mac> {
        self.between(from, to).flat_map(|round| round.by.iter().copied()).collect()
    }

    /// Whether `owner` alone answered every question between the two moments, and there was one.
    pub fn is_sole_owner(&self, owner: Mac, from: Instant, to: Instant) -> bool {
        let mut rounds = self.between(from, to).peekable();
        rounds.peek().is_some() && rounds.all(|round| round.by.iter().eq([&owner]))
    }

    /// When the first question was asked, at `since` or later, that was answered.
    pub fn first_answer(&self, since: Instant) -> Option<Instant> {
        self.rounds.iter().find(|round| round.asked >= since && !round.by.is_empty()).map(|round| round.asked)
    }

    /// How long between the two moments more than one answered: from each such question to the next question.
    pub fn both(&self, from: Instant, to: Instant) -> Duration {
        let mut both = Duration::ZERO;
        let mut rounds = self.between(from, to).peekable();
        while let Some(round) = rounds.next() {
            let next = rounds.peek().map_or(to, |next| next.asked);
            both += if round.by.len() > 1 { next - round.asked } else { Duration::ZERO };
        }
        both
    }

    /// When the last question between the two moments was asked that not exactly one answered.
    pub fn last_unclear(&self, from: Instant, to: Instant) -> Option<Instant> {
        self.between(from, to).filter(|round| round.by.len() != 1).map(|round| round.asked).last()
    }

    /// How often between the two moments someone began to answer after another had; a silence is no move.
    pub fn moves(&self, from: Instant, to: Instant) -> usize {
        let mut last: BTreeMap<Mac, Instant> = BTreeMap::new();
        let mut moves = 0;
        for Round { asked, by } in self.between(from, to) {
            for owner in by {
                let own = last.get(owner).copied();
                let others = last.iter().filter(|(other, _)| *other != owner).map(|(_, at)| *at).max();
                let gone = own.is_none_or(|own| own + GONE < *asked);
                moves += usize::from(gone && others > own);
            }
            last.extend(by.iter().map(|owner| (*owner, *asked)));
        }
        moves
    }

    /// Announcements between the two moments: those of `node`, and all.
    pub fn announcements(&self, node: Mac, from: Instant, to: Instant) -> [usize; 2] {
        let all = || self.announcements.iter().filter(|(at, _)| (from..to).contains(at));
        [all().filter(|(_, by)| *by == node).count(), all().count()]
    }

    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(move |round| (from..to).contains(&round.asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::lab::clock;

    const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const MS: Duration = Duration::from_millis(1);

    /// A question every 10 ms; a letter for each who answered, `-` for none, spaces between questions.
    fn answers(text: &str) -> (Answers, Instant, Instant) {
        let (mut answers, start) = (Answers::default(), clock::now());
        let mut at = start;
        for word in text.split(' ') {
            let by = [('a', A), ('b', B)].into_iter().filter(|(letter, _)| word.contains(*letter));
            answers.add(at, by.map(|(_, mac)| mac).collect());
            at += 10 * MS;
        }
        (answers, start, at)
    }

    #[track_caller]
    fn assert_seen(text: &str, moves: usize, both: u32) {
        let (answers, from, to) = answers(text);
        assert_eq!((answers.moves(from, to), answers.both(from, to)), (moves, both * MS), "{text}");
    }

    #[test]
    fn a_takeover_is_a_move_and_a_silence_is_none() {
        assert_seen("a a a", 0, 0);
        assert_seen("- a a - - - - - - - - - - - - a a", 0, 0);
        assert_seen("a a - b b", 1, 0);
        assert_seen("a a - - - - - - - - - - - b b b b b b b b b b b b a", 2, 0);
    }

    #[test]
    fn two_owners_are_one_move_however_many_answers_are_lost() {
        assert_seen("a ab ab ab a", 1, 30);
        assert_seen("a ab b - a b ab - a ab", 1, 30);
        assert_seen("ab", 0, 10);
    }

    #[test]
    fn only_what_lies_between_the_moments_counts() {
        let (answers, from, to) = answers("ab a a b");
        assert_eq!(answers.both(from + MS, to), Duration::ZERO);
        assert_eq!(answers.both(from, from + 4 * MS), 4 * MS);
        assert_eq!(answers.owners(from + MS, from + 30 * MS), BTreeSet::from([A]));
        assert!(answers.is_sole_owner(A, from + MS, from + 30 * MS));
        assert!(!answers.is_sole_owner(A, from, to) && !answers.is_sole_owner(B, from + MS, from + 30 * MS));
        assert!(!answers.is_sole_owner(A, to, to + MS), "nobody asked");
    }

    #[test]
    fn what_is_unclear_is_what_not_exactly_one_answers() {
        let (answers, from, to) = answers("- a ab - b b");
        assert_eq!(answers.first_answer(from), Some(from + 10 * MS));
        assert_eq!(answers.last_unclear(from, to), Some(from + 30 * MS));
        assert_eq!(answers.last_unclear(from + 31 * MS, to), None);
    }

    #[test]
    fn announcements_are_counted_by_who_made_them() {
        let (mut answers, from, to) = answers("a");
        for (at, by) in [(from, A), (from + MS, B), (from + MS, A), (to, A)] {
            answers.add_announcement(at, by);
        }
        assert_eq!(answers.announcements(A, from, to), [2, 3]);
        assert_eq!(answers.announcements(B, from, to + MS), [1, 4]);
    }
}
