//! What is in force: as the running agent tells, or as the files of a directory say.

use crate::{
    cli::client::{Target, fetch, fetch_state},
    desired::{LastGood, load, render, resolve},
    model::{Desired, Name, Pool, PoolConfig},
    status::{BackendStatus, Status},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
};

/// All that an answer follows from.
#[derive(Debug)]
pub(super) struct World {
    pub(super) desired: Desired,
    /// Where it was learnt from.
    pub(super) source: String,
    /// What is to be known about that.
    pub(super) notes: Vec<String>,
    /// By pool and backend; `None`: no agent was asked.
    health: Option<BTreeMap<(String, String), BackendStatus>>,
}

impl World {
    /// By the files in `dir` if one is given; else by the agent at `target`, and if none answers there, by the files in the
    /// usual place. An error says why nothing can be said.
    pub(super) fn find(target: &Target, dir: Option<&Path>) -> Result<Self, String> {
        if let Some(dir) = dir {
            return Self::of_files(dir, Vec::new());
        }
        match fetch_state(target).and_then(|desired| Ok((desired, fetch(target)?.0))) {
            Ok((desired, status)) => Ok(Self::of_agent(desired, &status, target)),
            Err(error) => {
                let dir = super::default_state_dir();
                let files = Self::of_files(&dir, vec![error.to_string()]);
                files.map_err(|why| format!("{error}, and {} cannot be gone by:\n{why}", dir.display()))
            }
        }
    }

    pub(super) fn of_agent(desired: Desired, status: &Status, target: &Target) -> Self {
        let of = |pool: &crate::status::PoolStatus| {
            let name = pool.name.clone();
            pool.backends.iter().map(move |backend| ((name.clone(), backend.name.clone()), backend.clone())).collect()
        };
        let health = status.pools.iter().flat_map(|pool| -> Vec<_> { of(pool) }).collect();
        Self { desired, source: format!("the agent at {target}"), notes: Vec::new(), health: Some(health) }
    }

    fn of_files(dir: &Path, mut notes: Vec<String>) -> Result<Self, String> {
        let resolved = resolve(&LastGood::default(), &load(dir));
        let errors: Vec<_> = resolved.diagnostics.iter().filter(|it| it.is_error()).map(render).collect();
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        notes.push("no check was asked: every backend is taken to be up".to_owned());
        let source = format!("the files in {}", dir.display());
        Ok(Self { desired: resolved.desired, source, notes, health: None })
    }

    /// The pool as the proxy has it.
    pub(super) fn pool(&self, name: &Name) -> Option<PoolConfig> {
        let mut pool: Pool = self.desired.pools.get(name)?.as_ref().clone();
        let mut down = BTreeSet::new();
        for backend in &mut pool.backends {
            let told = self.told(name, &backend.name);
            if told.is_some_and(|told| !told.up || told.ejected) {
                down.insert(backend.name.clone());
            }
            if !backend.is_known() {
                // Where it is makes no difference to the choice; that it is somewhere does.
                backend.address.set_ip(told.map_or(Ipv4Addr::BROADCAST.into(), |told| told.address.ip()));
            }
        }
        Some(PoolConfig { pool: Arc::new(pool), down })
    }

    /// What the agent says of a backend.
    pub(super) fn told(&self, pool: &Name, backend: &Name) -> Option<&BackendStatus> {
        self.health.as_ref()?.get(&(pool.to_string(), backend.to_string()))
    }
}
