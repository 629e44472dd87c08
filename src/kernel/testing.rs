//! Hosts for kernel tests: each a network namespace with an `eth0`, all of them joined by a veth or by a switch.

use super::netns::NetNs;
use crate::model::{Link, Mac, ObservedNetwork, VipAddress};
use rtnetlink::{
    Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressFlags},
        neighbour::{NeighbourAddress, NeighbourAttribute},
        route::RouteScope,
    },
};
use std::{fs::File, future::Future, net::IpAddr, os::fd::AsRawFd, time::Duration};

/// Every wait in a kernel test ends after this.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A namespace that plays a host.
#[derive(Debug, Clone)]
pub(crate) struct Host(pub(super) NetNs);

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self(NetNs::new().unwrap());
        host.run(async |net| net.up("lo").await);
        host
    }

    /// Runs `f` inside, on a runtime of its own.
    pub(crate) fn run<T: Send>(&self, f: impl AsyncFnOnce(Net) -> T + Send) -> T {
        let inside = || block_on(async { f(Net::connect()).await });
        self.0.run(inside).unwrap()
    }

    /// Runs `f` inside, without a runtime.
    pub(crate) fn blocking<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        self.0.run(f).unwrap()
    }

    /// A host with these addresses on its `eth0`.
    pub(crate) fn with(self, cidrs: &[&str]) -> Self {
        self.run(async |net| {
            for cidr in cidrs {
                net.add("eth0", cidr).await;
            }
        });
        self
    }

    fn file(&self) -> File {
        self.blocking(|| File::open("/proc/thread-self/ns/net").unwrap())
    }
}

/// Two hosts with a cable between their `eth0`.
pub(crate) fn joined() -> [Host; 2] {
    let hosts = [(); 2].map(|()| Host::new());
    let other = hosts[1].file();
    hosts[0].run(async |net| {
        net.cable("eth0", "peer", &other).await;
        net.up("eth0").await;
    });
    hosts[1].run(async |net| net.rename_and_up("peer", "eth0").await);
    hosts[0].run(async |net| net.running("eth0").await);
    hosts
}

/// Hosts whose `eth0` are ports of one switch, which comes last.
pub(super) fn switched<const N: usize>() -> ([Host; N], Host) {
    let hosts = [(); N].map(|()| Host::new());
    let switch = Host::new();
    switch.run(async |net| net.0.link().add(LinkBridge::new("br0").build()).execute().await.unwrap());
    for (index, host) in hosts.iter().enumerate() {
        plug(&switch, host, &format!("port{index}"), "eth0");
    }
    (hosts, switch)
}

/// One more cable from `switch`'s new `port` to a new `device` of `host`.
pub(super) fn plug(switch: &Host, host: &Host, port: &str, device: &str) {
    let namespace = host.file();
    switch.run(async |net| {
        net.cable(port, "peer", &namespace).await;
        let bridge = net.link("br0").await.index;
        let attach = LinkUnspec::new_with_name(port).controller(bridge).up().build();
        net.0.link().set(attach).execute().await.unwrap();
    });
    host.run(async |net| net.rename_and_up("peer", device).await);
    switch.run(async |net| net.running(port).await);
}

/// Runs `future` on a runtime of its own on this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("the test case took too long") })
}

/// Asks until `condition` gives something.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never came true: {what}"))
}

/// What others would do with `ip`: plain rtnetlink, apart from the code under test.
pub(crate) struct Net(pub(super) Handle);

impl Net {
    fn connect() -> Self {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        Self(handle)
    }

    pub(crate) async fn observe(&self) -> ObservedNetwork {
        let directory = tempfile::tempdir().unwrap();
        super::netlink::Netlink::connect(directory.path().join("addresses")).unwrap().observe().await.unwrap()
    }

    pub(crate) async fn link(&self, name: &str) -> Link {
        self.observe().await.link_named(name).unwrap().clone()
    }

