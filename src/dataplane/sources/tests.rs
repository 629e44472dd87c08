use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};

const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn client(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from_bits(0xc633_0000 + number).into()
}

fn start() -> Instant {
    Instant::now()
}

fn connections(most: u16) -> Arc<Sources> {
    Sources::new(SourceLimits { connections: Some(most), requests: None }, None, start()).unwrap()
}

fn requests(count: u16, per: Duration, now: Instant) -> Arc<Sources> {
    let rate = RequestRate { count, per };
    Sources::new(SourceLimits { connections: None, requests: Some(rate) }, None, now).unwrap()
}

#[test]
fn a_client_has_so_many_connections_and_each_that_ends_makes_room() {
    let sources = connections(2);
    let (a, b) = (ip("192.0.2.1"), ip("192.0.2.2"));
    let first = sources.connect(a).unwrap();
    let _second = sources.connect(a).unwrap();
    assert!(sources.connect(a).is_err());
    let _other = sources.connect(b).unwrap();
    drop(first);
    let _third = sources.connect(a).unwrap();
    assert!(sources.connect(a).is_err());
    assert!(sources.request(a, start()).is_ok(), "nobody limits requests");
}

#[test]
fn one_who_has_a_slash_64_is_one_client() {
    let sources = connections(1);
    let _seat = sources.connect(ip("2001:db8:0:1::1")).unwrap();
    assert!(sources.connect(ip("2001:db8:0:1:ffff::2")).is_err());
    let _neighbour = sources.connect(ip("2001:db8:0:2::1")).unwrap();
    let _v4 = sources.connect(ip("192.0.2.1")).unwrap();
    assert!(sources.connect(ip("::ffff:192.0.2.1")).is_err(), "the same address in IPv6's clothes");
}

#[test]
fn a_burst_is_let_through_and_then_one_at_a_time() {
    let now = start();
    let sources = requests(10, 10 * SECOND, now);
    let a = ip("192.0.2.1");
    for n in 0..10 {
        assert_eq!(sources.request(a, now), Ok(()), "{n}");
    }
    assert_eq!(sources.request(a, now), Err(SECOND));
    assert_eq!(sources.request(a, now + SECOND / 2), Err(SECOND / 2));
    assert_eq!(sources.request(ip("192.0.2.2"), now), Ok(()));
    assert_eq!(sources.request(a, now + SECOND), Ok(()));
    assert_eq!(sources.request(a, now + SECOND), Err(SECOND));
    for n in 0..10 {
        assert_eq!(sources.request(a, now + 30 * SECOND), Ok(()), "{n}: it has waited long enough for all");
    }
    assert!(sources.request(a, now + 30 * SECOND).is_err());
}

#[test]
fn an_edit_forgets_nothing() {
    let now = start();
    let limits = |connections, count| SourceLimits {
        connections: Some(connections),
        requests: Some(RequestRate { count, per: SECOND }),
    };
    let before = Sources::new(limits(1, 1), None, now).unwrap();
    let a = ip("192.0.2.1");
    let seat = before.connect(a).unwrap();
    before.request(a, now).unwrap();
    let after = Sources::new(limits(2, 1), Some(&before), now + SECOND / 4).unwrap();
    assert_eq!(after.request(a, now + SECOND / 4), Err(3 * SECOND / 4));
    let _second = after.connect(a).unwrap();
    assert!(after.connect(a).is_err());
    drop(seat);
    assert!(after.connect(a).is_ok(), "a connection of before has ended");
    assert!(Sources::new(SourceLimits::default(), Some(&after), now).is_none());
}

