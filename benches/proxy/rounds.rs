//! Turns A B B A: what disturbs the machine for longer than a turn disturbs both proxies, and so leaves the ratio alone.

use super::{
    common::{Failure, Options},
    contestant::{Contestant, Kind},
};

/// What a round found, `N` figures of each proxy.
pub(crate) struct Round<const N: usize> {
    pub(crate) ours: [f64; N],
    /// `None`: HAProxy is not installed.
    pub(crate) theirs: Option<[f64; N]>,
}

/// Runs `turn` twice a round with each proxy; the figures of a round are the means of both turns.
pub(crate) fn take_turns<const N: usize>(
    options: &Options,
    turn: impl Fn(&Contestant) -> Result<[f64; N], Failure>,
) -> Result<Vec<Round<N>>, Failure> {
    let ours = Contestant::start(Kind::Lbagent)?;
    let theirs = Kind::Haproxy.is_installed().then(|| Contestant::start(Kind::Haproxy)).transpose()?;
    let round = || {
        let first = turn(&ours)?;
        let theirs = theirs.as_ref().map(|theirs| Ok(mean(turn(theirs)?, turn(theirs)?))).transpose();
        let theirs = theirs.map_err(|error: Failure| format!("HAProxy: {error}"))?;
        Ok(Round { ours: mean(first, turn(&ours)?), theirs })
    };
    (0..options.times).map(|_| round()).collect()
}

fn mean<const N: usize>(first: [f64; N], second: [f64; N]) -> [f64; N] {
    std::array::from_fn(|at| (first[at] + second[at]) / 2.0)
}
