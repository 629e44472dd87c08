//! The key file as it changes: read again when it does; a bad new one leaves the old keys in force.

use crate::{
    election::key::{KeyFileStamp, Keyring},
    model::Problem,
};
use std::path::PathBuf;

pub(super) struct KeyFile {
    path: PathBuf,
    /// Of the file that was last tried; `None` before the first try.
    tried: Option<Option<KeyFileStamp>>,
    ring: Option<Keyring>,
    problem: Option<Problem>,
}

impl KeyFile {
    pub(super) fn new(path: PathBuf) -> Self {
        let mut file = Self { path, tried: None, ring: None, problem: None };
        file.look();
        file
    }

    /// Reads the file if it is not the one that was read before.
    pub(super) fn look(&mut self) {
        let stamp = KeyFileStamp::of(&self.path);
        if self.tried.as_ref() == Some(&stamp) {
            return;
        }
        self.tried = Some(stamp);
        match Keyring::load(&self.path) {
            Ok(ring) => {
                tracing::info!(keys = ?ring, path = %self.path.display(), "key file read");
                self.ring = Some(ring);
                self.problem = None;
            }
            Err(error) => {
                let effect = match self.ring {
                    Some(_) => "the former keys stay in force",
                    None => "without a key this node neither hears nor is heard, and leaves the addresses as they are",
                };
                self.problem = Some(Problem::error("KeyFileRefused", format!("{error}; {effect}")));
            }
        }
    }

    pub(super) fn ring(&self) -> Option<&Keyring> {
        self.ring.as_ref()
    }

    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }
}
