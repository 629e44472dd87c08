//! What hashes promise, over pools of any size, weights and order.

use super::{tests::*, *};
use crate::model::{Backend, Name};
use proptest::prelude::*;
use std::sync::Arc;

const KEYS: u64 = 4000;

/// Where each key goes, by name.
fn homes(config: &PoolConfig) -> Vec<Name> {
    let mut picker = Picker::new(config, 0);
    let names = |n| config.pool.backends[choose(&mut picker, n).unwrap()].name.clone();
    (0..KEYS).map(names).collect()
}

/// By the n-th address and the n-th key.
fn choose(picker: &mut Picker, n: u64) -> Option<usize> {
    let key = Some(key(format!("/page/{n}").as_bytes()));
    picker.pick(&Ask { client: client(n as u32), key, load: &|_| 0, tried: &[] })
}

fn hashed() -> impl Strategy<Value = Balance> {
    let header = Balance::Header("X-User".into());
    prop::sample::select(vec![Balance::Source, Balance::Uri { query: false }, Balance::Uri { query: true }, header])
}

/// The same pool from a file in another order.
fn permuted(config: &PoolConfig, by: &[u32]) -> PoolConfig {
    let mut other = config.clone();
    let mut backends: Vec<(u32, Backend)> = by.iter().copied().cycle().zip(config.pool.backends.clone()).collect();
    backends.sort_by_key(|(order, _)| *order);
    Arc::make_mut(&mut other.pool).backends = backends.into_iter().map(|(_, backend)| backend).collect();
    other
}

