use super::*;
use crate::model::{Backend, Name, Pool, PoolTimeouts};
use proptest::prelude::*;
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

fn pool(balance: Balance, backends: &[(&str, u16, bool)], down: &[&str]) -> PoolConfig {
    let name = |text: &str| Name::new(text).unwrap();
    let backends = backends.iter().map(|(text, weight, backup)| Backend {
        weight: *weight,
        backup: *backup,
        ..Backend::new(name(text), "192.0.2.1:80".parse().unwrap())
    });
    PoolConfig {
        pool: Arc::new(Pool {
            name: name("p"),
            balance,
            sticky: None,
            check: Default::default(),
            backends: backends.collect(),
            timeouts: PoolTimeouts::default(),
            serving: Default::default(),
        }),
        down: down.iter().map(|d| name(d)).collect(),
    }
}

pub(super) fn weights(balance: Balance, weights: &[u16]) -> PoolConfig {
    let names: Vec<String> = (0..weights.len()).map(|i| format!("b{i}")).collect();
    let backends: Vec<_> = names.iter().zip(weights).map(|(name, w)| (name.as_str(), *w, false)).collect();
    pool(balance, &backends, &[])
}

pub(super) fn client(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + n).into()
}

fn pick(picker: &mut Picker, n: u32) -> Option<usize> {
    picker.pick(&Ask { client: client(n), load: &|_| 0, tried: &[], key: None })
}

