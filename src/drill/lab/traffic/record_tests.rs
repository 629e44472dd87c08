use super::*;
use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "Instants have no other origin")]
fn origin() -> Instant {
    Instant::now()
}

fn vip() -> Name {
    Name::new("web").unwrap()
}

const ADDRESS: &str = "198.51.100.10:80";

/// Attempts of 1 ms: when they began, in ms, and whether they went well.
fn record(origin: Instant, attempts: &[(u64, bool)]) -> Record {
    let attempts = attempts.iter().map(|(ms, good)| Attempt {
        vip: vip(),
        address: ADDRESS.parse().unwrap(),
        started: origin + Duration::from_millis(*ms),
        ended: origin + Duration::from_millis(*ms + 1),
        result: if *good { Ok("web/a".into()) } else { Err("timed out".into()) },
        cut: false,
    });
    Record { attempts: attempts.collect(), broken: Vec::new() }
}

fn ms(origin: Instant, ms: u64) -> Instant {
    origin + Duration::from_millis(ms)
}

#[test]
fn outage_is_the_longest_time_between_good_answers() {
    let zero = origin();
    let record = record(zero, &[(0, true), (10, true), (20, false), (30, false), (40, true), (50, true)]);
    let summary = record.summary(&vip(), zero, ms(zero, 52));
    assert_eq!(summary.outage, Duration::from_millis(30));
    assert_eq!((summary.requests, summary.failed), (6, 2));
    assert_eq!(summary.reasons, [("timed out".to_owned(), 2)]);
}

#[test]
fn an_outage_that_lasts_counts_to_the_end_of_the_step() {
    let zero = origin();
    let record = record(zero, &[(0, true), (10, false)]);
    assert_eq!(record.outage(&vip(), zero, ms(zero, 500)), Duration::from_millis(499));
}

#[test]
fn an_outage_that_began_before_the_step_counts_whole() {
    let zero = origin();
    let record = record(zero, &[(0, true), (100, true)]);
    assert_eq!(record.outage(&vip(), ms(zero, 50), ms(zero, 60)), Duration::from_millis(59));
    assert_eq!(record.outage(&vip(), ms(zero, 50), ms(zero, 102)), Duration::from_millis(100));
}

#[test]
fn nothing_at_all_is_one_long_outage() {
    let zero = origin();
    let record = record(zero, &[(0, false)]);
    assert_eq!(record.outage(&vip(), zero, ms(zero, 100)), Duration::from_millis(100));
}

#[test]
fn a_dead_address_is_not_hidden_by_a_living_one() {
    let zero = origin();
    let mut record = record(zero, &[(0, true), (10, true), (20, true), (30, true)]);
    record.attempts.push(Attempt {
        address: "[2001:db8::10]:80".parse().unwrap(),
        result: Err("refused".into()),
        ..record.attempts[1].clone()
    });
    assert_eq!(record.outage(&vip(), zero, ms(zero, 32)), Duration::from_millis(32));
}

#[test]
fn other_vips_and_other_times_do_not_count() {
    let zero = origin();
    let mut record = record(zero, &[(0, false), (10, true), (20, true), (30, false)]);
    record.attempts[1].vip = Name::new("mail").unwrap();
    record.broken.push(Broken { vip: vip(), at: ms(zero, 35), why: "reset".into() });
    let summary = record.summary(&vip(), ms(zero, 5), ms(zero, 25));
    assert_eq!((summary.requests, summary.failed, summary.broken), (1, 0, 0));
    let later = record.summary(&vip(), ms(zero, 25), ms(zero, 50));
    assert_eq!((later.requests, later.failed, later.broken), (1, 1, 1));
    assert_eq!(record.last_failure(&vip(), zero, ms(zero, 50)), Some(ms(zero, 30)));
}

#[test]
fn a_request_that_was_cut_is_a_broken_connection_and_no_answer() {
    let zero = origin();
    let mut record = record(zero, &[(0, true), (10, false), (20, true)]);
    record.attempts[1].cut = true;
    let summary = record.summary(&vip(), zero, ms(zero, 22));
    assert_eq!((summary.failed, summary.cut, summary.broken), (0, 1, 1));
    assert_eq!(summary.outage, Duration::from_millis(20));
    assert_eq!(record.last_failure(&vip(), zero, ms(zero, 22)), Some(ms(zero, 10)));
}

#[test]
fn serving_means_every_address_well_and_none_badly() {
    let zero = origin();
    let record = record(zero, &[(0, false), (10, true)]);
    let wanted = BTreeSet::from([ADDRESS.parse().unwrap()]);
    assert!(record.serves_since(&vip(), &wanted, ms(zero, 5)));
    assert!(!record.serves_since(&vip(), &wanted, zero), "one failed");
    assert!(!record.serves_since(&vip(), &wanted, ms(zero, 11)), "nothing was heard");
    let more = BTreeSet::from([ADDRESS.parse().unwrap(), "198.51.100.10:25".parse().unwrap()]);
    assert!(!record.serves_since(&vip(), &more, ms(zero, 5)), "one port was never asked");
    assert_eq!(record.served_since(zero), BTreeMap::from([("web/a", 1)]));
}

proptest! {
    /// Against a slower model: try every pair of neighbouring good answers.
    #[test]
    fn outage_agrees_with_a_scan_of_every_millisecond(
        attempts in proptest::collection::vec((0u64..200, any::<bool>()), 0..40),
        length in 1u64..250,
    ) {
        let zero = origin();
        let record = record(zero, &attempts);
        let good = |at: u64| attempts.iter().any(|(start, good)| *good && start + 1 == at);
        let (mut longest, mut run) = (0, 0);
        for at in 1..length {
            run += 1;
            longest = longest.max(run);
            if good(at) {
                run = 0;
            }
        }
        longest = longest.max(run + 1);
        prop_assert_eq!(record.outage(&vip(), zero, ms(zero, length)), Duration::from_millis(longest));
    }
}
