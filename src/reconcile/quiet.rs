//! The wait for a moment in which nobody is being answered: addresses that another node is about to take go then.

use crate::{
    dataplane::Dataplane,
    model::{ElectionView, Name, Role},
    plan::addresses::AddressStep,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::mpsc;

/// How long an address waits for such a moment.
const QUIET_LIMIT: Duration = Duration::from_millis(50);

/// Which Vips wait for a quiet moment, and for which it has come.
#[derive(Debug)]
pub(super) struct Quiet {
    waiting: BTreeSet<Name>,
    come: BTreeSet<Name>,
    sender: mpsc::UnboundedSender<Name>,
    receiver: mpsc::UnboundedReceiver<Name>,
}

impl Default for Quiet {
    fn default() -> Self {
        // Unbounded in name only: at most one message for each Vip is under way.
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { waiting: BTreeSet::new(), come: BTreeSet::new(), sender, receiver }
    }
}

impl Quiet {
    /// Starts the wait for each Vip that the plan wants to let go and that does not wait yet.
    pub(super) fn wait(&mut self, dataplane: &Dataplane, steps: &[AddressStep]) {
        for step in steps {
            let AddressStep::AwaitQuiet { vip } = step else { continue };
            if self.waiting.insert(vip.clone()) {
                let (dataplane, sender, vip) = (dataplane.clone(), self.sender.clone(), vip.clone());
                tokio::spawn(async move {
                    dataplane.quiet(&vip, QUIET_LIMIT).await;
                    // Fails only when the loop is gone, and then nobody needs to know.
                    let _ = sender.send(vip);
                });
            }
        }
    }

    /// Returns when the moment has come for one more Vip.
    pub(super) async fn next(&mut self) {
        match self.receiver.recv().await {
            Some(vip) => {
                self.waiting.remove(&vip);
                self.come.insert(vip);
            }
            None => std::future::pending().await, // not while `self` holds a sender
        }
    }

    /// The Vips that may go now; forgets those that no longer want to.
    pub(super) fn settle(&mut self, election: &ElectionView) -> &BTreeSet<Name> {
        let leaving =
            |vip: &Name| election.vips.get(vip).is_some_and(|view| view.role == Role::Backup && view.graceful);
        self.come.retain(leaving);
        &self.come
    }
}
