//! Doing and watching: the steps of the drill, one after the other.

use super::{
    lab::{
        Lab, LabError,
        agent::{AgentConfig, HTTP},
        clock::{now, wait_until},
        explain::explain,
        topology::{HostRole, Topology},
        traffic::{HUNG, Traffic},
    },
    report::{Report, Row},
    scenario::{self, Expect, Owners},
};
use crate::model::{Desired, Name, Vip, format_duration};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How long quiet traffic is watched.
const STEADY: Duration = Duration::from_secs(3);
/// How long everything must have gone well before a step counts as over.
const SETTLED: Duration = Duration::from_millis(500);
/// What agents may take for anything that has no limit of its own.
const PATIENCE: Duration = Duration::from_secs(10);
/// A drill under way.
pub(super) struct Rehearsal<'a> {
    desired: &'a Desired,
    topology: &'a Topology,
    lab: Lab,
    config: AgentConfig,
    traffic: Traffic,
    /// Vips that nothing can be asked of, and why.
    unasked: BTreeMap<Name, &'static str>,
    report: Report,
}

impl<'a> Rehearsal<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        topology: &'a Topology,
        lab: Lab,
        config: AgentConfig,
    ) -> Result<Self, LabError> {
        let (mut targets, mut unasked) = (BTreeMap::new(), BTreeMap::new());
        for (vip, questions) in scenario::questions(desired) {
            match questions {
                Ok(questions) => drop(targets.insert(vip, questions)),
                Err(reason) => drop(unasked.insert(vip, reason)),
            }
        }
        let traffic = Traffic::start(lab.clients()?.namespace(), targets)?;
        Ok(Self { desired, topology, lab, config, traffic, unasked, report: Report::default() })
    }

    /// All steps. A step that cannot be carried out ends the drill with a row that says so.
    pub(super) fn run(&mut self) -> Result<Report, LabError> {
        let rows: Vec<Row> = self.unasked.iter().map(|(vip, why)| Row::skipped("steady", Some(vip), *why)).collect();
        self.report.add(rows);
        if self.traffic.vips().next().is_none() {
            self.report.add([Row::failed("start", None, "there is nothing that clients could ask of any Vip")]);
            return Ok(self.report.clone());
        }
        let Some(owners) = self.start()? else { return Ok(self.report.clone()) };
        self.steady(&owners);
        match scenario::victim(self.desired, &owners) {
            Ok(victim) => self.crash_and_return(&victim, &owners)?,
            Err(reason) => {
                self.skip("takeover", &reason);
                self.skip("failback", &reason);
            }
        }
        self.lose_a_backend()?;
        Ok(self.report.clone())
    }

    /// What the balancers look like and what their agents said last, on stderr.
    pub(super) fn explain(&self) {
        eprint!("{}", explain(&self.lab));
    }

    /// Starts the agents and waits until every Vip is where it belongs and serves. `None` (and a row) if that fails.
    fn start(&mut self) -> Result<Option<Owners>, LabError> {
        let balancers: Vec<String> = self.lab.balancers().map(|host| host.plan().name.clone()).collect();
        say("start", &format!("agents on {}", balancers.join(", ")));
        for name in &balancers {
            self.lab.start_agent(name, &self.config)?;
        }
        let hold = self.asked().map(|vip| vip.failback.after).max().unwrap_or_default();
        let mut owners = None;
        if !wait_until(hold + PATIENCE, || {
            owners = self.settled();
            owners.is_some()
        }) {
            let missing = self.what_is_missing();
            say("start", &format!("not settled: {missing}"));
            self.report.add([Row::failed("start", None, missing)]);
        }
        Ok(owners)
    }

    /// The owners, if every Vip is where it belongs and has served for a while.
    fn settled(&self) -> Option<Owners> {
        let since = now() - SETTLED;
        let owners = self.owners()?;
        let settled = self.asked().all(|vip| {
            let home = scenario::preferred(vip).is_none_or(|home| owners.get(&vip.name) == Some(home));
            home && self.serves(vip, since)
        });
        settled.then_some(owners)
    }

    fn steady(&mut self, owners: &Owners) {
        let at: Vec<String> = owners.iter().map(|(vip, owner)| format!("{vip} at {owner}")).collect();
        say("steady", &at.join(", "));
        let from = now();
        std::thread::sleep(STEADY);
        self.judge("steady", from, |_| Expect::Undisturbed);
    }

    fn crash_and_return(&mut self, victim: &Name, owners: &Owners) -> Result<(), LabError> {
        self.takeover(victim, owners)?;
        say("return", &format!("{victim} is back"));
        let from = now();
        self.lab.boot(victim)?;
        self.lab.start_agent(victim, &self.config)?;
        let answers = |this: &Self| this.lab.balancer(victim).and_then(|host| host.get(HTTP, "/healthz")).is_ok();
        let up = wait_until(PATIENCE, || answers(self));
        std::thread::sleep(SETTLED);
        self.judge("return", from, |_| Expect::Undisturbed);
        if !up {
            self.report.add([Row::failed("return", None, format!("the agent of {victim} does not answer"))]);
        }
        self.failback(victim, owners);
        Ok(())
    }

    fn takeover(&mut self, victim: &Name, owners: &Owners) -> Result<(), LabError> {
        say("takeover", &format!("{victim} crashes"));
        let from = now();
        self.lab.crash(victim)?;
        let expect = |this: &Self, vip: &Vip| scenario::on_crash(this.desired, vip, &owners[&vip.name], victim);
        let over = |this: &Self| {
            let since = (now() - SETTLED).max(from);
            let moved = this.asked().filter(|vip| !matches!(expect(this, vip), Expect::Skip(_)));
            since > from && moved.into_iter().all(|vip| this.serves(vip, since))
        };
        wait_until(PATIENCE, || over(self));
        // What a crash breaks shows only when clients have waited for an answer long enough.
        std::thread::sleep(HUNG);
        let verdicts: BTreeMap<Name, Expect> = self.asked().map(|vip| (vip.name.clone(), expect(self, vip))).collect();
        self.judge("takeover", from, |vip| verdicts[&vip.name].clone());
        Ok(())
    }

    fn failback(&mut self, victim: &Name, owners: &Owners) {
        let expect = |vip: &Vip| scenario::on_failback(vip, &owners[&vip.name], victim);
        let returning: Vec<Vip> = (self.asked())
            .filter(|vip| owners[&vip.name] == *victim && !matches!(expect(vip), Expect::Skip(_)))
            .cloned()
            .collect();
        let hold = returning.iter().map(|vip| vip.failback.after).max().unwrap_or_default();
        if !returning.is_empty() {
            say("failback", &format!("{victim} takes back, after {}", format_duration(hold)));
        }
        let from = now();
        let back = |this: &Self| {
            let at_home = |vip: &Vip| this.owner(vip).as_ref() == Some(victim);
            returning.iter().all(|vip| at_home(vip) && this.serves(vip, now() - SETTLED))
        };
        let done = wait_until(hold + PATIENCE, || back(self));
        if !returning.is_empty() {
            std::thread::sleep(HUNG);
        }
        let away: Vec<Name> = returning
            .iter()
            .filter(|vip| self.owner(vip).as_ref() != Some(victim))
            .map(|vip| vip.name.clone())
            .collect();
        self.judge("failback", from, expect);
        if !done {
            let waited = format_duration(hold + PATIENCE);
            let rows = away.iter().map(|vip| Row::failed("failback", Some(vip), format!("not back after {waited}")));
            self.report.add(rows.collect::<Vec<_>>());
        }
    }

    fn lose_a_backend(&mut self) -> Result<(), LabError> {
        let served = self.traffic.record();
        let doomed = scenario::doomed(self.desired, self.topology, &served.served_since(now() - STEADY));
        drop(served);
        let ip = match doomed {
            Ok(ip) => ip,
            Err(reason) => {
                self.skip("backend-down", &reason);
                self.skip("backend-up", &reason);
                return Ok(());
            }
        };
        say("backend-down", &format!("the servers on {ip} die"));
        let expects: BTreeMap<Name, Expect> =
            self.asked().map(|vip| (vip.name.clone(), scenario::on_backend_death(self.desired, vip, ip))).collect();
        let bound = expects.values().filter_map(|expect| match expect {
            Expect::FailuresWithin(bound) => Some(*bound),
            _ => None,
        });
        let bound = bound.max().unwrap_or_default();
        let from = now();
        self.lab.host_mut(HostRole::Server, &ip.to_string())?.stop_servers();
        std::thread::sleep(bound + STEADY);
        self.judge("backend-down", from, |vip| expects[&vip.name].clone());
        self.regain_the_backend(ip)
    }

    fn regain_the_backend(&mut self, ip: IpAddr) -> Result<(), LabError> {
        say("backend-up", &format!("the servers on {ip} are back"));
        let from = now();
        let host = self.lab.host_mut(HostRole::Server, &ip.to_string())?;
        host.start_servers()?;
        let names: Vec<String> = host.plan().servers.iter().map(|server| server.name.clone()).collect();
        let limit = scenario::return_limit(self.desired, ip);
        let serves = |this: &Self| {
            let record = this.traffic.record();
            let served = record.served_since(from);
            names.iter().any(|name| served.contains_key(name.as_str()))
        };
        let back = wait_until(limit + PATIENCE, || serves(self));
        std::thread::sleep(SETTLED);
        self.judge("backend-up", from, |_| Expect::Undisturbed);
        if !back && scenario::must_serve_again(self.desired, ip) {
            self.report.add([Row::failed("backend-up", None, format!("{ip} got no request any more"))]);
        }
        Ok(())
    }

    /// A row for each Vip about the time from `from` to now.
    fn judge(&mut self, step: &'static str, from: Instant, expect: impl Fn(&Vip) -> Expect) {
        let to = now();
        let record = self.traffic.record();
        let rows = self.asked().map(|vip| {
            let seen = record.summary(&vip.name, from, to);
            let late = record.last_failure(&vip.name, from, to).map(|at| at - from);
            Row::judge(step, &vip.name, &seen, late, &expect(vip))
        });
        let rows: Vec<Row> = rows.collect();
        drop(record);
        rows.iter().for_each(tell);
        self.report.add(rows);
    }

    fn skip(&mut self, step: &'static str, reason: &str) {
        say(step, &format!("skipped: {reason}"));
        self.report.add([Row::skipped(step, None, reason)]);
    }

    /// The Vips that clients ask something of.
    fn asked(&self) -> impl Iterator<Item = &'a Vip> + '_ {
        self.traffic.vips().filter_map(|vip| self.desired.vips.get(vip)).map(AsRef::as_ref)
    }

    fn serves(&self, vip: &Vip, since: Instant) -> bool {
        self.traffic.record().serves_since(&vip.name, &self.traffic.addresses(&vip.name), since)
    }

    /// The one balancer whose kernel holds the Vip's addresses.
    fn owner(&self, vip: &Vip) -> Option<Name> {
        let ips: Vec<IpAddr> = vip.addresses.iter().map(|address| address.ip).collect();
        let mut holders = self.lab.holders(&ips).ok()?;
        holders.pop().filter(|_| holders.is_empty())
    }

    fn owners(&self) -> Option<Owners> {
        self.asked().map(|vip| Some((vip.name.clone(), self.owner(vip)?))).collect()
    }

    fn what_is_missing(&self) -> String {
        let from = now() - SETTLED;
        let faults = self.asked().filter_map(|vip| {
            let name = &vip.name;
            let Some(owner) = self.owner(vip) else { return Some(format!("{name} is on no balancer, or on several")) };
            if let Some(home) = scenario::preferred(vip).filter(|home| **home != owner) {
                return Some(format!("{name} is at {owner} and not at {home}"));
            }
            let seen = self.traffic.record().summary(name, from, now());
            let why = seen.reasons.first().map_or("no request was answered", |(why, _)| why);
            (!self.serves(vip, from)).then(|| format!("{name} does not serve: {why}"))
        });
        faults.collect::<Vec<_>>().join("; ")
    }
}

fn say(step: &str, what: &str) {
    eprintln!("{step:<13} {what}");
}

fn tell(row: &Row) {
    let vip = row.vip.as_ref().map_or("", |vip| vip.as_str());
    match (&row.skipped, row.outage_ms, row.failed, row.requests, row.broken) {
        (Some(reason), ..) => eprintln!("{:<13}   {vip}: skipped, {reason}", ""),
        (None, Some(outage), Some(failed), Some(requests), Some(broken)) => eprintln!(
            "{:<13}   {vip}: {outage} ms without an answer at most, {failed} of {requests} requests failed, {broken} connections broken{}",
            "",
            if row.ok { "" } else { " – NOT AS IT SHOULD BE" }
        ),
        _ => {}
    }
}
