//! The fewest connections in proportion to the weight. Equals take turns, or an idle pool would use its first backend
//! alone.

use super::{Algorithm, Ask, Member};

pub(super) struct LeastConn {
    /// The position that wins among equals.
    first: usize,
}

impl LeastConn {
    pub(super) fn new(seed: u64) -> Self {
        Self { first: usize::try_from(seed).unwrap_or(0) }
    }
}

impl Algorithm for LeastConn {
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        let count = members.len();
        let start = self.first % count;
        let in_turn = (start..count).chain(0..start).filter(|p| ask.allows(&members[*p]));
        let choice = in_turn.min_by(|a, b| compare(&members[*a], &members[*b], ask))?;
        self.first = choice + 1;
        Some(choice)
    }
}

/// By the load that each would have with one more, per weight; without division, so nothing is rounded.
fn compare(a: &Member, b: &Member, ask: &Ask<'_>) -> std::cmp::Ordering {
    let scaled = |one: &Member, other: &Member| (ask.load(one) + 1) * u64::from(other.weight);
    scaled(a, b).cmp(&scaled(b, a))
}
