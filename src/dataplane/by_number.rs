//! A map by numbers that this process has given out itself, one after the other. Nobody outside chooses them, so they need
//! no hash that withstands that, and what is looked up for every request is found in a few instructions.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// By such a number.
pub(super) type ByNumber<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// Spreads numbers that follow each other.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_spread() {
        let hash = |number: u64| {
            let mut spread = Spread::default();
            spread.write_u64(number);
            spread.finish()
        };
        // The table goes by the lowest bits, and tells what meets there apart by the highest.
        let low: std::collections::BTreeSet<_> = (0..64).map(|number| hash(number) % 64).collect();
        let high: std::collections::BTreeSet<_> = (0..128).map(|number| hash(number) >> 57).collect();
        assert!(low.len() == 64 && high.len() > 96, "{low:?} {high:?}");
        let map: ByNumber<u64> = (0..1000).map(|number| (number, number)).collect();
        assert!((0..1000).all(|number| map.get(&number) == Some(&number)) && !map.contains_key(&1000));
    }
}
