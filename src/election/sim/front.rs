//! The front segment: hosts, a gateway and a client that ask, answer, announce and remember whose address is where.
//!
//! Caches behave as Linux's do: an announcement updates an entry and makes none, an entry that works is never doubted
//! in the time that a schedule lasts, so a client whose entry is not corrected stays dark.

use super::{
    host::Input,
    net::{CLIENT, GATEWAY},
    world::{Event, STRANGER, World},
};
use crate::model::{Mac, Sight, SightKind};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

const US: Duration = Duration::from_micros(1);
/// Between two rounds of traffic of the gateway and the client.
pub(super) const TRAFFIC_EVERY: Duration = Duration::from_millis(100);

/// The gateway or the client.
pub(super) struct Station {
    /// [`GATEWAY`] or [`CLIENT`].
    pub(super) at: usize,
    pub(super) ips: Vec<IpAddr>,
    pub(super) up: bool,
    /// Which Ethernet address it has for which address.
    pub(super) cache: BTreeMap<IpAddr, Mac>,
    /// Rounds of traffic in a row that nobody answered, by address.
    pub(super) dark: BTreeMap<IpAddr, u32>,
}

/// An ARP or ND frame.
pub(super) enum Frame {
    /// To all: who has `ip`? `asker`: the address from which it is asked, none in a probe.
    Question { from: usize, ip: IpAddr, asker: Option<IpAddr> },
    /// `from` has `ip`; `to` a station, or all (an answer to an ND probe).
    Answer { from: usize, to: Option<usize>, ip: IpAddr },
}

impl Station {
    pub(super) fn new(at: usize, ips: Vec<IpAddr>) -> Self {
        Self { at, ips, up: true, cache: BTreeMap::new(), dark: BTreeMap::new() }
    }
}

impl World {
    pub(super) fn send_frame(&mut self, frame: Frame) {
        let delay = self.rng.between(US * 20, US * 500);
        self.push(delay, Event::Frame(frame));
    }

    pub(super) fn frame(&mut self, frame: Frame) {
        match frame {
            Frame::Question { from, ip, asker } => self.question(from, ip, asker),
            Frame::Answer { from, to, ip } => self.answer(from, to, ip),
        }
    }

    fn question(&mut self, from: usize, ip: IpAddr, asker: Option<IpAddr>) {
        let vip = self.vips.contains(&ip);
        let to = if asker.is_none() && ip.is_ipv6() { None } else { Some(from) };
        for host in 0..self.hosts.len() {
            if host == from || !self.hosts[host].running() || !self.net.frame(&mut self.rng, from, host) {
                continue;
            }
            self.hosts[host].rx += 1;
            let this = &self.hosts[host];
            if if vip { this.speaks(self.now, &ip) } else { this.ips.contains(&ip) } {
                self.send_frame(Frame::Answer { from: host, to, ip });
            }
            if vip {
                self.see(host, ip, self.mac(from), SightKind::Asks(asker));
            }
        }
        for station in 0..self.stations.len() {
            let Station { at, up, ref ips, .. } = self.stations[station];
            if up && at != from && ips.contains(&ip) && self.net.frame(&mut self.rng, from, at) {
                self.send_frame(Frame::Answer { from: at, to, ip });
            }
        }
        if vip && self.stranger.contains(&from) {
            self.see(from, ip, STRANGER, SightKind::Has);
        }
    }

    fn answer(&mut self, from: usize, to: Option<usize>, ip: IpAddr) {
        let mac = self.mac(from);
        for host in 0..self.hosts.len() {
            let meant = host != from && to.is_none_or(|to| to == host);
            if meant && self.hosts[host].running() && self.net.frame(&mut self.rng, from, host) {
                self.hosts[host].rx += 1;
                self.see(host, ip, mac, SightKind::Has);
            }
        }
        for station in 0..self.stations.len() {
            let at = self.stations[station].at;
            if to == Some(at) && self.stations[station].up && self.net.frame(&mut self.rng, from, at) {
                self.learn(station, ip, mac, true);
            }
        }
    }

    /// `from` announces `ip` to all.
    pub(super) fn announced(&mut self, from: usize, ip: IpAddr) {
        let mac = self.mac(from);
        for host in 0..self.hosts.len() {
            if host != from && self.hosts[host].running() && self.net.frame(&mut self.rng, from, host) {
                self.hosts[host].rx += 1;
                self.see(host, ip, mac, SightKind::Has);
            }
        }
        for station in 0..self.stations.len() {
            let at = self.stations[station].at;
            if self.stations[station].up && self.net.frame(&mut self.rng, from, at) {
                self.learn(station, ip, mac, false);
            }
        }
    }

    /// The gateway and the client use the VIPs.
    pub(super) fn traffic(&mut self) {
        for station in 0..self.stations.len() {
            if self.stations[station].up {
                self.vips.clone().into_iter().for_each(|ip| self.use_vip(station, ip));
            }
        }
        self.push(TRAFFIC_EVERY, Event::Traffic);
    }

    fn use_vip(&mut self, station: usize, ip: IpAddr) {
        let at = self.stations[station].at;
        let Some(mac) = self.stations[station].cache.get(&ip).copied() else {
            let asker = self.stations[station].ips.iter().copied().find(|own| own.is_ipv4() == ip.is_ipv4());
            *self.stations[station].dark.entry(ip).or_default() += 1;
            return self.send_frame(Frame::Question { from: at, ip, asker });
        };
        let server = self.hosts.iter().position(|host| host.mac == mac);
        let served = server.is_some_and(|host| {
            let there = self.hosts[host].running() && self.net.front(at, host);
            self.hosts[host].rx += u64::from(there);
            let now = self.hosts[host].local(self.now);
            there && self.hosts[host].kernel.serves(now, &ip) && self.net.front(host, at)
        });
        let dark = self.stations[station].dark.entry(ip).or_default();
        *dark = if served { 0 } else { *dark + 1 };
    }

    fn learn(&mut self, station: usize, ip: IpAddr, mac: Mac, create: bool) {
        let station = &mut self.stations[station];
        let old = station.cache.get(&ip).copied();
        if old == Some(mac) || (old.is_none() && !create) {
            return;
        }
        station.cache.insert(ip, mac);
        let who = if station.at == CLIENT { "the client" } else { "the gateway" };
        self.tell(|_| format!("{who} now sends {ip} to {mac}"));
    }

    fn see(&mut self, host: usize, ip: IpAddr, mac: Mac, kind: SightKind) {
        if self.hosts[host].agent.is_some() {
            self.hand(host, Input::Seen(Sight { link: 2, ip, mac, kind }));
        }
    }

    fn mac(&self, station: usize) -> Mac {
        self.hosts.get(station).map_or(Mac([4, 0, 0, 0, 0, station as u8]), |host| host.mac)
    }

    /// Frames that a host has received on the front, background noise of the gateway included.
    pub(super) fn received(&mut self, host: usize) -> u64 {
        let gateway = self.stations.iter().any(|station| station.at == GATEWAY && station.up);
        if gateway && self.net.front(GATEWAY, host) {
            self.hosts[host].rx += 1;
        }
        self.hosts[host].rx
    }
}
