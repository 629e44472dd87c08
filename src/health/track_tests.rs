use super::*;
use crate::model::{Failback, FailbackMode, Name, Track, Vip, VipAddress};
use proptest::prelude::*;
use std::sync::Mutex;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn vip(ping: &[&str]) -> Vip {
    Vip {
        name: name("web"),
        addresses: vec![VipAddress::host("198.51.100.10".parse().unwrap())],
        interface: None,
        nodes: vec![name("lb1")],
        failback: Failback { mode: FailbackMode::Auto, after: Duration::from_secs(5) },
        track: Track { interfaces: Vec::new(), ping: ping.iter().map(|text| text.parse().unwrap()).collect() },
        trust_probe: true,
        listeners: Vec::new(),
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start_instant() -> Instant {
    Instant::now()
}

/// The opinion after pings each `gap`, of which the n-th is answered if the n-th word is true.
fn opinion(answers: &[bool], gap: Duration) -> bool {
    let start = start_instant();
    let mut target = Target::new(start);
    for (index, answer) in answers.iter().enumerate() {
        target.record(*answer, start + gap * (index as u32 + 1));
    }
    target.answering
}

#[test]
fn a_target_is_lost_after_a_whole_window_of_silence_and_back_with_the_first_answer() {
    let gap = Duration::from_millis(500);
    assert!(opinion(&[false; 3], gap), "too few");
    assert!(!opinion(&[false; 4], gap));
    assert!(opinion(&[false; 15], Duration::from_millis(100)), "many, but within 1.5 s");
    assert!(!opinion(&[false; 20], Duration::from_millis(100)));
    assert!(opinion(&[true, false, false, false, true, false, false, false], gap), "an answer between starts anew");
    assert!(opinion(&[false, false, false, false, true], gap));
    assert!(opinion(&[false, false, false, false, true, false, false, false], gap), "a new window opens");
}

proptest! {
    #[test]
    fn an_answer_within_each_window_keeps_a_target(answers in proptest::collection::vec(any::<bool>(), 0..80)) {
        let gap = Duration::from_millis(500);
        let silent_run = answers.split(|answer| *answer).map(<[bool]>::len).max().unwrap_or(0);
        if silent_run < 4 {
            prop_assert!(opinion(&answers, gap));
        }
        if answers.ends_with(&[true]) {
            prop_assert!(opinion(&answers, gap));
        }
        if answers.ends_with(&[false; 4]) {
            prop_assert!(!opinion(&answers, gap));
        }
    }
}

/// Answers for the targets it holds, and counts pings.
#[derive(Clone, Default)]
struct FakeNet {
    alive: Arc<Mutex<BTreeSet<IpAddr>>>,
    pinged: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
}

impl PingIo for FakeNet {
    async fn ping(&self, target: IpAddr, _: Duration) -> Result<Duration, String> {
        *self.pinged.lock().unwrap().entry(target).or_default() += 1;
        if self.alive.lock().unwrap().contains(&target) {
            Ok(Duration::from_millis(1))
        } else {
            Err("no answer".to_owned())
        }
    }
}

async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..4000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 20 s");
}

#[tokio::test]
async fn silent_targets_are_lost_found_again_and_forgotten() {
    let (good, lost) = ("198.51.100.1".parse().unwrap(), "198.51.100.2".parse().unwrap());
    let net = FakeNet::default();
    net.alive.lock().unwrap().insert(good);
    let wanted = Desired {
        vips: BTreeMap::from([(name("web"), Arc::new(vip(&["198.51.100.1", "198.51.100.2"])))]),
        ..Desired::default()
    };
    let (desired, receiver) = watch::channel(Arc::new(wanted));
    let table = start(receiver, net.clone());
    eventually(|| table.borrow().len() == 2).await;
    assert!(table.borrow()[&lost], "fine for the first window");
    eventually(|| !table.borrow()[&lost]).await;
    assert!(table.borrow()[&good]);
    net.alive.lock().unwrap().insert(lost);
    eventually(|| table.borrow()[&lost]).await;
    desired.send(Arc::default()).unwrap();
    eventually(|| table.borrow().is_empty()).await;
    let pings = net.pinged.lock().unwrap()[&good];
    tokio::time::sleep(INTERVAL * 2).await;
    assert_eq!(net.pinged.lock().unwrap()[&good], pings, "nothing wanted, nothing pinged");
}
