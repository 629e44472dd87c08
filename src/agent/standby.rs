//! What operators ask of the running agent: to own nothing while another node can (standby), and to take part again.

use crate::{
    desired::standby,
    election::driver::ElectionInput,
    model::{ElectionView, Standby},
    plan::standby::standby_refused,
    status::action::{Action, Ask, StandbyRequest},
};
use std::{path::PathBuf, sync::Arc, time::Instant};
use tokio::sync::watch;

/// Keeps the operator's word, on disk and for those who act on it.
pub(super) struct Operator {
    /// Of the last good objects.
    dir: PathBuf,
    standby: watch::Sender<Option<Standby>>,
    election: watch::Receiver<Arc<ElectionView>>,
    input: watch::Receiver<ElectionInput>,
}

/// What was left in `dir` by an earlier process. A file that cannot be read counts as standby: its being there is the
/// word.
pub(super) async fn remembered(dir: PathBuf, now: Instant) -> Option<Standby> {
    let read = tokio::task::spawn_blocking(move || standby::read(&dir)).await;
    let reason = match read {
        Ok(Ok(reason)) => reason?,
        Ok(Err(error)) => {
            tracing::warn!("{error}; this node stays in standby until it is taken out of it");
            error.to_string()
        }
        Err(_) => return None,
    };
    Some(Standby { since: now, reason, forced: false })
}

impl Operator {
    pub(super) fn new(
        dir: PathBuf,
        standby: watch::Sender<Option<Standby>>,
        election: watch::Receiver<Arc<ElectionView>>,
        input: watch::Receiver<ElectionInput>,
    ) -> Self {
        Self { dir, standby, election, input }
    }

    /// Does what is asked, or says why not.
    pub(super) async fn answer(&self, ask: Ask, now: Instant) {
        let answer = match ask.action {
            Action::Standby(request) => self.enter(request, now).await,
            Action::Unstandby => self.leave().await,
        };
        match &answer {
            Ok(done) => tracing::info!("operator: {done}"),
            Err(refusal) => tracing::warn!("operator: refused: {refusal}"),
        }
        // An operator who has gone meanwhile finds the result in the status.
        let _ = ask.reply.send(answer);
    }

    async fn enter(&self, request: StandbyRequest, now: Instant) -> Result<String, String> {
        let me = self.input.borrow().node.clone();
        let alone = standby_refused(&self.election.borrow(), &self.input.borrow().candidates);
        if let (Some(why), false) = (alone, request.force) {
            return Err(format!("{why}; --force puts it in standby all the same, and it serves on until another can"));
        }
        let reason = self.keep(Some(request.reason)).await?.unwrap_or_default();
        let since = self.standby.borrow().as_ref().map_or(now, |standby| standby.since);
        let done = format!("{me} is in standby: {reason}");
        self.standby.send_replace(Some(Standby { since, reason, forced: request.force }));
        Ok(done)
    }

    async fn leave(&self) -> Result<String, String> {
        let me = self.input.borrow().node.clone();
        self.keep(None).await?;
        Ok(match self.standby.send_replace(None) {
            Some(_) => format!("{me} takes part again"),
            None => format!("{me} was not in standby"),
        })
    }

    /// First to disk: a word that is given must outlast a restart. What is in force is what is read back.
    async fn keep(&self, reason: Option<String>) -> Result<Option<String>, String> {
        let dir = self.dir.clone();
        let kept = tokio::task::spawn_blocking(move || {
            standby::write(&dir, reason.as_deref())?;
            standby::read(&dir)
        });
        match kept.await {
            Ok(kept) => kept.map_err(|error| error.to_string()),
            Err(error) => Err(format!("cannot keep it: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{election::driver::ElectionInput, model::Name};
    use std::collections::BTreeMap;
    use tokio::sync::oneshot;

    fn operator(dir: PathBuf) -> (Operator, watch::Receiver<Option<Standby>>) {
        let input = ElectionInput {
            node: Name::new("lb1").unwrap(),
            peers: Vec::new(),
            candidates: Vec::new(),
            macs: Vec::new(),
            fronts: Vec::new(),
            links: BTreeMap::new(),
        };
        let (standby, standby_out) = watch::channel(None);
        let (election, input) = (watch::channel(Arc::default()).1, watch::channel(input).1);
        (Operator::new(dir, standby, election, input), standby_out)
    }

    async fn ask(operator: &Operator, action: Action) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        operator.answer(Ask { action, reply }, super::super::report::now()).await;
        answer.await.unwrap()
    }

    #[tokio::test]
    async fn a_word_is_kept_over_a_restart_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (operator, standby) = operator(dir.path().to_owned());
        let request = StandbyRequest { force: false, reason: "new disks".into() };
        assert_eq!(ask(&operator, Action::Standby(request)).await.unwrap(), "lb1 is in standby: new disks");
        assert_eq!(standby.borrow().as_ref().unwrap().reason, "new disks");
        let later = remembered(dir.path().to_owned(), super::super::report::now()).await.unwrap();
        assert_eq!(later.reason, "new disks");
        assert_eq!(ask(&operator, Action::Unstandby).await.unwrap(), "lb1 takes part again");
        assert_eq!(ask(&operator, Action::Unstandby).await.unwrap(), "lb1 was not in standby");
        assert!(remembered(dir.path().to_owned(), super::super::report::now()).await.is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (operator, standby) = operator(file);
        let refused = ask(&operator, Action::Standby(StandbyRequest::default())).await.unwrap_err();
        assert!(refused.contains("file"), "{refused}");
        assert!(standby.borrow().is_none());
    }
}
