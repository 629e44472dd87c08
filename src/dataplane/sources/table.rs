//! Tables of clients with a fixed number of slots. A client has its place in one set of [`WAYS`] slots, by a hash that
//! nobody outside can foresee; a slot whose client has used nothing is free for the next one.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

/// Slots that one client may have its place in: they fill two cache lines at most.
const WAYS: usize = 8;

/// How many connections each client has. A slot is a tag of the client above a count; without a count it is free.
#[derive(Debug)]
pub(super) struct Seats {
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
}

/// What came of asking for a seat.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Counted in this slot, to be given back.
    Seat(usize),
    /// The client has as many as it may.
    Full,
    /// Too many clients are there to know this one.
    NoRoom,
}

const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

impl Seats {
    /// With at least so many slots.
    pub(super) fn new(slots: usize) -> Self {
        Self { hasher: RandomState::new(), slots: (0..rounded(slots)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// One more for `client`, who may have `most`.
    pub(super) fn take(&self, client: IpAddr, most: u16) -> Taken {
        let hash = self.hasher.hash_one(client);
        let first = first_of_set(hash, self.slots.len());
        let tag = hash >> COUNT_BITS;
        // Again whenever another thread was faster.
        loop {
            let mut free = None;
            let mut known = None;
            for index in first..first + WAYS {
                let slot = self.slots[index].load(SeqCst);
                match slot & COUNT {
                    0 => free = free.or(Some((index, slot))),
                    _ if slot >> COUNT_BITS == tag => known = Some((index, slot)),
                    _ => {}
                }
            }
            let (index, before, after) = match (known, free) {
                (Some((_, slot)), _) if slot & COUNT >= u64::from(most) => return Taken::Full,
                (Some((index, slot)), _) => (index, slot, slot + 1),
                (None, Some((index, slot))) => (index, slot, tag << COUNT_BITS | 1),
                (None, None) => return Taken::NoRoom,
            };
            if self.slots[index].compare_exchange(before, after, SeqCst, SeqCst).is_ok() {
                return Taken::Seat(index);
            }
        }
    }

    /// The slot keeps its client for as long as it has a count, so this is the one that the seat was taken in.
    pub(super) fn give_back(&self, index: usize) {
        self.slots[index].fetch_sub(1, SeqCst);
    }
}

/// How far each client is ahead of its time. Whose time has come is as if it had never been there, so its slot is free.
pub(super) struct Rates {
    hasher: RandomState,
    slots: Box<[RateSlot]>,
}

#[derive(Default)]
struct RateSlot {
    client: AtomicU64,
    /// The time at which it will have used nothing, in nanoseconds.
    until: AtomicU64,
}

impl Rates {
    /// With at least so many slots.
    pub(super) fn new(slots: usize) -> Self {
        Self { hasher: RandomState::new(), slots: (0..rounded(slots)).map(|_| RateSlot::default()).collect() }
    }

    /// One more for `client` at the time `now`, if that puts it no further than `ahead`; otherwise, in how long it will.
    /// `each` takes so much of its time.
    pub(super) fn admit(&self, client: IpAddr, each: u64, ahead: u64, now: u64) -> Result<(), u64> {
        let Some(slot) = self.slot(client, now) else { return Ok(()) };
        let mut until = slot.until.load(SeqCst);
        loop {
            let next = until.max(now).saturating_add(each);
            if next > now.saturating_add(ahead) {
                return Err(next - now - ahead);
            }
            match slot.until.compare_exchange_weak(until, next, SeqCst, SeqCst) {
                Ok(_) => return Ok(()),
                Err(other) => until = other,
            }
        }
    }

    /// That of `client`, which may have been made its own only now. `None`: too many clients are ahead of their time.
    fn slot(&self, client: IpAddr, now: u64) -> Option<&RateSlot> {
        let hash = self.hasher.hash_one(client);
        let first = first_of_set(hash, self.slots.len());
        let set = &self.slots[first..first + WAYS];
        // None of them is 0, which is nobody.
        let name = hash | 1;
        loop {
            if let Some(known) = set.iter().find(|slot| slot.client.load(SeqCst) == name) {
                return Some(known);
            }
            let free = set.iter().find(|slot| slot.until.load(SeqCst) <= now)?;
            let before = free.client.load(SeqCst);
            // Its time is past, as good as none for the one who comes. Who is just using it loses one request's worth.
            if free.client.compare_exchange(before, name, SeqCst, SeqCst).is_ok() {
                return Some(free);
            }
        }
    }
}

fn rounded(slots: usize) -> usize {
    slots.max(WAYS).next_power_of_two()
}

/// Of the low bits; those above are the tag's.
fn first_of_set(hash: u64, slots: usize) -> usize {
    (hash as usize % (slots / WAYS)) * WAYS
}
