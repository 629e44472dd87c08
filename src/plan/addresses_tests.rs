use super::*;
use crate::plan::fixture::{desired, heard, ip, name, network, start, view};
use proptest::prelude::*;

struct Case {
    me: Name,
    desired: Desired,
    network: ObservedNetwork,
    election: ElectionView,
    quiet: BTreeSet<Name>,
    can_mute: bool,
    lifetime: Option<Duration>,
    lifetimes: Lifetimes,
    now: Instant,
}

impl Case {
    fn new(role: Role) -> Self {
        Self {
            me: name("lb1"),
            desired: desired(),
            network: network(),
            election: view(role),
            quiet: BTreeSet::new(),
            can_mute: true,
            lifetime: None,
            lifetimes: Lifetimes::default(),
            now: start(),
        }
    }

    fn with(mut self, link: u32, address: &str, prefix_len: u8, ours: bool) -> Self {
        self.network.addresses.push(ObservedAddress { link, ip: ip(address), prefix_len, ours, valid_for: None });
        self
    }

    fn plan(&self) -> AddressPlan {
        let placements = Placements::resolve(&self.me, &self.desired, &self.network);
        plan(AddressInputs {
            me: &self.me,
            desired: &self.desired,
            placements: &placements,
            election: &self.election,
            network: &self.network,
            quiet: &self.quiet,
            can_mute: self.can_mute,
            lifetime: self.lifetime,
            lifetimes: &self.lifetimes,
            now: self.now,
        })
    }

    fn steps(&self) -> Vec<String> {
        self.plan().steps.iter().map(text).collect()
    }

    /// What the kernel would have after the plan.
    fn apply(&mut self) {
        let plan = self.plan();
        self.lifetimes.record(self.now, &plan);
        for step in plan.steps {
            match step {
                AddressStep::Add { link, address, lifetime, .. } => {
                    let VipAddress { ip, prefix_len } = address;
                    let valid_for = lifetime;
                    self.network.addresses.push(ObservedAddress { link, ip, prefix_len, ours: true, valid_for });
                }
                AddressStep::Refresh { link, address, lifetime } => {
                    let there = self.network.addresses.iter_mut().find(|observed| is(observed, link, address));
                    there.unwrap().valid_for = Some(lifetime);
                }
                AddressStep::Remove { link, address } => {
                    self.network.addresses.retain(|observed| !is(observed, link, address));
                }
                AddressStep::AwaitQuiet { vip } => {
                    self.quiet.insert(vip);
                }
            }
        }
    }
}

fn text(step: &AddressStep) -> String {
    match step {
        AddressStep::Add { vip, link, address, .. } => format!("add {address} to {link} for {vip}"),
        AddressStep::Refresh { link, address, lifetime } => format!("refresh {address} on {link} for {lifetime:?}"),
        AddressStep::Remove { link, address } => format!("remove {address} from {link}"),
        AddressStep::AwaitQuiet { vip } => format!("await quiet of {vip}"),
    }
}

#[test]
fn active_adds_what_is_missing() {
    assert_eq!(Case::new(Role::Active).steps(), ["add 198.51.100.10/32 to 2 for web"]);
    assert!(Case::new(Role::Active).with(2, "198.51.100.10", 32, true).steps().is_empty());
}

#[test]
fn backup_removes_only_what_is_ours() {
    assert_eq!(Case::new(Role::Backup).with(2, "198.51.100.10", 32, true).steps(), ["remove 198.51.100.10/32 from 2"]);
    let foreign = Case::new(Role::Backup).with(2, "198.51.100.10", 32, false);
    assert!(foreign.steps().is_empty());
    assert!(foreign.plan().problems[0].message.contains("ip address del 198.51.100.10/32 dev eth0"));
}

#[test]
fn initialize_leaves_everything_as_it_was_found() {
    assert!(Case::new(Role::Initialize).steps().is_empty());
    assert!(Case::new(Role::Initialize).with(2, "198.51.100.10", 32, true).steps().is_empty());
    let mut unheard_of = Case::new(Role::Active).with(2, "198.51.100.10", 32, true);
    unheard_of.election.vips.clear();
    assert!(unheard_of.steps().is_empty());
}

