//! Power of two choices: two members are drawn in proportion to their weights, and the less loaded one gets the
//! request. Nearly as even as `leastconn`, and it does not send a herd to one backend when many balancers or workers
//! decide by figures that are a moment old.

use super::{Algorithm, Ask, Member, hash};
use std::cmp::Ordering;

pub(super) struct Random {
    /// By position: the sum of the weights up to and with this one.
    cumulated: Vec<u64>,
    state: u64,
}

impl Random {
    pub(super) fn new(members: &[Member], seed: u64) -> Self {
        Self { cumulated: cumulated(members), state: seed }
    }

    /// SplitMix64: enough to spread load, no secret.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash::mix(self.state)
    }

    fn draw(&mut self) -> usize {
        let total = self.cumulated.last().copied().unwrap_or(1);
        let ticket = self.next() % total;
        self.cumulated.partition_point(|sum| *sum <= ticket)
    }
}

impl Algorithm for Random {
    fn reweigh(&mut self, members: &[Member]) {
        self.cumulated = cumulated(members);
    }

    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        let drawn = [self.draw(), self.draw()];
        let allowed = drawn.into_iter().filter(|p| ask.allows(&members[*p]));
        allowed.min_by(|a, b| compare(&members[*a], &members[*b], ask)).or_else(|| {
            // Both were tried before: the first that was not, from a random place on.
            let (count, start) = (members.len(), self.draw());
            (start..count).chain(0..start).find(|p| ask.allows(&members[*p]))
        })
    }
}

fn cumulated(members: &[Member]) -> Vec<u64> {
    let sums = members.iter().scan(0, |sum, member| {
        *sum += u64::from(member.weight);
        Some(*sum)
    });
    sums.collect()
}

/// By load per weight. Equals are left in the order of the draw, which has done justice to the weights already.
fn compare(a: &Member, b: &Member, ask: &Ask<'_>) -> Ordering {
    (ask.load(a) * u64::from(b.weight)).cmp(&(ask.load(b) * u64::from(a.weight)))
}