    /// `ip address add CIDR dev DEVICE nodad`
    pub(super) async fn add(&self, device: &str, cidr: &str) {
        let VipAddress { ip, prefix_len } = cidr_of(cidr);
        let link = self.link(device).await.index;
        let mut request = self.0.address().add(link, ip, prefix_len);
        if ip.is_ipv6() {
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        request.execute().await.unwrap();
    }

    /// `ip address del CIDR dev DEVICE`
    pub(super) async fn remove(&self, device: &str, cidr: &str) {
        let VipAddress { ip, prefix_len } = cidr_of(cidr);
        let link = self.link(device).await.index;
        let mut message = rtnetlink::packet_route::address::AddressMessage::default();
        message.header.family = match ip {
            IpAddr::V4(_) => rtnetlink::packet_route::AddressFamily::Inet,
            IpAddr::V6(_) => rtnetlink::packet_route::AddressFamily::Inet6,
        };
        message.header.index = link;
        message.header.prefix_len = prefix_len;
        message.attributes.push(AddressAttribute::Local(ip));
        self.0.address().del(message).execute().await.unwrap();
    }

    pub(super) async fn up(&self, device: &str) {
        let up = LinkUnspec::new_with_name(device).up().build();
        self.0.link().set(up).execute().await.unwrap();
    }

    pub(super) async fn down(&self, device: &str) {
        let down = LinkUnspec::new_with_name(device).down().build();
        self.0.link().set(down).execute().await.unwrap();
    }

    pub(super) async fn set_mtu(&self, device: &str, mtu: u32) {
        self.0.link().set(LinkUnspec::new_with_name(device).mtu(mtu).build()).execute().await.unwrap();
    }

    /// `ip route add IP/32 dev eth0 scope link`
    pub(super) async fn on_link(&self, ip: IpAddr) {
        let link = self.link("eth0").await.index;
        let prefix_len = VipAddress::host(ip).prefix_len;
        let mut route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(ip, prefix_len).unwrap();
        route = route.output_interface(link).scope(RouteScope::Link);
        self.0.route().add(route.build()).replace().execute().await.unwrap();
    }

    /// `ip route add IP/32 via GATEWAY`
    pub(super) async fn route(&self, ip: IpAddr, gateway: IpAddr) {
        let prefix_len = VipAddress::host(ip).prefix_len;
        let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(ip, prefix_len).unwrap();
        self.0.route().add(route.gateway(gateway).unwrap().build()).execute().await.unwrap();
    }

    /// The neighbour cache's MAC for `ip`.
    pub(super) async fn neighbour(&self, ip: IpAddr) -> Option<Mac> {
        use futures::TryStreamExt;
        let entries: Vec<_> = self.0.neighbours().get().execute().try_collect().await.unwrap();
        let of_ip = entries.into_iter().find(|entry| {
            entry.attributes.iter().any(|attribute| match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(it)) => IpAddr::from(*it) == ip,
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(it)) => IpAddr::from(*it) == ip,
                _ => false,
            })
        })?;
        of_ip.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok().map(Mac),
            _ => None,
        })
    }

    /// A veth, one end here, the other in `namespace`, made there at once: no name clash is possible in passing.
    async fn cable(&self, here: &str, there: &str, namespace: &File) {
        use rtnetlink::packet_route::link::{InfoData, InfoVeth};
        let peer = LinkUnspec::new_with_name(there).setns_by_fd(namespace.as_raw_fd()).build();
        let veth = LinkVeth::new(here, there).set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
        self.0.link().add(veth).execute().await.unwrap();
    }

    async fn rename_and_up(&self, from: &str, to: &str) {
        if from != to {
            let index = self.link(from).await.index;
            let rename = LinkUnspec::new_with_index(index).name(to).build();
            self.0.link().set(rename).execute().await.unwrap();
        }
        self.up(to).await;
        self.running(to).await;
    }

    /// Until then the kernel drops what is sent.
    async fn running(&self, device: &str) {
        eventually("the device runs", async || self.link(device).await.running.then_some(())).await;
    }
}

/// `192.0.2.1/24`
pub(super) fn cidr_of(text: &str) -> VipAddress {
    let (ip, prefix_len) = text.split_once('/').unwrap();
    VipAddress { ip: ip.parse().unwrap(), prefix_len: prefix_len.parse().unwrap() }
}
