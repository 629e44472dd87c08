//! The client's address decides: weighted rendezvous hashing. Each member draws a number from the hash of its name and
//! the address, and the best draw wins, so a member that leaves moves its own clients and no others, and a member that
//! comes takes only its share. Both balancers, and the same balancer after a restart, choose alike.

use super::{Algorithm, Ask, Member, hash};

pub(super) struct Source;

impl Algorithm for Source {
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        let client = hash::address(ask.client);
        let allowed = members.iter().enumerate().filter(|(_, member)| ask.allows(member));
        let drawn = allowed.map(|(position, member)| (position, draw(member, client)));
        drawn.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(position, _)| position)
    }
}

/// `-weight / ln(u)` with `u` uniform in (0, 1): the greatest of such draws falls on a member in proportion to its
/// weight (Wang and Ravishankar, "Weighted distributed hash tables").
fn draw(member: &Member, client: u64) -> f64 {
    let bits = hash::mix(member.hash ^ client.rotate_left(32)) >> 11;
    let uniform = (bits as f64 + 0.5) / (1u64 << 53) as f64;
    -f64::from(member.weight) / uniform.ln()
}
