use super::*;
use crate::kernel::{
    probe::Prober,
    testing::{Host, Net, eventually, joined},
};
use std::net::{TcpListener, TcpStream};

const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn set(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
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
            let answer = tokio::time::timeout(std::time::Duration::from_millis(200), prober.recv()).await.ok()?;
            heard.insert(answer.ip);
            (answer.ip == ip(reference)).then_some(())
        })
        .await;
    }
    heard.retain(|ip| set(&VIPS).contains(ip));
    heard
}

#[test]
fn a_mute_address_is_silent_and_the_others_are_not() {
    let [asker, host] = pair();
    assert_eq!(asker.run(async |net| heard(&net).await), set(&VIPS));
    let mut mute = host.blocking(Mute::default);
    host.blocking(|| mute.set(eth0(), set(&VIPS)).unwrap());
    assert_eq!(asker.run(async |net| heard(&net).await), set(&[]));
    host.blocking(|| mute.set(eth0(), set(&VIPS[..1])).unwrap());
    assert_eq!(asker.run(async |net| heard(&net).await), set(&VIPS[1..]));
    host.blocking(|| mute.set(eth0(), set(&[])).unwrap());
    assert_eq!(asker.run(async |net| heard(&net).await), set(&VIPS));
}

#[test]
fn the_kernel_ends_it_with_the_process() {
    let [asker, host] = pair();
    let mut mute = host.blocking(Mute::default);
    host.blocking(|| mute.set(eth0(), set(&VIPS)).unwrap());
    drop(mute);
    assert_eq!(asker.run(async |net| heard(&net).await), set(&VIPS));
}

#[test]
fn clients_that_know_the_way_are_still_served() {
    let [asker, host] = pair();
    let listener = host.blocking(|| TcpListener::bind("192.0.2.10:8080").unwrap());
    let knock = || TcpStream::connect_timeout(&listener.local_addr().unwrap(), std::time::Duration::from_secs(5));
    asker.blocking(|| knock().unwrap()); // now both know each other's MAC
    let mut mute = host.blocking(Mute::default);
    host.blocking(|| mute.set(eth0(), set(&VIPS)).unwrap());
    asker.blocking(|| knock().unwrap());
}

#[test]
fn what_the_kernel_refuses_is_an_error_and_mutes_nothing() {
    let [_, host] = pair();
    let (mut mute, mut other) = (host.blocking(Mute::default), host.blocking(Mute::default));
    host.blocking(|| other.set(eth0(), set(&VIPS)).unwrap());
    let error = host.blocking(|| mute.set(eth0(), set(&VIPS)).unwrap_err());
    assert!(error.to_string().contains("mute"), "{error}");
    assert!(mute.ips().is_empty());
    drop(other);
    host.blocking(|| mute.set(eth0(), set(&VIPS)).unwrap());
    assert_eq!(*mute.ips(), set(&VIPS));
}
