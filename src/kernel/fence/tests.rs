use super::*;
use crate::kernel::{
    probe::Prober,
    testing::{Host, Net, eventually, joined},
};
use std::time::Duration;

const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];
const LONG: Duration = Duration::from_secs(600);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ips(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

fn vips() -> Vec<IpAddr> {
    VIPS.map(ip).to_vec()
}

fn eth0() -> BTreeSet<String> {
    BTreeSet::from(["eth0".to_owned()])
}

/// An asker, and a host with both VIPs.
fn pair() -> [Host; 2] {
    let [asker, host] = joined();
    let asker = asker.with(&["192.0.2.1/24", "2001:db8::1/64"]);
    [asker, host.with(&["192.0.2.2/24", "192.0.2.10/32", "2001:db8::2/64", "2001:db8::10/128"])]
}

/// Who answers, when asked for both VIPs and then for the host's own address of that family, which answers last.
async fn heard(net: &Net) -> BTreeSet<IpAddr> {
    let prober = Prober::new().unwrap();
    prober.own(&net.observe().await);
    let link = net.link("eth0").await;
    let mut heard = BTreeSet::new();
    for (vip, reference) in VIPS.iter().zip(["192.0.2.2", "2001:db8::2"]) {
        eventually("the host's own address answers", async || {
            prober.send(&link, ip(vip)).unwrap();
            prober.send(&link, ip(reference)).unwrap();
            let answer = tokio::time::timeout(Duration::from_millis(200), prober.recv()).await.ok()?;
            heard.insert(answer.ip);
            (answer.ip == ip(reference)).then_some(())
        })
        .await;
    }
    heard.retain(|ip| ips(&VIPS).contains(ip));
    heard
}

/// The modes, each with a fence and hosts of its own.
fn in_both_modes(test: impl Fn(&Host, &Host, &mut Fence)) {
    for open in [Fence::open, Fence::open_without_egress] {
        let [asker, host] = pair();
        let mut fence = host.blocking(|| open().unwrap());
        test(&asker, &host, &mut fence);
    }
}

#[test]
fn a_fenced_address_is_silent_until_it_is_granted_and_again_when_it_is_revoked() {
    in_both_modes(|asker, host, fence| {
        let answers = || asker.run(async |net| heard(&net).await);
        assert_eq!(answers(), ips(&VIPS));
        host.blocking(|| fence.install(&eth0(), &ips(&VIPS)).unwrap());
        assert_eq!(answers(), ips(&[]));
        fence.ticket(7, LONG).unwrap();
        fence.grant(7, &vips(), LONG).unwrap();
        assert_eq!(answers(), ips(&VIPS));
        fence.revoke(&vips()[..1]).unwrap();
        assert_eq!(answers(), ips(&VIPS[1..]));
        fence.revoke(&vips()).unwrap();
        assert_eq!(answers(), ips(&[]));
    });
}