/// lb1, Backup by agreement, with the address still there and lb2 heard.
fn handing_over() -> Case {
    let mut case = Case::new(Role::Backup).with(2, "198.51.100.10", 32, true);
    case.election.vips.get_mut("web").unwrap().graceful = true;
    case.election.peers.insert(name("lb2"), heard());
    case
}

#[test]
fn a_handover_waits_then_mutes_then_removes() {
    let mut case = handing_over();
    assert_eq!(case.steps(), ["await quiet of web"]);
    case.quiet.insert(name("web"));
    assert!(case.steps().is_empty());
    assert_eq!(case.plan().mute, BTreeSet::from([ip("198.51.100.10")]));
    let view = case.election.vips.get_mut("web").unwrap();
    view.owner = Some(name("lb2"));
    assert!(case.steps().is_empty(), "lb2 has decided, and may not have the address yet");
    case.election.vips.get_mut("web").unwrap().owner_holds = true;
    assert_eq!(case.steps(), ["remove 198.51.100.10/32 from 2"]);
    assert!(case.plan().mute.is_empty());
}

#[test]
fn a_handover_that_comes_to_nothing_ends_the_silence() {
    let mut case = handing_over();
    case.quiet.insert(name("web"));
    case.election.vips.get_mut("web").unwrap().role = Role::Active;
    assert_eq!((case.steps(), case.plan().mute), (Vec::new(), BTreeSet::new()));
}

#[test]
fn without_muting_the_address_goes_at_the_quiet_moment() {
    let mut case = handing_over();
    case.can_mute = false;
    assert_eq!(case.steps(), ["await quiet of web"]);
    case.quiet.insert(name("web"));
    assert_eq!(case.steps(), ["remove 198.51.100.10/32 from 2"]);
}

#[test]
fn nobody_to_hand_over_to_means_no_waiting() {
    let mut case = handing_over();
    case.election.peers.get_mut("lb2").unwrap().heard = false;
    assert_eq!(case.steps(), ["remove 198.51.100.10/32 from 2"]);
}

#[test]
fn an_edited_device_or_prefix_length_moves_the_address() {
    let moved = Case::new(Role::Active).with(3, "198.51.100.10", 32, true);
    assert_eq!(moved.steps(), ["add 198.51.100.10/32 to 2 for web", "remove 198.51.100.10/32 from 3"]);
    let edited = Case::new(Role::Active).with(2, "198.51.100.10", 24, true);
    assert_eq!(edited.steps(), ["remove 198.51.100.10/24 from 2", "add 198.51.100.10/32 to 2 for web"]);
}

#[test]
fn what_a_deleted_vip_left_behind_goes() {
    let stray = Case::new(Role::Active).with(2, "198.51.100.10", 32, true).with(2, "198.51.100.77", 32, true);
    assert_eq!(stray.steps(), ["remove 198.51.100.77/32 from 2"]);
}

#[test]
fn no_state_at_all_changes_nothing() {
    let mut case = Case::new(Role::Active).with(2, "198.51.100.10", 32, true);
    case.desired = Desired::default();
    assert!(case.steps().is_empty());
}

#[test]
fn a_node_that_is_in_no_peer_holds_nothing() {
    let mut case = Case::new(Role::Active).with(2, "198.51.100.10", 32, true);
    case.desired.peers.remove("lb1");
    case.election.vips.clear();
    assert_eq!(case.steps(), ["remove 198.51.100.10/32 from 2"]);
}

#[test]
fn held_tells_what_the_host_has_whoever_put_it_there() {
    let case = Case::new(Role::Backup).with(2, "198.51.100.10", 24, false);
    assert_eq!(held(&case.desired, &case.network), Held::from([ip("198.51.100.10")]));
}

