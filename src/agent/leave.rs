//! The end of an agent: first the addresses, so that a peer can take them; none is ever left behind.

use crate::{kernel::netlink::Netlink, reconcile::ReconcileView};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// For the last heartbeats, which say that the addresses have left.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Waits for at most `limit` until the reconcile loop has let go of every address, ends the loop, and removes what is
/// left.
pub(super) async fn give_up(
    netlink: &Netlink,
    mut view: watch::Receiver<Arc<ReconcileView>>,
    reconcile: JoinHandle<()>,
    limit: Duration,
) {
    let left = view.wait_for(|view| !view.network.addresses.iter().any(|address| address.ours));
    // What `wait_for` gives keeps the loop from publishing.
    match tokio::time::timeout(limit, left).await.map(|left| left.map(drop)) {
        Ok(Ok(())) => tokio::time::sleep(LAST_WORDS).await,
        Ok(Err(_)) => tracing::warn!("the reconcile loop has ended; removing the addresses that are left"),
        Err(_) => tracing::warn!("the addresses have not left within {limit:?}; removing them"),
    }
    // A loop that goes by old roles would put them back.
    reconcile.abort();
    if !reconcile.is_finished() {
        // Cancelled is what it is meant to be.
        let _ = reconcile.await;
    }
    remove_ours(netlink).await;
}

async fn remove_ours(netlink: &Netlink) {
    match netlink.remove_ours().await {
        Ok(removed) => {
            removed.into_iter().filter_map(|it| it.result.err()).for_each(|error| tracing::error!("{error}"));
        }
        Err(error) => tracing::error!("cannot tell whether addresses are left: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::netns::NetNs, model::VipAddress};

    const LOOPBACK: u32 = 1;

    fn vip() -> VipAddress {
        VipAddress::host([198, 51, 100, 10].into())
    }

    /// Runs `f` in a namespace, on whose loopback the VIP is.
    fn holding(f: impl AsyncFnOnce(Netlink) + Send) {
        let inside = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let record = tempfile::tempdir().unwrap();
                let netlink = Netlink::connect(record.path().join("addresses")).unwrap();
                netlink.add_address(LOOPBACK, vip()).await.unwrap();
                f(netlink).await;
            });
        };
        NetNs::new().unwrap().run(inside).unwrap();
    }

    async fn view_of(netlink: &Netlink) -> Arc<ReconcileView> {
        Arc::new(ReconcileView { network: netlink.observe().await.unwrap(), ..ReconcileView::default() })
    }

    async fn holds(netlink: &Netlink) -> bool {
        netlink.observe().await.unwrap().addresses.iter().any(|address| address.ours)
    }

    #[test]
    fn a_loop_that_has_ended_leaves_no_address() {
        holding(async |netlink| {
            let (sender, view) = watch::channel(view_of(&netlink).await);
            let mut reconcile = tokio::spawn(async move { drop(sender) });
            (&mut reconcile).await.unwrap();
            give_up(&netlink, view, reconcile, Duration::from_secs(20)).await;
            assert!(!holds(&netlink).await);
        });
    }

    #[test]
    fn a_loop_that_insists_on_its_addresses_is_ended_first() {
        holding(async |netlink| {
            let (_sender, view) = watch::channel(view_of(&netlink).await);
            let again = netlink.clone();
            let reconcile = tokio::spawn(async move {
                loop {
                    again.add_address(LOOPBACK, vip()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            give_up(&netlink, view, reconcile, Duration::from_millis(20)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!holds(&netlink).await);
        });
    }

    #[test]
    fn once_the_addresses_have_left_it_does_not_wait() {
        holding(async |netlink| {
            let (sender, view) = watch::channel(view_of(&netlink).await);
            let hands = netlink.clone();
            let reconcile = tokio::spawn(async move {
                hands.remove_address(LOOPBACK, vip()).await.unwrap();
                loop {
                    sender.send_replace(view_of(&hands).await);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            let begin = tokio::time::Instant::now();
            give_up(&netlink, view, reconcile, Duration::from_secs(60)).await;
            assert!(begin.elapsed() < Duration::from_secs(30) && !holds(&netlink).await);
        });
    }
}
