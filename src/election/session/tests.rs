use super::*;
use crate::model::Name;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const A: u64 = 0xa;
const B: u64 = 0xb;

#[expect(clippy::disallowed_methods, reason = "an Instant has no other origin; only differences matter")]
fn start() -> Instant {
    Instant::now()
}

fn packet(session: u64, path: u8, seq: u64, echo: Option<Echo>) -> Packet {
    Packet {
        sender: Name::new("a").unwrap(),
        destination: Name::new("b").unwrap(),
        path,
        session,
        seq,
        round: 0,
        slice: 0,
        slices: 1,
        interval: MS * 25,
        dead_after: MS * 100,
        echo,
        version: String::new(),
        macs: Vec::new(),
        fenced: true,
        fronts: Vec::new(),
        claims: Vec::new(),
    }
}

/// What `from` sends next on `path`.
fn next(from: &mut Session, now: Instant, path: u8) -> Packet {
    let (seq, echo) = from.stamp(now, path, true).unwrap();
    packet(from.mine, path, seq, echo)
}

/// Sends a packet and, if it earns one, the reply; the verdict on the packet.
fn deliver(from: &mut Session, to: &mut Session, now: Instant, sent: &Packet) -> Verdict {
    let verdict = to.receive(now, sent);
    if let Verdict::Reply(echo) = verdict {
        let seq = to.stamp_reply(now, sent.path).unwrap();
        from.receive(now, &packet(to.mine, sent.path, seq, Some(echo)));
    }
    verdict
}

/// Two sessions that have found each other.
fn pair(now: Instant) -> (Session, Session) {
    let (mut a, mut b) = (Session::new(A, 0..1, 1), Session::new(B, 0..1, 1));
    let hello = next(&mut a, now, 0);
    deliver(&mut a, &mut b, now, &hello);
    let answer = next(&mut a, now, 0);
    assert_eq!(deliver(&mut a, &mut b, now, &answer), Verdict::Live { adopted: true });
    (a, b)
}

#[test]
fn three_packets_make_a_session() {
    let now = start();
    let (mut a, mut b) = (Session::new(A, 0..1, 1), Session::new(B, 0..1, 1));
    let hello = next(&mut a, now, 0);
    let Verdict::Reply(echo) = b.receive(now, &hello) else { panic!("a hello earns a reply") };
    let seq = b.stamp_reply(now, 0).unwrap();
    assert_eq!(a.receive(now, &packet(B, 0, seq, Some(echo))), Verdict::Live { adopted: true });
    let third = next(&mut a, now, 0);
    assert_eq!(b.receive(now, &third), Verdict::Live { adopted: true });
}

#[test]
fn a_restart_of_either_side_is_found_out() {
    let now = start();
    let (a, mut b) = pair(now);
    let mut again = Session::new(0xa2, 0..1, 1);
    let hello = next(&mut again, now, 0);
    assert!(matches!(deliver(&mut again, &mut b, now, &hello), Verdict::Reply(_)));
    assert_eq!(next(&mut b, now, 0).echo.unwrap().session, A, "the regular stream is not moved by a hello");
    let verified = next(&mut again, now, 0);
    assert_eq!(deliver(&mut again, &mut b, now, &verified), Verdict::Live { adopted: true });
    assert_eq!(next(&mut b, now, 0).echo.unwrap().session, 0xa2);
    drop(a);
}

#[test]
fn a_session_that_was_left_is_never_adopted_again() {
    let now = start();
    let (mut a, mut b) = pair(now);
    let late = next(&mut a, now, 0);
    let mut again = Session::new(0xa2, 0..1, 1);
    for _ in 0..2 {
        let sent = next(&mut again, now, 0);
        deliver(&mut again, &mut b, now, &sent);
    }
    assert_eq!(b.receive(now, &late), Verdict::Refused("stale_session"));
}

/// Recorded before `b` forgot which sessions are over: the echo gives it away.
#[test]
fn an_echo_of_the_past_adopts_nothing() {
    let now = start();
    let (mut a, mut b) = pair(now);
    let recorded = next(&mut a, now, 0);
    b.receive(now, &next(&mut a, now, 0));
    b.over.clear();
    b.theirs = None;
    assert!(matches!(b.receive(now, &recorded), Verdict::Reply(_)));
    assert_eq!(b.theirs, None);
}

