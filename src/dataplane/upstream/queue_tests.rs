//! The queue alone: places that change hands, and many threads at once.

use super::{
    queue::{Place, Queue, Wants},
    shared::BackendShared,
};
use crate::{
    dataplane::config::{Pool, PoolVersion},
    model::{self, Backend, Name, PoolConfig},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::oneshot::error::TryRecvError,
    time::{Instant, timeout},
};

fn config(limits: &[Option<u16>]) -> PoolConfig {
    let backend = |(n, max_connections): (usize, &Option<u16>)| Backend {
        max_connections: *max_connections,
        ..Backend::new(Name::new(&format!("b{n}")).unwrap(), "192.0.2.1:80".parse().unwrap())
    };
    let pool = model::Pool {
        name: Name::new("pool").unwrap(),
        balance: Default::default(),
        sticky: None,
        check: Default::default(),
        backends: limits.iter().enumerate().map(backend).collect(),
        timeouts: Default::default(),
        serving: Default::default(),
    };
    PoolConfig { pool: Arc::new(pool), down: Default::default() }
}

fn pool(limits: &[Option<u16>]) -> Arc<Pool> {
    Arc::new(Pool::new(1, PoolVersion::new(&config(limits), None, 1, Instant::now())))
}

fn edit(pool: &Arc<Pool>, config: &PoolConfig) {
    let version = PoolVersion::new(config, Some(&pool.current.load()), 1, Instant::now());
    pool.current.store(Arc::new(version));
    pool.queue.edited(pool);
}

fn backend(pool: &Pool, place: usize) -> Arc<BackendShared> {
    pool.current.load().backends[place].clone()
}

fn any() -> Wants {
    Wants::AnyBut(Vec::new())
}

#[test]
fn a_place_goes_to_the_first_in_line_who_can_use_it() {
    let pool = pool(&[Some(1), Some(1)]);
    let [b0, b1] = [0, 1].map(|n| backend(&pool, n));
    let (first, second) = (Place::take(&pool, &b0, Some(1)).unwrap(), Place::take(&pool, &b1, Some(1)).unwrap());
    assert!(Place::take(&pool, &b0, Some(1)).is_none());
    let mut line = [Wants::This(b0.clone()), Wants::AnyBut(vec![b1.clone()]), any(), any()]
        .map(|wants| Queue::join(&pool, wants, None).unwrap());
    assert!(line.iter_mut().all(|waiting| matches!(waiting.called.try_recv(), Err(TryRecvError::Empty))));
    drop(second);
    let served = line[2].called.try_recv().expect("the first two cannot use it");
    assert!(Arc::ptr_eq(served.backend(), &b1));
    drop(first);
    let served = line[0].called.try_recv().unwrap();
    assert!(Arc::ptr_eq(served.backend(), &b0));
    drop(served);
    let _served = line[1].called.try_recv().expect("and so on");
    assert_eq!(pool.queue.traffic().queued, 1);
}

#[test]
fn who_leaves_passes_on_what_was_kept_for_him() {
    let pool = pool(&[Some(1)]);
    let place = Place::take(&pool, &backend(&pool, 0), Some(1)).unwrap();
    let [left, called, mut last] = [(); 3].map(|()| Queue::join(&pool, any(), None).unwrap());
    drop(left);
    drop(place);
    assert!(matches!(last.called.try_recv(), Err(TryRecvError::Empty)), "it is kept for the one before");
    drop(called);
    assert!(last.called.try_recv().is_ok());
    drop(last);
    assert!(!pool.queue.is_waited_in());
    assert!(backend(&pool, 0).has_place(Some(1)), "every place was given back");
}

#[test]
fn a_ticket_keeps_its_place_in_the_line() {
    let pool = pool(&[Some(1)]);
    let place = Place::take(&pool, &backend(&pool, 0), Some(1)).unwrap();
    let first = Queue::join(&pool, any(), None).unwrap();
    let mut second = Queue::join(&pool, any(), None).unwrap();
    let ticket = first.ticket;
    drop(first);
    let mut first = Queue::join(&pool, any(), Some(ticket)).unwrap();
    drop(place);
    let _served = first.called.try_recv().expect("it was the first");
    assert!(second.called.try_recv().is_err());
    assert_eq!(pool.queue.traffic().queued_total, 2, "coming back is not coming");
}

#[test]
fn an_edit_calls_those_whom_it_lets_in_and_those_whom_nothing_is_left_for() {
    let pool = pool(&[Some(1), None]);
    let mut config = config(&[Some(1), None]);
    config.down = [Name::new("b1").unwrap()].into();
    edit(&pool, &config);
    let [b0, b1] = [0, 1].map(|n| backend(&pool, n));
    let _place = Place::take(&pool, &b0, Some(1)).unwrap();
    let mut in_vain = Queue::join(&pool, Wants::This(b1.clone()), None).unwrap();
    assert!(matches!(in_vain.called.try_recv(), Err(TryRecvError::Closed)), "it is down already");
    let mut sticky = Queue::join(&pool, Wants::This(b0), None).unwrap();
    let mut other = Queue::join(&pool, any(), None).unwrap();
    config.down = [Name::new("b0").unwrap()].into();
    edit(&pool, &config);
    assert!(matches!(sticky.called.try_recv(), Err(TryRecvError::Closed)));
    assert!(Arc::ptr_eq(other.called.try_recv().unwrap().backend(), &b1));
    assert!(!pool.queue.is_waited_in());
}

/// Threads that take places, hold them, wait for them, and leave the queue at all moments. Nobody is forgotten in it,
/// and no backend ever has more than it may.
#[test]
fn under_a_storm_no_place_is_lost_and_none_is_given_twice() {
    const LIMITS: [u16; 2] = [2, 1];
    let pool = pool(&LIMITS.map(Some));
    let busy = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let runs = (0..6u64).map(|seed| {
        let (pool, busy) = (pool.clone(), busy.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(storm(seed, &pool, &busy))
        })
    });
    let served: u32 = runs.collect::<Vec<_>>().into_iter().map(|run| run.join().unwrap()).sum();
    assert!(served > 0);
    assert!(!pool.queue.is_waited_in());
    for (place, limit) in LIMITS.into_iter().enumerate() {
        assert_eq!((backend(&pool, place).taken(), busy[place].load(SeqCst)), (0, 0), "of {limit}");
    }
}

async fn storm(seed: u64, pool: &Arc<Pool>, busy: &[AtomicU32; 2]) -> u32 {
    let (mut state, mut served) = (seed, 0);
    let mut dice = move |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    };
    for _ in 0..400 {
        let [b0, b1] = [0, 1].map(|n| backend(pool, n));
        let wants = match dice(4) {
            0 => Wants::This(b0.clone()),
            1 => Wants::AnyBut(vec![b1.clone()]),
            _ => any(),
        };
        let mut waiting = Queue::join(pool, wants, None).unwrap();
        let patience = if dice(4) == 0 { Duration::from_micros(dice(300)) } else { Duration::from_secs(10) };
        let Ok(called) = timeout(patience, &mut waiting.called).await else {
            assert!(patience < Duration::from_secs(1), "forgotten in the queue");
            continue;
        };
        let place = called.unwrap();
        let number = usize::from(Arc::ptr_eq(place.backend(), &b1));
        assert!(busy[number].fetch_add(1, SeqCst) < [2, 1][number], "more than there may be");
        if dice(2) == 0 {
            tokio::time::sleep(Duration::from_micros(dice(200))).await;
        }
        busy[number].fetch_sub(1, SeqCst);
        drop(place);
        served += 1;
    }
    served
}
