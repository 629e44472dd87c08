use super::*;
use crate::kernel::{
    nft::{Action, Family, Hook, Key, Match, Rule, Table},
    probe::Prober,
    testing::{Host, Net, eventually, joined, plug, switched},
};
use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

mod drift;
mod installing;
mod leases;
mod packets;
mod pace;

const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];
/// The host's own addresses.
const OWN: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
const LONG: Duration = Duration::from_secs(600);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ips(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

fn vips() -> [IpAddr; 2] {
    VIPS.map(ip)
}

fn devices(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn active(ips: &[IpAddr]) -> Vec<Lease> {
    ips.iter().map(|ip| Lease { ip: *ip, permission: Permission::Active }).collect()
}

fn draining(ips: &[IpAddr]) -> Vec<Lease> {
    ips.iter().map(|ip| Lease { ip: *ip, permission: Permission::Draining }).collect()
}

/// An asker, a host that has both VIPs, and its fence, with both of them behind it.
struct Scene {
    asker: Host,
    host: Host,
    fence: Option<Fence>,
    open: fn() -> Result<Fence, KernelError>,
    ticket: u64,
}

impl Scene {
    fn new(open: fn() -> Result<Fence, KernelError>) -> Self {
        let [asker, host] = joined();
        let asker = asker.with(&["192.0.2.1/24", "2001:db8::1/64"]);
        let host = host.with(&["192.0.2.2/24", "192.0.2.10/32", "2001:db8::2/64", "2001:db8::10/128"]);
        let mut scene = Self { asker, host, fence: None, open, ticket: 0 };
        scene.open();
        scene.install(&["eth0"], &VIPS);
        scene
    }

    /// The start of an agent.
    fn open(&mut self) {
        self.fence = Some(self.host.blocking(|| (self.open)().unwrap()));
    }

    /// As when the agent is killed. Waits for the end of its table: another test of this process may just be starting a
    /// program, and has a copy of all descriptors until then.
    fn kill(&mut self) {
        self.fence = None;
        let gone = |socket: &Socket| !state::is_owned(socket).unwrap();
        self.host.run(async |_| {
            let socket = Socket::open().unwrap();
            eventually("the table ends with its owner", async || gone(&socket).then_some(())).await;
        });
    }

    fn fence(&mut self) -> &mut Fence {
        self.fence.as_mut().unwrap()
    }

    fn install(&mut self, on: &[&str], texts: &[&str]) {
        let fence = self.fence.as_mut().unwrap();
        self.host.blocking(|| fence.install(&devices(on), &ips(texts)).unwrap());
    }

    fn grant(&mut self, ips: &[IpAddr], ttl: Duration) {
        self.ticket += 1;
        let ticket = self.ticket;
        self.fence().ticket(ticket, LONG).unwrap();
        self.fence().grant(ticket, ips, ttl).unwrap();
    }

    /// For which of the VIPs the host answers ARP and ND.
    fn answers(&self) -> BTreeSet<IpAddr> {
        self.asker.run(async |net| answers(&net, "eth0").await)
    }

    /// Waits until these are the ones for which the host answers.
    fn answers_become(&self, texts: &[&str]) {
        self.asker.run(async |net| {
            let same = async || (answers(&net, "eth0").await == ips(texts)).then_some(());
            eventually("the answers are as expected", same).await;
        });
    }

    /// Whether a client that knows the way gets a connection to the host's `ip`.
    fn serves(&self, ip: IpAddr) -> bool {
        connects(&self.host, &self.asker, ip)
    }

    /// Whether the asker sees ARP or ND from `vip` when the host sends from there to whom it does not know.
    fn asks_from(&self, vip: IpAddr) -> bool {
        let own = if vip.is_ipv4() { ip(OWN[0]) } else { ip(OWN[1]) };
        self.asker.run(async |net| {
            let prober = Prober::new().unwrap();
            prober.own(&net.observe().await);
            prober.watch([vip, own]);
            let mut strangers = 100..200u8;
            eventually("the host asks from its own address", async || {
                for source in [vip, own] {
                    self.host.blocking(|| send(source, stranger(vip, strangers.next()?)));
                }
                loop {
                    let heard = tokio::time::timeout(Duration::from_millis(200), prober.recv()).await.ok()?;
                    if heard.ip == vip {
                        return Some(true);
                    }
                    if heard.ip == own {
                        return Some(false);
                    }
                }
            })
            .await
        })
    }
}

/// Someone of the same subnet who does not exist.
fn stranger(vip: IpAddr, number: u8) -> IpAddr {
    match vip {
        IpAddr::V4(_) => [192, 0, 2, number].into(),
        IpAddr::V6(_) => [0x2001, 0xdb8, 0, 0, 0, 0, 1, u16::from(number)].into(),
    }
}

/// What the kernel says to it does not matter.
fn send(from: IpAddr, to: IpAddr) -> Option<()> {
    UdpSocket::bind((from, 0)).unwrap().send_to(b"x", (to, 9)).ok().map(drop)
}

/// Whether `client` gets a connection to `ip` at `host`.
fn connects(host: &Host, client: &Host, ip: IpAddr) -> bool {
    let listener = host.blocking(|| TcpListener::bind((ip, 0)).unwrap());
    let to = listener.local_addr().unwrap();
    client.blocking(|| TcpStream::connect_timeout(&to, Duration::from_millis(250)).is_ok())
}

/// Who answers, when asked for both VIPs and then for the host's own address of that family, which answers last.
async fn answers(net: &Net, device: &str) -> BTreeSet<IpAddr> {
    let prober = Prober::new().unwrap();
    prober.own(&net.observe().await);
    let link = net.link(device).await;
    let mut heard = BTreeSet::new();
    for (vip, own) in VIPS.iter().zip(OWN) {
        eventually("the host's own address answers", async || {
            prober.send(&link, ip(vip)).unwrap();
            prober.send(&link, ip(own)).unwrap();
            let answer = tokio::time::timeout(Duration::from_millis(200), prober.recv()).await.ok()?;
            heard.insert(answer.ip);
            (answer.ip == ip(own)).then_some(())
        })
        .await;
    }
    heard.retain(|ip| ips(&VIPS).contains(ip));
    heard
}

/// Runs `test` in each mode that a kernel may have.
fn in_both_modes(test: impl Fn(Scene)) {
    for open in [Fence::open, Fence::open_without_egress] {
        test(Scene::new(open));
    }
}
