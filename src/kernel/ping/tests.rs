use super::*;
use crate::kernel::testing::{Host, eventually, joined};
use futures::future::join_all;

const PATIENT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pair() -> [Host; 2] {
    let [host, peer] = joined();
    [host.with(&["192.0.2.1/24", "2001:db8::1/64"]), peer.with(&["192.0.2.2/24", "2001:db8::2/64"])]
}

#[test]
fn whoever_is_there_answers() {
    let [host, _peer] = pair();
    host.run(async |_| {
        let pinger = Pinger::new().unwrap();
        for target in ["192.0.2.2", "2001:db8::2", "127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"] {
            let took = pinger.ping(ip(target), PATIENT).await.unwrap();
            assert!(took > Duration::ZERO && took < PATIENT, "{target}: {took:?}");
        }
        assert!(pinger.pending.lock().is_empty());
    });
}

#[test]
fn whoever_is_not_there_does_not() {
    let [host, _peer] = pair();
    host.run(async |_| {
        let pinger = Pinger::new().unwrap();
        for target in ["192.0.2.99", "2001:db8::99"] {
            let error = pinger.ping(ip(target), SHORT).await.unwrap_err();
            assert!(matches!(error, PingError::Timeout { .. }), "{error:?}");
            assert_eq!(error.to_string(), format!("no answer from {target} within 100 ms"));
        }
        assert!(pinger.pending.lock().is_empty());
    });
}

#[test]
fn without_a_route_the_error_comes_at_once_and_names_the_target() {
    let host = Host::new();
    host.run(async |_| {
        let pinger = Pinger::new().unwrap();
        for target in ["192.0.2.2", "2001:db8::2"] {
            let error = pinger.ping(ip(target), PATIENT).await.unwrap_err();
            assert!(matches!(error, PingError::Send(_)), "{error:?}");
            assert!(error.to_string().starts_with(&format!("cannot ping {target}: ")), "{error}");
        }
        assert!(pinger.pending.lock().is_empty());
    });
}

#[test]
fn many_at_once_are_kept_apart() {
    let [host, _peer] = pair();
    host.run(async |_| {
        let pinger = Pinger::new().unwrap();
        // The silent ones among them get no answer that was meant for others.
        let pings = (0..150).map(|number| {
            let target = ["192.0.2.2", "2001:db8::2", "192.0.2.99"][number % 3];
            let timeout = if number % 3 == 2 { SHORT } else { PATIENT };
            let pinger = &pinger;
            async move { pinger.ping(ip(target), timeout).await.is_ok() == (number % 3 != 2) }
        });
        assert!(join_all(pings).await.into_iter().all(|right| right));
    });
}

#[test]
fn two_pingers_do_not_take_each_others_answers() {
    let [host, _peer] = pair();
    host.run(async |_| {
        let pingers = [(); 2].map(|()| Pinger::new().unwrap());
        let answers = join_all(pingers.iter().map(|pinger| pinger.ping(ip("192.0.2.2"), PATIENT))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    });
}

#[test]
fn too_many_are_refused_and_cancelling_makes_room() {
    let [host, _peer] = pair();
    host.run(async |_| {
        let pinger = Arc::new(Pinger::new().unwrap());
        let waiting: Vec<_> = (0..MAX_PENDING)
            .map(|_| {
                let pinger = Arc::clone(&pinger);
                tokio::spawn(async move { pinger.ping(ip("192.0.2.99"), PATIENT).await })
            })
            .collect();
        eventually("all wait", async || (pinger.pending.lock().len() == MAX_PENDING).then_some(())).await;
        let refused = pinger.ping(ip("192.0.2.2"), PATIENT).await;
        assert!(matches!(refused, Err(PingError::Busy(_))), "{refused:?}");
        waiting.iter().for_each(JoinHandle::abort);
        join_all(waiting).await;
        assert!(pinger.ping(ip("192.0.2.2"), PATIENT).await.is_ok());
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "any moment does")]
fn only_the_right_echo_from_the_right_address_counts() {
    let pending = Pending::default();
    let target = ip("192.0.2.2");
    let sent = [8, 0, 1, 2, 3, 4, 0, 5, 9, 9, 9, 9, 9, 9, 9, 9];
    let (_, mut answered) = pending.enter(target, |_| sent, || 5).unwrap();
    let mut reply = sent;
    (reply[0], reply[2]) = (0, 77);
    let now = Instant::now();
    pending.answer(ip("192.0.2.3"), &reply, now);
    pending.answer(target, &reply[..15], now);
    for at in [4, 7, 15] {
        let mut forged = reply;
        forged[at] ^= 1;
        pending.answer(target, &forged, now);
    }
    assert!(answered.try_recv().is_err());
    pending.answer(target, &reply, now);
    assert_eq!(answered.try_recv().unwrap(), now);
    pending.answer(target, &reply, now);
}

#[test]
fn a_sequence_number_in_use_is_skipped() {
    let pending = Pending::default();
    let numbers = std::cell::RefCell::new(vec![7, 6, 6]);
    let next = || numbers.borrow_mut().pop().unwrap();
    let echo = |sequence: u16| [[0; 6].as_slice(), &sequence.to_be_bytes(), &[0; 8]].concat().try_into().unwrap();
    let first = pending.enter(ip("192.0.2.2"), echo, next).unwrap();
    let second = pending.enter(ip("192.0.2.2"), echo, next).unwrap();
    assert_eq!([sequence_of(&first.0), sequence_of(&second.0)], [6, 7]);
}

#[test]
fn packets_that_are_no_echo_reply_are_skipped_without_a_panic() {
    let reply = [[0x46; 24].as_slice(), &[0; 16]].concat();
    assert_eq!(icmp(V4, &reply).map(<[u8]>::len), Some(16), "behind a header with options");
    for packet in [&[][..], &[0x4f], &[0x45; 20], &[0x45; 60], &[0x0f; 16]] {
        assert_eq!(icmp(V4, packet), None);
    }
    assert!(icmp(V6, &[129; 16]).is_some() && icmp(V6, &[128; 16]).is_none() && icmp(V6, &[]).is_none());
}