fn share(of: usize) -> f64 {
    of as f64 / KEYS as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    /// The keys of one that is lost go elsewhere and no other key moves; when it comes back, they do. That is its share
    /// by weight, which is 1/N where all weigh the same.
    #[test]
    fn one_lost_or_added_moves_its_share(
        balance in hashed(), w in prop::collection::vec(1u16..=16, 2..24), equal: bool, lost: prop::sample::Index,
    ) {
        let w: Vec<u16> = if equal { vec![7; w.len()] } else { w };
        let lost = lost.index(w.len());
        let all = weights(balance, &w);
        let name = all.pool.backends[lost].name.clone();
        let mut without = all.clone();
        without.down.insert(name.clone());
        let (before, after) = (homes(&all), homes(&without));
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new).count();
        for (old, new) in before.iter().zip(&after) {
            prop_assert!((*old == name) == (old != new), "{old} to {new}");
        }
        let due = f64::from(w[lost]) / f64::from(w.iter().sum::<u16>());
        // Six standard deviations of a sample of this size, at most 2 % of the keys for 1/N ≤ 1/20.
        let slack = 0.02f64.max(6.0 * (due * (1.0 - due) / KEYS as f64).sqrt());
        prop_assert!(share(moved) <= due + slack, "{} moved, its share is {due}", share(moved));
        prop_assert!(share(moved) >= due - slack, "{} moved, its share is {due}", share(moved));
    }

    /// Another weight moves keys to or from that backend alone, and as many as the difference of its shares.
    #[test]
    fn an_edit_of_one_weight_moves_the_difference(
        balance in hashed(), mut w in prop::collection::vec(1u16..=16, 2..12), which: prop::sample::Index, new in 1u16..=32,
    ) {
        let which = which.index(w.len());
        let due = |w: &[u16]| f64::from(w[which]) / f64::from(w.iter().sum::<u16>());
        let (before, due_before) = (weights(balance.clone(), &w), due(&w));
        w[which] = new;
        let (after, due_after) = (weights(balance, &w), due(&w));
        let name = &before.pool.backends[which].name;
        let (old, new) = (homes(&before), homes(&after));
        let moved: Vec<_> = old.iter().zip(&new).filter(|(old, new)| old != new).collect();
        let gains = due_after > due_before;
        prop_assert!(moved.iter().all(|(old, new)| name == if gains { *new } else { *old }), "{moved:?}");
        prop_assert!((share(moved.len()) - (due_after - due_before).abs()).abs() < 0.04);
    }

    /// Two balancers with the same objects choose alike: the order in the file, what was asked before, who was down
    /// meanwhile, what the backends are busy with and the number of the worker make no difference.
    #[test]
    fn both_balancers_choose_alike(
        balance in hashed(), w in prop::collection::vec(0u16..=4, 2..12), by in prop::collection::vec(any::<u32>(), 12),
        history in prop::collection::vec((any::<u32>(), any::<bool>()), 0..40), seeds: (u64, u64),
    ) {
        let one = weights(balance, &w);
        let other = permuted(&one, &by);
        let (mut left, mut right) = (Picker::new(&one, seeds.0), Picker::new(&other, seeds.1));
        for (n, with_key) in history {
            let key = with_key.then_some(u64::from(n));
            right.pick(&Ask { client: client(n % 1000), key, load: &|_| n, tried: &[0] });
        }
        let name = |config: &PoolConfig, place: Option<usize>| place.map(|p| config.pool.backends[p].name.clone());
        for n in 0..200 {
            let (here, there) = (choose(&mut left, n), choose(&mut right, n));
            prop_assert_eq!(here.is_some(), w.iter().any(|w| *w > 0));
            prop_assert_eq!(name(&one, here), name(&other, there));
        }
    }

    /// Stickiness by address is a hash of its own, over any algorithm, and does not follow weights that warm up.
    #[test]
    fn a_home_is_the_same_on_both_balancers(
        which in 0usize..8, w in prop::collection::vec(1u16..=4, 2..12), by in prop::collection::vec(any::<u32>(), 12),
    ) {
        let mut one = weights(Balance::all()[which].clone(), &w);
        prop_assert_eq!(Picker::new(&one, 0).home(client(1), &[]), None, "it is not sticky");
        Arc::make_mut(&mut one.pool).sticky = Some(Sticky::Source);
        let other = permuted(&one, &by);
        let (left, mut right) = (Picker::new(&one, 0), Picker::new(&other, 7));
        right.reweigh(|place| place as u32 + 1);
        for n in 0..100 {
            let (here, there) = (left.home(client(n), &[]).unwrap(), right.home(client(n), &[]).unwrap());
            prop_assert_eq!(&one.pool.backends[here].name, &other.pool.backends[there].name);
            prop_assert!(left.home(client(n), &[here]) != Some(here));
        }
    }

    /// Whatever the algorithm: neither what was tried, nor what is down, nor what has weight 0.
    #[test]
    fn nobody_gets_what_he_must_not(
        which in 0usize..8, w in prop::collection::vec(0u16..=4, 1..12), down: u16, tried: u16, loads: u64, seed: u64,
    ) {
        let mut config = weights(Balance::all()[which].clone(), &w);
        for (place, backend) in config.pool.backends.iter().enumerate() {
            if down >> place & 1 == 1 {
                config.down.insert(backend.name.clone());
            }
        }
        let tried: Vec<usize> = (0..w.len()).filter(|place| tried >> place & 1 == 1).collect();
        let allowed = |place: usize| w[place] > 0 && down >> place & 1 == 0 && !tried.contains(&place);
        let mut picker = Picker::new(&config, seed);
        let load = |place: usize| (loads >> (4 * place)) as u32 & 15;
        for n in 0..30 {
            let key = (n % 3 > 0).then_some(u64::from(n));
            let chosen = picker.pick(&Ask { client: client(n), key, load: &load, tried: &tried });
            prop_assert_eq!(chosen.is_some(), (0..w.len()).any(allowed));
            prop_assert!(chosen.is_none_or(allowed), "{:?}", chosen);
            match config.pool.balance {
                Balance::First => prop_assert_eq!(chosen, (0..w.len()).find(|place| allowed(*place))),
                Balance::LeastConn => {
                    let after = |place: usize| f64::from(load(place) + 1) / f64::from(w[place]);
                    let least = (0..w.len()).filter(|place| allowed(*place)).map(after).fold(f64::MAX, f64::min);
                    prop_assert!(chosen.is_none_or(|chosen| after(chosen) <= least + 1e-9));
                }
                _ => {}
            }
        }
    }

    /// The same as looking at one logarithm for each member.
    #[test]
    fn classes_of_weights_change_nothing(w in prop::collection::vec(1u16..=3, 2..40)) {
        let config = weights(Balance::Uri { query: false }, &w);
        let mut picker = Picker::new(&config, 0);
        for n in 0..100u64 {
            let key = key(format!("/page/{n}").as_bytes());
            let draw = |place: usize| {
                let name = hash::bytes(config.pool.backends[place].name.as_bytes());
                let uniform = ((hash::mix(name ^ key.rotate_left(32)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
                -f64::from(w[place]) / uniform.ln()
            };
            let best = (0..w.len()).max_by(|a, b| draw(*a).total_cmp(&draw(*b)));
            prop_assert_eq!(choose(&mut picker, n), best);
        }
    }
}

#[test]
fn requests_without_the_field_take_turns() {
    let mut picker = Picker::new(&weights(Balance::Header("X-User".into()), &[1, 1, 1]), 0);
    let mut without = || picker.pick(&Ask { client: client(1), key: None, load: &|_| 0, tried: &[] }).unwrap();
    assert_eq!([without(), without(), without(), without()], [0, 1, 2, 0]);
}

/// Not a bound: a figure for the documentation, `--nocapture` shows it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn five_hundred_backends() {
    for (what, w) in [("one weight", vec![1; 500]), ("ten weights", (0..500).map(|i| 1 + i % 10).collect())] {
        let mut picker = Picker::new(&weights(Balance::Uri { query: false }, &w), 0);
        let begin = std::time::Instant::now();
        let picks = (0..2000).filter(|n| choose(&mut picker, *n).is_some()).count();
        println!("{what}: {:?} for each choice among 500", begin.elapsed() / 2000);
        assert_eq!(picks, 2000);
    }
}