/// A datagram of the former process arrives after its successor has been adopted, and echoes a higher number.
#[test]
fn a_successor_that_was_taken_for_the_former_process_is_adopted_again() {
    let now = start();
    let (mut a, mut b) = pair(now);
    let mut again = Session::new(0xa2, 0..1, 1);
    for _ in 0..2 {
        let sent = next(&mut again, now, 0);
        deliver(&mut again, &mut b, now, &sent);
    }
    assert_eq!(b.theirs, Some(0xa2));
    (b.theirs, b.over) = (Some(A), VecDeque::from([0xa2]));
    a.theirs = None;
    let refused = next(&mut again, now, 0);
    assert_eq!(b.receive(now, &refused), Verdict::Refused("stale_session"), "the other may be alive");
    let later = now + MS * 101;
    for _ in 0..2 {
        let sent = next(&mut again, later, 0);
        deliver(&mut again, &mut b, later, &sent);
    }
    assert_eq!((b.theirs, b.over), (Some(0xa2), VecDeque::from([A])));
}

/// The peer restarts, learns on one path that it is heard, and that path is cut before it can prove it.
#[test]
fn a_handshake_is_completed_on_another_path() {
    let now = start();
    let (mut a, mut b) = (Session::new(A, 0..2, 1), Session::new(B, 0..2, 1));
    for path in [0, 1, 0, 1] {
        let sent = next(&mut a, now, path);
        deliver(&mut a, &mut b, now, &sent);
        let sent = next(&mut b, now, path);
        deliver(&mut b, &mut a, now, &sent);
    }
    let mut again = Session::new(0xa2, 0..2, 1);
    let hello = next(&mut again, now, 0);
    assert!(matches!(deliver(&mut again, &mut b, now, &hello), Verdict::Reply(_)));
    assert_eq!(again.theirs, Some(B));
    let unproven = next(&mut again, now, 1);
    assert!(matches!(deliver(&mut again, &mut b, now, &unproven), Verdict::Reply(_)));
    let proof = next(&mut again, now, 1);
    assert_eq!(deliver(&mut again, &mut b, now, &proof), Verdict::Live { adopted: true });
}

#[test]
fn an_echo_of_the_future_is_refused() {
    let now = start();
    let (_, mut b) = pair(now);
    let echo = Echo { session: B, seq: 1_000_000, hold: Duration::ZERO, hears_you: true };
    assert_eq!(b.receive(now, &packet(A, 0, 1_000, Some(echo))), Verdict::Refused("stale_session"));
}

#[test]
fn each_number_counts_once() {
    let now = start();
    let (mut a, mut b) = pair(now);
    let first = next(&mut a, now, 0);
    let second = next(&mut a, now, 0);
    assert_eq!(b.receive(now, &second), Verdict::Live { adopted: false });
    assert_eq!(b.receive(now, &second), Verdict::Refused("replayed"));
    assert_eq!(b.receive(now, &first), Verdict::Refused("replayed"));
    assert_eq!(b.path(0).unwrap().lost, 1);
}

#[test]
fn a_path_that_does_not_exist_is_refused() {
    let now = start();
    let (_, mut b) = pair(now);
    assert_eq!(b.receive(now, &packet(A, 1, 9, None)), Verdict::Refused("wrong_path"));
}

#[test]
fn hellos_earn_few_replies_and_each_recording_only_one() {
    let now = start();
    let mut b = Session::new(B, 0..1, 1);
    let replies = |b: &mut Session, at: Instant, seqs: std::ops::Range<u64>| {
        seqs.filter(|seq| matches!(b.receive(at, &packet(0xbad, 0, *seq, None)), Verdict::Reply(_))).count()
    };
    assert_eq!(replies(&mut b, now, 1..1000), 1, "a flood earns one reply");
    assert_eq!(replies(&mut b, now + MS * 20, 1..1000), 0, "what was seen earns none");
    assert_eq!(replies(&mut b, now + MS * 20, 1000..2000), 1);
    let mut a = Session::new(A, 0..1, 1);
    let hello = next(&mut a, now, 0);
    assert!(matches!(b.receive(now, &hello), Verdict::Reply(_)), "another session is not held back");
}

#[test]
fn a_path_added_later_begins_where_no_recording_can_be() {
    let now = start();
    let (mut a, mut b) = pair(now);
    b.set_paths(0..2, 5_000);
    a.set_paths(0..2, 5_000);
    let sent = next(&mut a, now, 1);
    assert_eq!(sent.seq, 5_000);
    assert_eq!(b.receive(now, &sent), Verdict::Live { adopted: false });
}

