//! The rules of the fence as data: which packets concern a fenced address, and what the two tables do with them.

use crate::kernel::nft::{Action, Family, Field, Match, Rule};

/// The bit of the packet's mark that says "permitted", from the permit table to the fence, within one hook.
pub(super) const PERMITTED: u32 = 0x0010_0000;

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Survives the agent.
    Fence,
    /// Ends with the agent's socket.
    Permit,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fence => "lbagent_fence",
            Self::Permit => "lbagent_permit",
        }
    }

    /// The set of fenced addresses.
    pub(super) fn fenced(self, v6: bool) -> &'static str {
        if v6 { "fenced6" } else { "fenced4" }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

impl Direction {
    /// Also that of the chain with the rules for this direction.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// The chain that takes the mark's bit from packets that concern a fenced address.
    pub(super) fn clear(self) -> &'static str {
        match self {
            Self::In => "clear-in",
            Self::Out => "clear-out",
        }
    }
}

/// What a permitted address may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// ARP and ND.
    Speak,
    /// Everything else.
    Data,
}

impl Right {
    pub(super) fn set(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Self::Speak, false) => "speak4",
            (Self::Speak, true) => "speak6",
            (Self::Data, false) => "data4",
            (Self::Data, true) => "data6",
        }
    }
}

/// A kind of packet that concerns the address in one of its fields.
struct Concern {
    direction: Direction,
    protocol: Protocol,
    /// The type of an ICMPv6 message. ND messages follow the IPv6 header at once.
    icmp: Option<u8>,
    offset: u32,
    needs: Right,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Arp,
    Ipv4,
    Ipv6,
}

const ARP_SENDER: u32 = 14;
const ARP_TARGET: u32 = 24;
const IPV4_SOURCE: u32 = 12;
const IPV4_DESTINATION: u32 = 16;
const IPV6_NEXT_HEADER: u32 = 6;
const IPV6_SOURCE: u32 = 8;
const IPV6_DESTINATION: u32 = 24;
const ICMPV6: u8 = 58;
const ICMPV6_TYPE: u32 = 40;
const ND_TARGET: u32 = 48;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// All of them. A packet is dropped if it lacks the right for any address that it concerns, so order does not matter.
///
/// What others say *of* the address comes in: this host may talk to whoever owns it. And what this host asks *about* it
/// goes out, or it could not probe.
const CONCERNS: [Concern; 10] = {
    use {Direction::*, Protocol::*, Right::*};
    const fn concern(direction: Direction, protocol: Protocol, icmp: Option<u8>, offset: u32, needs: Right) -> Concern {
        Concern { direction, protocol, icmp, offset, needs }
    }
    [
        concern(In, Arp, None, ARP_TARGET, Speak),
        concern(In, Ipv4, None, IPV4_DESTINATION, Data),
        concern(In, Ipv6, Some(SOLICITATION), ND_TARGET, Speak),
        concern(In, Ipv6, None, IPV6_DESTINATION, Data),
        concern(Out, Arp, None, ARP_SENDER, Speak),
        concern(Out, Ipv4, None, IPV4_SOURCE, Data),
        concern(Out, Ipv6, Some(ADVERTISEMENT), ND_TARGET, Speak),
        concern(Out, Ipv6, Some(ADVERTISEMENT), IPV6_SOURCE, Speak),
        // Its receivers would take this host's MAC for that of the sender.
        concern(Out, Ipv6, Some(SOLICITATION), IPV6_SOURCE, Speak),
        concern(Out, Ipv6, None, IPV6_SOURCE, Data),
    ]
};

impl Concern {
    fn v6(&self) -> bool {
        self.protocol == Protocol::Ipv6
    }

    fn field(&self) -> Field {
        Field { offset: self.offset, length: if self.v6() { 16 } else { 4 } }
    }

    fn seen_by(&self, family: Family) -> bool {
        match family {
            Family::Netdev => true,
            Family::Arp => self.protocol == Protocol::Arp,
            Family::Inet => self.protocol != Protocol::Arp,
        }
    }

    /// What tells packets of this kind about a fenced address.
    fn matches(&self, role: Role) -> Vec<Match> {
        let mut matches = vec![Match::Protocol(match self.protocol {
            Protocol::Arp => [0x08, 0x06],
            Protocol::Ipv4 => [0x08, 0x00],
            Protocol::Ipv6 => [0x86, 0xdd],
        })];
        if let Some(kind) = self.icmp {
            matches.extend([Match::Byte(IPV6_NEXT_HEADER, ICMPV6), Match::Byte(ICMPV6_TYPE, kind)]);
        }
        matches.push(Match::In(self.field(), role.fenced(self.v6())));
        matches
    }

    fn rule(&self, role: Role, also: Option<Match>, action: Action) -> Rule {
        let mut matches = self.matches(role);
        matches.extend(also);
        Rule { matches, action }
    }
}

/// The concerns of one direction that a table of this family sees.
fn concerns(family: Family, direction: Direction) -> impl Iterator<Item = &'static Concern> {
    CONCERNS.iter().filter(move |it| it.direction == direction && it.seen_by(family))
}

/// Whether one of them needs this right of an address of this kind.
pub(super) fn asks(family: Family, direction: Direction, right: Right, v6: bool) -> bool {
    concerns(family, direction).any(|it| it.needs == right && it.v6() == v6)
}

/// The chains of a table for one direction, with their rules; those that are jumped to come first.
pub(super) fn chains(role: Role, family: Family, direction: Direction) -> Vec<(&'static str, Vec<Rule>)> {
    let all = || concerns(family, direction);
    match role {
        Role::Permit => {
            let refuse =
                |it: &Concern| it.rule(role, Some(Match::NotIn(it.field(), it.needs.set(it.v6()))), Action::Drop);
            let permit = |it: &Concern| it.rule(role, None, Action::Mark(PERMITTED));
            vec![(direction.name(), all().map(refuse).chain(all().map(permit)).collect())]
        }
        Role::Fence => {
            let unmarked = Match::Unmarked(PERMITTED);
            let mut clear = vec![Rule { matches: vec![unmarked.clone()], action: Action::Return }];
            clear.extend(all().map(|it| it.rule(role, None, Action::Unmark(PERMITTED))));
            let mut main: Vec<_> = all().map(|it| it.rule(role, Some(unmarked.clone()), Action::Drop)).collect();
            main.push(Rule { matches: Vec::new(), action: Action::Jump(direction.clear()) });
            vec![(direction.clear(), clear), (direction.name(), main)]
        }
    }
}
