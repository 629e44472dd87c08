//! Whether this node can be spared.

use crate::model::{Candidate, ElectionView};

/// Why this node should not be put on standby, if it should not: for one of the Vips that it stands for there is no
/// other node that is heard and eligible, so nobody better would serve it. (On standby it would still be a candidate of
/// last resort, but the operator means to take it away.)
pub fn standby_refused(view: &ElectionView, candidates: &[Candidate]) -> Option<String> {
    let left_alone = |candidate: &&Candidate| {
        let standings = view.vips.get(&candidate.vip).map_or(&[][..], |vip| &vip.standings);
        !standings.iter().any(|standing| !standing.me && standing.heard && standing.eligible)
    };
    let names: Vec<&str> = candidates.iter().filter(left_alone).map(|candidate| candidate.vip.as_str()).collect();
    let (noun, it) = if names.len() == 1 { ("Vip", "it") } else { ("Vips", "them") };
    let names = (!names.is_empty()).then(|| names.join(", "))?;
    Some(format!("no other node is heard and could serve the {noun} {names}: this node is the last one for {it}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Digest, Eligibility, Role, Standing},
        plan::fixture::{desired, name, view},
    };
    use std::collections::BTreeMap;

    fn candidate(vip: &str) -> Candidate {
        let web = &desired().vips["web"];
        Candidate {
            vip: name(vip),
            addresses: Vec::new(),
            nodes: web.nodes.clone(),
            failback: web.failback,
            digest: Digest::default(),
            link: Some(2),
            probed: true,
            eligibility: Eligibility::default(),
            references: Vec::new(),
            node_addresses: BTreeMap::new(),
            trust_probe: true,
        }
    }

    fn standing(node: &str, heard: bool, eligible: bool) -> Standing {
        Standing {
            node: name(node),
            me: node == "lb1",
            heard,
            role: None,
            epoch: 1,
            holding: false,
            eligible,
            reason: String::new(),
            settled: true,
            fenced: true,
            verified: true,
            same_state: true,
        }
    }

    fn refused(other: Standing, vips: &[&str]) -> Option<String> {
        let mut view = view(Role::Active);
        view.vips.get_mut("web").unwrap().standings = vec![standing("lb1", true, true), other];
        standby_refused(&view, &vips.iter().map(|vip| candidate(vip)).collect::<Vec<_>>())
    }

    #[test]
    fn a_node_that_another_can_stand_in_for_can_be_spared() {
        assert_eq!(refused(standing("lb2", true, true), &["web"]), None);
        assert_eq!(refused(standing("lb2", true, true), &[]), None);
    }

    #[test]
    fn the_last_eligible_node_cannot_and_the_vip_is_named() {
        let message = "no other node is heard and could serve the Vip web: this node is the last one for it";
        assert_eq!(refused(standing("lb2", false, true), &["web"]).as_deref(), Some(message));
        assert_eq!(refused(standing("lb2", true, false), &["web"]).as_deref(), Some(message));
    }

    #[test]
    fn a_vip_of_which_the_election_knows_nothing_yet_counts_as_alone() {
        let refusal = refused(standing("lb2", true, true), &["web", "new"]).unwrap();
        assert!(refusal.contains("the Vip new:"), "{refusal}");
        let both = refused(standing("lb2", false, true), &["web", "new"]).unwrap();
        assert!(both.contains("the Vips web, new:"), "{both}");
    }
}
