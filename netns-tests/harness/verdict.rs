//! What the watch and the clients have seen, as conditions of a case.

use super::{
    Failure, Outcome,
    state::vips,
    wait::{eventually, now},
    watch::Watch,
    world::{SOON, World},
};
use lbagent::drill::lab::impair::{Frames, Impairment, Way};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Between the last good answer to clients and the first of the next owner: what the slowest kind of fault may cost on a
/// machine that is busy with other things. The figures that are promised are measured by the benchmark.
pub(crate) const TAKEOVER: Duration = Duration::from_millis(2500);

/// Requests that may fail where none should: a busy machine makes one late now and then, and more of them where it was
/// so busy that the watch slept. A fault of 200 ms, after which clients give up, fails 20.
const LATE: usize = 2;
/// Of the watch's sleep, for one more.
const SLEEP_PER_LATE: Duration = Duration::from_millis(5);

impl World {
    /// Starts the watch, and the clients.
    pub(crate) fn watch(&mut self) -> Outcome {
        self.watch = Some(Watch::start(&self.lab, &vips())?);
        self.judged_from = Some(now());
        self.traffic().map(drop)
    }

    /// Who has been seen is forgiven up to now: the front segment was cut in two, and each part may have an owner.
    pub(crate) fn allow_two_owners(&mut self) {
        self.judged_from = Some(now());
    }

    /// That no two hosts ever had an address of the Vip at once, as a third host saw it.
    pub(crate) fn judge(&self) -> Outcome {
        let (Some(watch), Some(from)) = (&self.watch, self.judged_from) else { return Ok(()) };
        let seen = watch.seen();
        let (overlaps, dual) = (seen.overlaps(from, now()), seen.dual(from, now()));
        let Some(longest) = overlaps.iter().max_by_key(|overlap| overlap.to.duration_since(overlap.from)) else {
            return Ok(());
        };
        let after = longest.from.duration_since(from);
        let count = overlaps.len();
        Err(format!("two owners {count} times, {dual:?} in all; the longest, {after:?} after the start: {longest}")
            .into())
    }

    /// The time since `since` in which two hosts had an address.
    pub(crate) fn dual_since(&self, since: Instant) -> Result<Duration, Failure> {
        Ok(self.watching()?.seen().dual(since, now()))
    }

    /// That nobody but `node` was seen to have either address since `since`, and that it was never gone for longer than
    /// `gap`.
    pub(crate) fn only(&self, node: &str, since: Instant, gap: Duration) -> Outcome {
        let (watch, to) = (self.watching()?, now());
        for ip in vips() {
            let owners = watch.seen().owners(ip, since, to);
            if owners.iter().map(AsRef::as_ref).ne([node]) {
                return Err(format!("{ip} was to stay at {node}, and was at {owners:?}").into());
            }
            let silence = watch.seen().silence(ip, since, to);
            if silence > gap {
                return Err(format!("{ip} was gone for {silence:?}").into());
            }
        }
        Ok(())
    }

    /// That nothing moved since `since`: `node` had both addresses all the time, no connection broke and no request
    /// failed.
    pub(crate) fn unmoved(&self, node: &str, since: Instant) -> Outcome {
        self.steady(node, since)?;
        let (_, broken) = self.losses_since(since)?;
        if broken == 0 { Ok(()) } else { Err(format!("{broken} connections broke").into()) }
    }

    /// The hosts that were seen to have `ip` since `since`, one after the other.
    pub(crate) fn owners_seen(&self, ip: IpAddr, since: Instant) -> Result<Vec<String>, Failure> {
        let owners = self.watching()?.seen().owners(ip, since, now());
        Ok(owners.iter().map(ToString::to_string).collect())
    }

    /// The same after a move: what it broke is noticed as late as it is used, so only requests count.
    pub(crate) fn steady(&self, node: &str, since: Instant) -> Outcome {
        self.only(node, since, Duration::from_millis(300))?;
        let (failed, _) = self.losses_since(since)?;
        let asleep = self.watching()?.seen().blind_between(since, now());
        let late = LATE + (asleep.as_millis() / SLEEP_PER_LATE.as_millis()) as usize;
        if failed <= late { Ok(()) } else { Err(format!("{failed} requests failed").into()) }
    }