#[test]
fn more_clients_than_there_is_room_for_are_let_through() {
    let seats = Seats::new(64);
    let taken: Vec<_> = (0..1000).map(|n| seats.take(client(n), 1)).collect();
    let count = |wanted: fn(&Taken) -> bool| taken.iter().filter(|t| wanted(t)).count();
    assert_eq!(count(|t| matches!(t, Taken::Seat(_))), 64, "every slot has found somebody");
    assert_eq!(count(|t| *t == Taken::Full), 0, "and nobody was refused for another");
    let rates = Rates::new(64);
    assert!((0..1000).all(|n| rates.admit(client(n), 10, 10, 0).is_ok()));
    let refused = (0..1000).filter(|n| rates.admit(client(*n), 10, 10, 0).is_err()).count();
    assert_eq!(refused, 64, "those who found room are held to the limit");
    assert!((0..1000).all(|n| rates.admit(client(2000 + n), 10, 10, 10).is_ok()));
    let refused = (0..1000).filter(|n| rates.admit(client(2000 + *n), 10, 10, 10).is_err()).count();
    assert_eq!(refused, 64, "and when their time has come, others have their room");
}

#[test]
fn threads_together_get_no_more_than_one_would() {
    const MOST: u16 = 50;
    let sources = connections(MOST);
    let now = start();
    let rated = requests(100, 1000 * SECOND, now);
    let one_thread = || {
        let seats: Vec<_> = (0..40).filter_map(|_| sources.connect(client(1)).ok()).collect();
        (seats, (0..40).filter(|_| rated.request(client(1), now).is_ok()).count())
    };
    let (mut seats, mut admitted) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one_thread)).collect();
        for thread in threads {
            let (theirs, count) = thread.join().unwrap();
            seats.extend(theirs);
            admitted += count;
        }
    });
    assert_eq!((seats.len(), admitted), (usize::from(MOST), 100));
    drop(seats);
    assert!(sources.connect(client(1)).is_ok(), "all were given back");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Beside a model that remembers everything: as long as there is room, a client has exactly what it may.
    #[test]
    fn connections_are_those_of_a_model(steps in prop::collection::vec((0u32..6, any::<bool>()), 0..200), most in 1u16..5) {
        let sources = connections(most);
        let mut model: HashMap<u32, VecDeque<Seat>> = HashMap::new();
        for (who, comes) in steps {
            let theirs = model.entry(who).or_default();
            if !comes {
                theirs.pop_front();
                continue;
            }
            match sources.connect(client(who)) {
                Ok(seat) => {
                    theirs.push_back(seat);
                    prop_assert!(theirs.len() <= usize::from(most));
                }
                Err(Full) => prop_assert_eq!(theirs.len(), usize::from(most)),
            }
        }
    }

    /// Never more than the burst and one per part of the time; and who keeps to its pace is never refused.
    #[test]
    fn a_rate_is_kept_and_gives_all_that_it_may(
        gaps in prop::collection::vec(0u64..400, 1..150),
        count in 1u16..20,
        per in 10u64..2000,
    ) {
        let start = start();
        let per = Duration::from_millis(per);
        let sources = requests(count, per, start);
        let each = per / u32::from(count);
        let (mut now, mut admitted): (Instant, Vec<Instant>) = (start, Vec::new());
        for gap in gaps {
            now += Duration::from_millis(gap);
            match sources.request(client(1), now) {
                Ok(()) => admitted.push(now),
                Err(wait) => {
                    prop_assert!(wait <= each, "one more after {wait:?}, which is no longer than one takes");
                    let recent = admitted.iter().filter(|at| now.duration_since(**at) < per).count();
                    prop_assert!(recent > 0, "somebody who asks once in a while is never refused");
                }
            }
            for since in &admitted {
                let within = admitted.iter().filter(|at| *at >= since).count() as u32;
                let most = u32::from(count) + 1 + (now.duration_since(*since).as_nanos() / each.as_nanos()) as u32;
                prop_assert!(within <= most, "{within} within {:?}", now.duration_since(*since));
            }
        }
    }

    #[test]
    fn who_keeps_to_its_pace_is_never_refused(count in 1u16..100, per in 10u64..5000, late in prop::collection::vec(0u64..50, 1..100)) {
        let start = start();
        let per = Duration::from_millis(per);
        let sources = requests(count, per, start);
        let mut now = start;
        for late in late {
            prop_assert!(sources.request(client(1), now).is_ok());
            now += per.div_f64(count.into()) + Duration::from_millis(late) + Duration::from_nanos(1);
        }
    }
}