#[test]
fn an_address_is_added_for_its_lifetime_and_refreshed_in_time() {
    let mut case = Case::new(Role::Active);
    case.lifetime = Some(Duration::from_secs(20));
    let AddressStep::Add { lifetime, .. } = case.plan().steps[0] else { panic!("no addition") };
    assert_eq!(lifetime, case.lifetime);
    case.apply();
    case.now += Duration::from_millis(4999);
    assert!(case.steps().is_empty());
    case.now += Duration::from_millis(1);
    assert_eq!(case.steps(), ["refresh 198.51.100.10/32 on 2 for 20s"]);
    case.apply();
    assert!(case.steps().is_empty());
    case.network.addresses[2].valid_for = Some(Duration::from_secs(11));
    assert_eq!(case.steps(), ["refresh 198.51.100.10/32 on 2 for 20s"], "somebody shortened it");
}

#[test]
fn what_is_merely_left_as_found_or_not_ours_runs_out() {
    let lifetime = Some(Duration::from_secs(20));
    for (role, ours) in [(Role::Initialize, true), (Role::Active, false)] {
        let mut case = Case { lifetime, ..Case::new(role).with(2, "198.51.100.10", 32, ours) };
        case.network.addresses[2].valid_for = Some(Duration::from_secs(1));
        assert!(case.steps().is_empty(), "{role:?}");
    }
}

#[test]
fn an_address_that_is_being_handed_over_does_not_run_out_meanwhile() {
    let mut case = Case { lifetime: Some(Duration::from_secs(1)), ..handing_over() };
    assert_eq!(case.steps(), ["await quiet of web", "refresh 198.51.100.10/32 on 2 for 1s"]);
    case.apply();
    assert!(case.steps().is_empty() && case.plan().mute.contains(&ip("198.51.100.10")));
    case.now += Duration::from_millis(250);
    assert_eq!(case.steps(), ["refresh 198.51.100.10/32 on 2 for 1s"]);
}

#[test]
fn additions_come_before_refreshes() {
    let mut case = Case::new(Role::Active).with(2, "198.51.100.10", 32, true);
    case.lifetime = Some(Duration::from_secs(1));
    let vip = std::sync::Arc::make_mut(case.desired.vips.get_mut("web").unwrap());
    vip.addresses.push(VipAddress::host(ip("198.51.100.11")));
    let expected = ["add 198.51.100.11/32 to 2 for web", "refresh 198.51.100.10/32 on 2 for 1s"];
    assert_eq!(case.steps(), expected);
    assert_eq!(case.plan().wanted, BTreeSet::from([(2, ip("198.51.100.10")), (2, ip("198.51.100.11"))]));
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Initialize), Just(Role::Backup), Just(Role::Active)]
}

proptest! {
    /// Foreign addresses survive, and one or two rounds of applying the plan leave nothing to do.
    #[test]
    fn converges_and_spares_what_is_foreign(
        role in role(),
        graceful in any::<bool>(),
        lifetime in prop::option::of(Just(Duration::from_secs(20))),
        there in prop::collection::vec((2u32..4, 9u8..12, prop_oneof![Just(24u8), Just(32)], any::<bool>()), 0..6),
    ) {
        let mut case = Case { lifetime, ..Case::new(role) };
        case.election.vips.get_mut("web").unwrap().graceful = graceful;
        for (link, last, prefix_len, ours) in there {
            let twice = case.network.addresses.iter().any(|o| o.link == link && o.ip == ip(&format!("198.51.100.{last}")));
            if !twice {
                case = case.with(link, &format!("198.51.100.{last}"), prefix_len, ours);
            }
        }
        let foreign: Vec<_> = case.network.addresses.iter().filter(|o| !o.ours).cloned().collect();
        case.apply();
        case.apply();
        prop_assert!(case.steps().is_empty());
        let after: Vec<_> = case.network.addresses.iter().filter(|o| !o.ours).cloned().collect();
        prop_assert_eq!(foreign, after);
    }
}
