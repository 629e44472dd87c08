//! Weighted rendezvous hashing. Each member draws a number from the hash of its name and a key, and the best draw wins,
//! so a member that leaves moves its own keys and no others, one that comes takes only its share, and another weight
//! moves only the difference. Nothing is remembered and the order of the members does not matter: both balancers, and
//! one balancer after a restart, choose alike.
//!
//! A choice looks at every member: two multiplications each, and one logarithm for each different weight. With 500
//! members that is about two microseconds; a table would be faster, and would have to be built anew at every change.

use super::{Ask, Member, hash};

pub(super) struct Rendezvous {
    /// Positions of the members, in the order of their weights.
    order: Vec<usize>,
}

impl Rendezvous {
    pub(super) fn new(members: &[Member]) -> Self {
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by_key(|position| members[*position].weight);
        Self { order }
    }

    /// The position of the member that `key` belongs to, among those that were not tried.
    pub(super) fn choose(&self, members: &[Member], key: u64, ask: &Ask<'_>) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        // Among equal weights the greatest number has the greatest draw: only that one's is worked out.
        for class in self.order.chunk_by(|a, b| members[*a].weight == members[*b].weight) {
            let Some((number, position)) = greatest(members, class, key, ask) else { continue };
            let draw = draw(members[position].weight, number);
            if best.is_none_or(|(other, _)| draw > other) {
                best = Some((draw, position));
            }
        }
        best.map(|(_, position)| position)
    }
}

/// Of one class, the greatest number and whose it is. Plain steps: this is where the time goes.
fn greatest(members: &[Member], class: &[usize], key: u64, ask: &Ask<'_>) -> Option<(u64, usize)> {
    let mut best: Option<(u64, usize)> = None;
    for position in class.iter().copied() {
        let member = &members[position];
        if !ask.tried.is_empty() && !ask.allows(member) {
            continue;
        }
        let number = number(member, key);
        let is_greater =
            |(other, whose): (u64, usize)| number > other || (number == other && member.hash > members[whose].hash);
        if best.is_none_or(is_greater) {
            best = Some((number, position));
        }
    }
    best
}

fn number(member: &Member, key: u64) -> u64 {
    hash::mix(member.hash ^ key.rotate_left(32))
}

/// `-weight / ln(u)` with `u` uniform in (0, 1): the greatest of such draws falls on a member in proportion to its
/// weight (Wang and Ravishankar, "Weighted distributed hash tables").
fn draw(weight: u32, number: u64) -> f64 {
    let uniform = ((number >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}
