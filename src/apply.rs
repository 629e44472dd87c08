//! Carries out what the plan says, step by step, and reports each step. It decides nothing: a step that fails is a
//! problem in the report, the steps after it are tried all the same, and the next pass sees what is still missing.

use crate::{
    kernel::{announce::Announcer, netlink::Netlink},
    model::{Kind, ObjectRef, ObservedNetwork, Problem},
    plan::{addresses::AddressStep, announce::Place},
};
use std::time::Duration;
use tokio::time::timeout;

/// For one netlink request; the kernel answers in microseconds, so this only bounds what cannot be expected.
const STEP_DEADLINE: Duration = Duration::from_secs(1);

/// The hands of the reconcile loop.
#[derive(Debug)]
pub struct Applier {
    netlink: Netlink,
    announcer: Announcer,
}

impl Applier {
    /// Acts through these two.
    pub fn new(netlink: Netlink, announcer: Announcer) -> Self {
        Self { netlink, announcer }
    }

    /// Tries every step in its order. [`AddressStep::AwaitQuiet`] is the caller's business.
    pub async fn addresses(&self, steps: &[AddressStep]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for step in steps {
            problems.extend(self.address(step).await);
        }
        problems
    }

    /// Announces each place; a link that has gone meanwhile is the next pass's business.
    pub fn announce(&self, network: &ObservedNetwork, due: &[Place]) -> Vec<Problem> {
        let announce = |(link, ip): &Place| {
            let link = network.links.get(link).filter(|link| link.mac.is_some() && !link.loopback)?;
            let error = self.announcer.announce(link, *ip).err()?;
            tracing::warn!(%ip, link = link.name, %error, "cannot announce");
            Some(Problem::error("AnnounceFailed", error.to_string()))
        };
        due.iter().filter_map(announce).collect()
    }

    async fn address(&self, step: &AddressStep) -> Option<Problem> {
        let (vip, done) = match step {
            AddressStep::Add { vip, link, address } => {
                tracing::info!(%vip, %address, link, "adding the address");
                let add = self.netlink.add_address(*link, *address);
                (Some(vip), timeout(STEP_DEADLINE, add).await.map(|result| result.map(drop)))
            }
            AddressStep::Remove { link, address } => {
                tracing::info!(%address, link, "removing the address");
                let remove = self.netlink.remove_address(*link, *address);
                (None, timeout(STEP_DEADLINE, remove).await.map(|result| result.map(drop)))
            }
            AddressStep::AwaitQuiet { .. } => return None,
        };
        let message = match done {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the kernel has not answered within {STEP_DEADLINE:?} to {step:?}; trying again"),
        };
        tracing::error!(%message, "address step failed");
        let problem = Problem::error("AddressFailed", message);
        Some(match vip {
            Some(vip) => problem.about(ObjectRef { kind: Kind::Vip, name: vip.clone() }),
            None => problem,
        })
    }
}
