//! Carries out what the plan says, step by step, and reports each step. It decides nothing: a step that fails is a
//! problem in the report, the steps after it are tried all the same, and the next pass sees what is still missing.

use crate::{
    kernel::{
        KernelError,
        announce::Announcer,
        netlink::{Addition, Netlink, Refresh, Removal},
    },
    model::{Kind, ObjectRef, ObservedNetwork, Problem, VipAddress},
    plan::{addresses::AddressStep, announce::Place},
};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};
use tokio::time::timeout;

/// For the steps that go to the kernel together; it answers each in microseconds, so this only bounds what cannot be
/// expected.
const DEADLINE: Duration = Duration::from_secs(1);

/// The hands of the reconcile loop.
#[derive(Debug)]
pub struct Applier {
    netlink: Netlink,
    announcer: Announcer,
}

/// What became of some steps.
#[derive(Debug, Default)]
pub struct Applied {
    /// One for each step that failed.
    pub problems: Vec<Problem>,
    /// Where an address was added that was not there.
    pub added: BTreeSet<Place>,
}

impl Applier {
    /// Acts through these two.
    pub fn new(netlink: Netlink, announcer: Announcer) -> Self {
        Self { netlink, announcer }
    }

    /// Tries every step in its order; steps of a kind that follow each other go to the kernel together.
    /// [`AddressStep::AwaitQuiet`] is the caller's business.
    pub async fn addresses(&self, steps: &[AddressStep]) -> Applied {
        let mut applied = Applied::default();
        for run in steps.chunk_by(goes_with) {
            for (step, result) in run.iter().zip(self.run(run).await) {
                match (result, step) {
                    (Err(message), _) => applied.problems.push(problem(step, message)),
                    (Ok(true), AddressStep::Add { link, address, .. }) => {
                        applied.added.insert((*link, address.ip));
                    }
                    _ => {}
                }
            }
        }
        applied
    }

    /// Announces each place; a link that has gone meanwhile is the next pass's business. That the fence stops an
    /// announcement whose lease has just ended (`is_leased` says whether one runs now) is as it should be.
    pub fn announce(
        &self,
        network: &ObservedNetwork,
        due: &[Place],
        is_leased: impl Fn(IpAddr) -> bool,
    ) -> Vec<Problem> {
        let announce = |(link, ip): &Place| {
            let link = network.links.get(link).filter(|link| link.mac.is_some() && !link.loopback)?;
            let error = self.announcer.announce(link, *ip).err()?;
            if error.errno() == Some(libc::ENOBUFS) && !is_leased(*ip) {
                tracing::debug!(%ip, link = link.name, "the lease has ended: the fence stopped an announcement");
                return None;
            }
            tracing::warn!(%ip, link = link.name, %error, "cannot announce");
            Some(Problem::error("AnnounceFailed", error.to_string()))
        };
        due.iter().filter_map(announce).collect()
    }

    /// The result of each step of `run`, all of which go together: whether it changed what is there.
    async fn run(&self, run: &[AddressStep]) -> Vec<Result<bool, String>> {
        let Some(first) = run.first() else { return Vec::new() };
        run.iter().for_each(announce_step);
        let places: Vec<_> = run.iter().filter_map(place).collect();
        let done = async {
            match first {
                AddressStep::Add { lifetime, .. } => {
                    words(self.netlink.add_addresses(&places, *lifetime).await, Addition::Added)
                }
                AddressStep::Refresh { lifetime, .. } => {
                    words(self.netlink.refresh_addresses(&places, *lifetime).await, Refresh::Refreshed)
                }
                AddressStep::Remove { .. } => words(self.netlink.remove_addresses(&places).await, Removal::Removed),
                AddressStep::AwaitQuiet { .. } => vec![Ok(false)],
            }
        };
        let late = |step: &AddressStep| {
            Err(format!("the kernel has not answered within {DEADLINE:?} to {step:?}; trying again"))
        };
        timeout(DEADLINE, done).await.unwrap_or_else(|_| run.iter().map(late).collect())
    }
}

/// One request to the kernel can serve both.
fn goes_with(one: &AddressStep, other: &AddressStep) -> bool {
    use AddressStep::{Add, Refresh, Remove};
    match (one, other) {
        (Add { lifetime: a, .. }, Add { lifetime: b, .. }) => a == b,
        (Refresh { lifetime: a, .. }, Refresh { lifetime: b, .. }) => a == b,
        (Remove { .. }, Remove { .. }) => true,
        _ => false,
    }
}

fn place(step: &AddressStep) -> Option<(u32, VipAddress)> {
    match step {
        AddressStep::Add { link, address, .. }
        | AddressStep::Refresh { link, address, .. }
        | AddressStep::Remove { link, address } => Some((*link, *address)),
        AddressStep::AwaitQuiet { .. } => None,
    }
}

fn announce_step(step: &AddressStep) {
    match step {
        AddressStep::Add { vip, link, address, .. } => tracing::info!(%vip, %address, link, "adding the address"),
        AddressStep::Remove { link, address } => tracing::info!(%address, link, "removing the address"),
        // Several times a second where there is no fence.
        AddressStep::Refresh { link, address, .. } => tracing::trace!(%address, link, "refreshing the address"),
        AddressStep::AwaitQuiet { .. } => {}
    }
}

