//! The parts that run for as long as the agent does.
//!
//! Each of them publishes through a `watch` channel whose sender it owns. So a closed channel tells that the part has
//! ended – by a panic, as nothing else ends one – and the agent must not go on in silence without it.

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::watch;

#[derive(Default)]
pub(super) struct Parts(FuturesUnordered<BoxFuture<'static, &'static str>>);

impl Parts {
    /// Minds the part behind `channel`.
    pub(super) fn watch<T: Send + Sync + 'static>(&mut self, name: &'static str, mut channel: watch::Receiver<T>) {
        let ended = async move {
            while channel.changed().await.is_ok() {}
            name
        };
        self.0.push(ended.boxed());
    }

    /// The first part that has ended; waits while there is none.
    pub(super) async fn ended(&mut self) -> &'static str {
        match self.0.next().await {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_noticed_and_one_that_works_is_not() {
        let mut parts = Parts::default();
        assert!(parts.ended().now_or_never().is_none());
        let (works, receiver) = watch::channel(0);
        parts.watch("works", receiver);
        let (panics, receiver) = watch::channel(0);
        parts.watch("panics", receiver);
        works.send_replace(1);
        panics.send_replace(1);
        assert!(parts.ended().now_or_never().is_none());
        let task = tokio::spawn(async move {
            let _sender = panics;
            panic!("on purpose");
        });
        assert!(task.await.is_err());
        assert_eq!(parts.ended().await, "panics");
        works.send_replace(2);
        assert!(parts.ended().now_or_never().is_none());
    }
}
