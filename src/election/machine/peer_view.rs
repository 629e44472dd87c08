//! What is told of a peer to the rest of the agent.

use super::peer::{FRONT_PATHS, PeerState};
use crate::model::{Digest, PathView, PeerView};
use std::{collections::BTreeMap, net::IpAddr, time::Instant};

impl PeerState {
    pub(super) fn view(&self, now: Instant, digests: &BTreeMap<IpAddr, Digest>) -> PeerView {
        let claims = || self.claims.iter().filter(|(ip, _)| self.claim(now, ip).is_some());
        PeerView {
            heard: self.heard,
            hears_us: self.mutual(),
            since: self.since,
            paths: self.ends.keys().filter_map(|path| self.path_view(now, *path)).collect(),
            macs: self.macs.clone(),
            roles: claims().map(|(ip, heard)| (*ip, heard.claim.role)).collect(),
            differs: claims()
                .filter(|(ip, heard)| digests.get(*ip).is_some_and(|digest| *digest != heard.claim.digest))
                .map(|(ip, _)| *ip)
                .collect(),
            version: self.version.clone(),
            fenced: self.fenced,
            vanished: self.vanished(now),
        }
    }

    fn path_view(&self, now: Instant, number: u8) -> Option<PathView> {
        let (local, remote) = *self.ends.get(&number)?;
        let path = self.session.path(number)?;
        Some(PathView {
            local,
            remote,
            up: path.heard_at.is_some_and(|at| now < at + self.dead_time()),
            rtt: path.rtt,
            received: path.received,
            sent: path.sent,
            lost: path.lost,
            loss_permille: (path.loss * 1000.0).round() as u16,
            front: number >= FRONT_PATHS,
            rejected: self.rejected.get(&number).cloned().unwrap_or_default(),
        })
    }
}
