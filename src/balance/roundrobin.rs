//! Smooth weighted round robin: in every window as long as the sum of the weights each member comes as often as its
//! weight says, and its turns lie as far apart as they can.

use super::{Algorithm, Ask, Member};

pub(super) struct RoundRobin {
    /// By position: what the member is owed. The sum is always 0.
    credit: Vec<i64>,
}

impl RoundRobin {
    /// `seed` turns are skipped, so that workers begin at different places of the same round.
    pub(super) fn new(members: &[Member], seed: u64) -> Self {
        let mut this = Self { credit: vec![0; members.len()] };
        for _ in 0..seed.checked_rem(members.len() as u64).unwrap_or(0) {
            this.turn(members, |_| true);
        }
        this
    }

    fn turn(&mut self, members: &[Member], allows: impl Fn(&Member) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (position, member) in members.iter().enumerate().filter(|(_, m)| allows(m)) {
            total += i64::from(member.weight);
            self.credit[position] += i64::from(member.weight);
            if best.is_none_or(|b| self.credit[position] > self.credit[b]) {
                best = Some(position);
            }
        }
        self.credit[best?] -= total;
        best
    }
}

impl Algorithm for RoundRobin {
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        self.turn(members, |member| ask.allows(member))
    }
}