#[test]
fn the_round_trip_leaves_out_the_wait_and_what_is_echoed_ages() {
    let now = start();
    let (mut a, mut b) = pair(now);
    let ping = next(&mut a, now, 0);
    b.receive(now + MS * 2, &ping);
    let pong = next(&mut b, now + MS * 12, 0);
    a.receive(now + MS * 15, &pong);
    assert_eq!(a.path(0).unwrap().rtt, Some(MS * 5));
    assert!(a.echoed_within(now + MS * 99, MS * 100));
    assert!(!a.echoed_within(now + MS * 100, MS * 100));
}

proptest! {
    /// Whatever is recorded of two former processes, in whatever order it is played back: it is never live.
    #[test]
    fn no_recording_is_ever_live(order in prop::collection::vec(0usize..1000, 1..200)) {
        let now = start();
        let (mut a, mut b) = pair(now);
        let mut recorded = Vec::new();
        for _ in 0..20 {
            let sent = next(&mut a, now, 0);
            b.receive(now, &sent);
            recorded.push(sent);
            let back = next(&mut b, now, 0);
            a.receive(now, &back);
        }
        let mut again = Session::new(0xa2, 0..1, 1);
        for _ in 0..3 {
            let sent = next(&mut again, now, 0);
            deliver(&mut again, &mut b, now, &sent);
            recorded.push(sent);
        }
        for index in order {
            let verdict = b.receive(now, &recorded[index % recorded.len()]);
            prop_assert!(!matches!(verdict, Verdict::Live { .. }), "{verdict:?}");
        }
        let sent = next(&mut again, now, 0);
        prop_assert_eq!(b.receive(now, &sent), Verdict::Live { adopted: false });
    }

    /// A recording against an agent that has restarted since: not live either, and the live peer stays live.
    #[test]
    fn no_recording_is_live_after_my_restart(order in prop::collection::vec(0usize..1000, 1..200)) {
        let now = start();
        let (mut a, mut b) = pair(now);
        let recorded: Vec<Packet> = (0..20).map(|_| next(&mut a, now, 0)).collect();
        b.receive(now, &recorded[0]);
        let mut b = Session::new(0xb2, 0..1, 1);
        let mut heard = false;
        for (turn, index) in order.into_iter().enumerate() {
            let verdict = b.receive(now, &recorded[index % recorded.len()]);
            prop_assert!(!matches!(verdict, Verdict::Live { .. }), "{verdict:?}");
            if turn % 7 == 0 {
                let back = next(&mut b, now, 0);
                deliver(&mut b, &mut a, now, &back);
                let sent = next(&mut a, now, 0);
                heard |= matches!(deliver(&mut a, &mut b, now, &sent), Verdict::Live { .. });
            }
        }
        let sent = next(&mut a, now, 0);
        if heard {
            prop_assert_eq!(b.receive(now, &sent), Verdict::Live { adopted: false });
        }
    }
}

#[test]
fn losses_are_averaged_over_some_seconds_and_forgotten() {
    let now = start();
    let (mut a, mut b) = pair(now);
    for count in 0..800 {
        let sent = next(&mut a, now, 0);
        if count % 5 != 0 {
            assert_eq!(b.receive(now, &sent), Verdict::Live { adopted: false });
        }
    }
    let loss = b.path(0).unwrap().loss;
    assert!((0.1..0.25).contains(&loss), "a fifth is lost: {loss}");
    for _ in 0..2000 {
        let sent = next(&mut a, now, 0);
        b.receive(now, &sent);
    }
    assert!(b.path(0).unwrap().loss < 0.005);
}

#[test]
fn after_a_jump_of_the_clock_only_new_echoes_prove_hearing() {
    let now = start();
    let (mut a, mut b) = pair(now);
    let echo = |a: &mut Session, b: &mut Session, now| {
        let question = next(a, now, 0);
        b.receive(now, &question);
        let answer = next(b, now, 0);
        a.receive(now, &answer);
    };
    echo(&mut a, &mut b, now);
    assert!(a.echoed_within(now + MS, MS * 100) && a.is_fresh());
    a.ask_anew(now + MS);
    assert!(!a.echoed_within(now + MS, MS * 100) && !a.is_fresh());
    let late = next(&mut b, now + MS, 0);
    a.receive(now + MS, &late);
    assert!(!a.is_fresh(), "an echo of what was sent before");
    echo(&mut a, &mut b, now + MS * 2);
    assert!(a.echoed_within(now + MS * 3, MS * 100) && a.is_fresh());
}