    /// How often the addresses have changed hands since `since`; of the address that did so more often.
    pub(crate) fn moves_since(&self, since: Instant) -> Result<usize, Failure> {
        let (watch, to) = (self.watching()?, now());
        let moves = vips().map(|ip| watch.seen().moves(ip, since, to));
        Ok(moves.into_iter().max().unwrap_or_default())
    }

    /// How long, at the longest, nobody had `ip` since `since`.
    pub(crate) fn gone_since(&self, ip: IpAddr, since: Instant) -> Result<Duration, Failure> {
        Ok(self.watching()?.seen().silence(ip, since, now()))
    }

    /// Frames in which `node` announced the IPv4 address since `since`.
    pub(crate) fn announcements_since(&self, node: &str, since: Instant) -> Result<usize, Failure> {
        let [ip, _] = vips();
        Ok(self.watching()?.seen().announcements(ip, node, since, now()))
    }

    /// Waits until `node`, and nobody else, has answered for both addresses and served all clients for a second from now
    /// on.
    pub(crate) fn taken_by(&mut self, node: &str) -> Outcome {
        self.settles(SOON, Some(node)).map(drop)
    }

    /// The same with any one node: which.
    pub(crate) fn taken_by_one(&mut self) -> Result<String, Failure> {
        self.settles(SOON, None)
    }

    /// The host that alone was seen to have both addresses for the last 100 ms.
    pub(crate) fn owner_at_last(&self) -> Result<Option<String>, Failure> {
        self.sole_owner_since(now() - Duration::from_millis(100))
    }

    /// How long clients went without a good answer, at worst, since `since`.
    pub(crate) fn outage_since(&self, since: Instant) -> Result<Duration, Failure> {
        let traffic = self.clients_at_work()?;
        Ok(traffic.record().outage(&super::world::web()?, since, now()))
    }

    /// That clients went without a good answer for at most `limit` since `since`.
    pub(crate) fn dark_at_most(&self, limit: Duration, since: Instant) -> Outcome {
        let outage = self.outage_since(since)?;
        if outage <= limit { Ok(()) } else { Err(format!("clients had no answer for {outage:?}").into()) }
    }

    /// Frames are lost at the ports of all devices of a balancer as long as what this returns lives.
    pub(crate) fn impair_all(
        &self,
        node: &str,
        way: Way,
        frames: Frames,
        percent: u32,
    ) -> Result<Vec<Impairment>, Failure> {
        let devices = self.lab.balancer(node)?.plan().interfaces.iter().map(|nic| nic.name.as_str());
        devices.map(|device| Ok(self.lab.impair(node, device, way, frames, percent)?)).collect()
    }

    /// Whether the agent of `node` answers and says that it is not Active.
    pub(crate) fn has_yielded(&self, node: &str) -> bool {
        self.vip_status(node).is_ok_and(|vip| vip["role"] != "Active")
    }

    fn settles(&mut self, limit: Duration, wanted: Option<&str>) -> Result<String, Failure> {
        let what = wanted.unwrap_or("one node").to_owned();
        let calm = Duration::from_secs(1);
        let (called, mut found) = (now(), None);
        eventually(limit, &format!("{what} alone has answered and served for {calm:?}"), || {
            let since = now() - calm;
            if since < called {
                return Ok(false);
            }
            found = self.sole_owner_since(since)?.filter(|owner| wanted.is_none_or(|wanted| wanted == owner));
            Ok(found.is_some() && self.serves_since(since)?)
        })?;
        found.ok_or_else(|| "nobody".into())
    }

    /// The host that alone was seen to have both addresses since `since`, without gaps.
    fn sole_owner_since(&self, since: Instant) -> Result<Option<String>, Failure> {
        let (watch, to) = (self.watching()?, now());
        let seen = watch.seen();
        let owners = vips().map(|ip| (seen.owners(ip, since, to), seen.silence(ip, since, to)));
        let steady = owners.iter().all(|(owners, gap)| owners.len() == 1 && *gap < Duration::from_millis(300));
        let one = owners[0].0 == owners[1].0 && steady;
        Ok(one.then(|| owners[0].0[0].to_string()))
    }

    fn watching(&self) -> Result<&Watch, Failure> {
        self.watch.as_ref().ok_or_else(|| "nobody watches".into())
    }
}
