//! The first of the file that has a place, so that as few backends as possible are busy. Without limits
//! (`maxConnections`) it gets everything.

use super::{Algorithm, Ask, Member};

pub(super) struct First;

impl Algorithm for First {
    fn pick(&mut self, members: &[Member], ask: &Ask<'_>) -> Option<usize> {
        members.iter().position(|member| ask.allows(member))
    }
}