/// Whether each came to be `done`, or why it failed.
fn words<T: PartialEq>(results: Vec<Result<T, KernelError>>, done: T) -> Vec<Result<bool, String>> {
    results.into_iter().map(|it| it.map(|outcome| outcome == done).map_err(|error| error.to_string())).collect()
}

fn problem(step: &AddressStep, message: String) -> Problem {
    tracing::error!(%message, "address step failed");
    let problem = Problem::error("AddressFailed", message);
    match step {
        AddressStep::Add { vip, .. } => problem.about(ObjectRef { kind: Kind::Vip, name: vip.clone() }),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::netns::NetNs, model::Name};

    /// `lo`, the one device of a new namespace.
    const LO: u32 = 1;

    /// Runs `f` in a network namespace of its own.
    fn alone<T: Send>(f: impl AsyncFnOnce(Applier) -> T + Send) -> T {
        let inside = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let directory = tempfile::tempdir().unwrap();
            runtime.block_on(async {
                let netlink = Netlink::connect(directory.path().join("addresses")).unwrap();
                f(Applier::new(netlink, Announcer::new().unwrap())).await
            })
        };
        NetNs::new().unwrap().run(inside).unwrap()
    }

    fn address(last: u8) -> VipAddress {
        VipAddress::host([198, 51, 100, last].into())
    }

    fn add(link: u32, last: u8, lifetime: Option<u64>) -> AddressStep {
        let (vip, lifetime) = (Name::new("web").unwrap(), lifetime.map(Duration::from_secs));
        AddressStep::Add { vip, link, address: address(last), lifetime }
    }

    async fn observed(applier: &Applier) -> Vec<(VipAddress, Option<u64>)> {
        let network = applier.netlink.observe().await.unwrap();
        let ours = network.addresses.iter().filter(|it| it.ours);
        let seconds = |left: Option<Duration>| left.map(|left| left.as_secs());
        ours.map(|it| (VipAddress { ip: it.ip, prefix_len: it.prefix_len }, seconds(it.valid_for))).collect()
    }

    #[test]
    fn many_addresses_are_added_refreshed_and_removed_in_a_pass_each() {
        alone(async |applier| {
            let adds: Vec<_> = (1..=200).map(|last| add(LO, last, Some(20))).collect();
            let applied = applier.addresses(&adds).await;
            assert_eq!((applied.problems.len(), applied.added.len()), (0, 200));
            assert!(applier.addresses(&adds).await.added.is_empty(), "they were there");
            let there = observed(&applier).await;
            assert_eq!(there.len(), 200);
            assert!(there.iter().all(|(_, left)| left.is_some_and(|left| left <= 20)));
            let lifetime = Duration::from_secs(1000);
            let refresh = |last| AddressStep::Refresh { link: LO, address: address(last), lifetime };
            assert!(applier.addresses(&(1..=200).map(refresh).collect::<Vec<_>>()).await.problems.is_empty());
            assert!(observed(&applier).await.iter().all(|(_, left)| left.is_some_and(|left| left > 20)));
            let remove = |last| AddressStep::Remove { link: LO, address: address(last) };
            assert!(applier.addresses(&(1..=200).map(remove).collect::<Vec<_>>()).await.problems.is_empty());
            assert!(observed(&applier).await.is_empty());
        });
    }

    #[test]
    fn a_step_that_fails_is_a_problem_of_its_own_and_keeps_none_of_the_others() {
        alone(async |applier| {
            let steps = [add(LO, 1, Some(20)), add(77, 2, Some(20)), add(LO, 3, Some(20)), add(LO, 4, None)];
            let Applied { problems, added } = applier.addresses(&steps).await;
            assert_eq!(added, [1, 3, 4].map(|last| (LO, address(last).ip)).into());
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].object.as_ref().unwrap().to_string(), "Vip/web");
            assert!(problems[0].message.contains("198.51.100.2/32"), "{}", problems[0].message);
            let there = observed(&applier).await;
            assert_eq!(there.iter().map(|(it, _)| *it).collect::<Vec<_>>(), [1, 3, 4].map(address));
            assert_eq!(there[2].1, None, "for ever");
        });
    }

    #[test]
    fn order_is_kept_where_an_address_makes_room_for_itself() {
        alone(async |applier| {
            let wide = VipAddress { prefix_len: 24, ..address(1) };
            let vip = Name::new("web").unwrap();
            let add_wide = AddressStep::Add { vip, link: LO, address: wide, lifetime: None };
            assert!(applier.addresses(&[add_wide]).await.problems.is_empty());
            let narrow = [AddressStep::Remove { link: LO, address: wide }, add(LO, 1, None), add(LO, 2, None)];
            assert!(applier.addresses(&narrow).await.problems.is_empty());
            assert_eq!(observed(&applier).await, [(address(1), None), (address(2), None)]);
        });
    }
}