fn counts(config: &PoolConfig, seed: u64, picks: u32) -> BTreeMap<usize, u32> {
    let mut picker = Picker::new(config, seed);
    let mut counts = BTreeMap::new();
    for n in 0..picks {
        *counts.entry(pick(&mut picker, n).unwrap()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn round_robin_is_smooth() {
    let mut picker = Picker::new(&weights(Balance::RoundRobin, &[5, 1, 1]), 0);
    let turns: Vec<_> = (0..7).map(|n| pick(&mut picker, n).unwrap()).collect();
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0], "the sequence that nginx documents for 5, 1, 1");
}

#[test]
fn workers_begin_round_robin_at_different_backends() {
    let config = weights(Balance::RoundRobin, &[1, 1, 1]);
    let first: Vec<_> = (0..3).map(|seed| pick(&mut Picker::new(&config, seed), 0).unwrap()).collect();
    assert_eq!(first, [0, 1, 2]);
}

#[test]
fn down_and_weightless_backends_get_nothing_new_and_backups_only_when_alone() {
    for balance in Balance::all().into_iter().filter(|balance| *balance != Balance::First) {
        let backends = [("a", 1, false), ("b", 1, false), ("zero", 0, false), ("sorry", 1, true), ("sorry2", 1, true)];
        let chosen = |down: &[&str]| -> Vec<usize> {
            counts_or_none(&pool(balance.clone(), &backends, down)).into_iter().flatten().collect()
        };
        assert_eq!(chosen(&[]), [0, 1], "{balance:?}");
        assert_eq!(chosen(&["a"]), [1], "{balance:?}");
        assert_eq!(chosen(&["a", "b"]), [3, 4], "{balance:?}");
        assert_eq!(chosen(&["a", "b", "sorry"]), [4], "{balance:?}");
        assert!(chosen(&["a", "b", "sorry", "sorry2"]).is_empty(), "{balance:?}");
    }
}

fn counts_or_none(config: &PoolConfig) -> Option<Vec<usize>> {
    let mut picker = Picker::new(config, 0);
    pick(&mut picker, 0)?;
    Some(counts(config, 0, 200).into_keys().collect())
}

#[test]
fn least_connections_fills_in_proportion_to_the_weights() {
    let config = weights(Balance::LeastConn, &[1, 2, 5]);
    let mut picker = Picker::new(&config, 0);
    let mut load = [0u32; 3];
    for n in 0..80 {
        let now = load;
        let chosen = picker.pick(&Ask { client: client(n), load: &|i| now[i], tried: &[], key: None }).unwrap();
        load[chosen] += 1;
    }
    assert_eq!(load, [10, 20, 50]);
}

#[test]
fn least_connections_takes_turns_among_equals() {
    let all = counts(&weights(Balance::LeastConn, &[1, 1, 1, 1]), 3, 400);
    assert!(all.values().all(|n| *n == 100), "{all:?}");
}

#[test]
fn random_prefers_the_less_loaded_of_two() {
    let config = weights(Balance::Random, &[1, 1]);
    let mut picker = Picker::new(&config, 7);
    let busy = (0..1000)
        .filter(|n| picker.pick(&Ask { client: client(*n), load: &|i| [9, 0][i], tried: &[], key: None }) == Some(0));
    let busy = busy.count();
    assert!((150..350).contains(&busy), "only when both draws fall on it, a quarter of the time: {busy}");
}

#[test]
fn source_is_the_same_on_every_balancer_and_for_ever() {
    let config = weights(Balance::Source, &[1, 1, 1, 1]);
    let of = |seed| -> Vec<usize> { (0..12).map(|n| pick(&mut Picker::new(&config, seed), n).unwrap()).collect() };
    assert_eq!(of(0), of(99));
    // A golden value: if this changes, every client of a rolling upgrade changes its backend.
    assert_eq!(of(0), GOLDEN);
    let mapped = "::ffff:10.0.0.3".parse().unwrap();
    let mut picker = Picker::new(&config, 0);
    assert_eq!(picker.pick(&Ask { client: mapped, load: &|_| 0, tried: &[], key: None }), Some(GOLDEN[3]));
}

const GOLDEN: [usize; 12] = [1, 0, 1, 0, 3, 2, 1, 2, 0, 1, 1, 2];

#[test]
fn losing_one_backend_of_n_moves_its_own_clients_and_no_others() {
    const CLIENTS: u32 = 10_000;
    for n in [2usize, 3, 5, 10, 30] {
        let config = weights(Balance::Source, &vec![1; n]);
        let mut before = Picker::new(&config, 0);
        let mut without = config.clone();
        without.down.insert(Name::new("b1").unwrap());
        let mut after = Picker::new(&without, 0);
        let mut moved = 0;
        for c in 0..CLIENTS {
            let (old, new) = (pick(&mut before, c).unwrap(), pick(&mut after, c).unwrap());
            assert!(old == new || old == 1, "a client of a backend that is still there was moved");
            moved += u32::from(old != new);
        }
        let share = f64::from(moved) / f64::from(CLIENTS);
        assert!(share <= 1.0 / n as f64 + 0.02, "{n} backends: {share} of the clients moved");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// In every whole round each backend comes exactly as often as its weight says, wherever the round begins.
    #[test]
    fn round_robin_is_fair(w in prop::collection::vec(1u16..20, 1..8), seed in 0u64..50, rounds in 1u32..4) {
        let total: u32 = w.iter().map(|w| u32::from(*w)).sum();
        for (index, n) in counts(&weights(Balance::RoundRobin, &w), seed, total * rounds) {
            prop_assert_eq!(n, u32::from(w[index]) * rounds);
        }
    }

    #[test]
    fn source_and_random_follow_the_weights(w in prop::collection::vec(1u16..9, 2..6), seed: u64) {
        let total: f64 = w.iter().map(|w| f64::from(*w)).sum();
        for balance in [Balance::Source, Balance::Random] {
            let counts = counts(&weights(balance.clone(), &w), seed, 6000);
            for (index, weight) in w.iter().enumerate() {
                let share = f64::from(counts.get(&index).copied().unwrap_or(0)) / 6000.0;
                let wanted = f64::from(*weight) / total;
                // A weightless load makes power-of-two a plain weighted draw of the first of the two.
                prop_assert!((share - wanted).abs() < 0.04, "{:?} {}: {} for {}", balance, index, share, wanted);
            }
        }
    }

    /// A backend that gains weight gains clients and takes them from the others; no client moves between the others.
    #[test]
    fn source_is_monotonous_in_the_weight(w in prop::collection::vec(1u16..9, 2..6), more in 1u16..9) {
        let mut grown = w.clone();
        grown[0] += more;
        let (small, large) = (weights(Balance::Source, &w), weights(Balance::Source, &grown));
        let (mut small, mut large) = (Picker::new(&small, 0), Picker::new(&large, 0));
        for n in 0..500 {
            let (old, new) = (pick(&mut small, n).unwrap(), pick(&mut large, n).unwrap());
            prop_assert!(old == new || new == 0);
        }
    }

    /// Retries go through all members, each once, and end.
    #[test]
    fn what_was_tried_is_not_chosen_again(n in 1usize..8, which in 0usize..8, seed: u64) {
        let mut picker = Picker::new(&weights(Balance::all()[which].clone(), &vec![1; n]), seed);
        let mut tried = Vec::new();
        while let Some(next) = picker.pick(&Ask { client: client(1), load: &|_| 0, tried: &tried, key: None }) {
            prop_assert!(!tried.contains(&next));
            tried.push(next);
        }
        prop_assert_eq!(tried.len(), n);
    }
}
