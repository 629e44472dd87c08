//! Paths that lose frames, on a machine that is busy: does the Vip stay where it is?
//!
//! All contenders at once, so that the minutes are the same for each.

use super::{
    Options, Report,
    common::Failure,
    figures::{Bar, Figure, Samples, Unit},
    millis,
    pair::PAIR,
    rig::{Contender, Heartbeats, Rig, Setup},
};
use lbagent::drill::lab::clock::now;
use lbagent::drill::lab::impair::{Frames, Way};
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

const MINUTE: Duration = Duration::from_secs(60);
/// Processes that do nothing but count.
const HOGS: usize = 6;

/// Of both sorts of loss; once each, whatever the options.
pub(crate) fn figures(_: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    // lbagent's heartbeats use both paths, keepalived's the one that is worse.
    report.append(lossy("30 % loss on one of two paths, 60 s", &[("eth1", 30)])?);
    report.append(lossy("20 % loss on both paths, 60 s", &[("eth0", 20), ("eth1", 20)])?);
    report.notes.push(format!(
        "loss: cut short: one run of each sort, as it takes a minute; all contenders at once, beside {HOGS} CPU hogs"
    ));
    Ok(report)
}

fn lossy(what: &str, paths: &[(&str, u32)]) -> Result<Report, Failure> {
    let mut rigs = Vec::new();
    for contender in Contender::ALL.into_iter().filter(|contender| contender.is_installed()) {
        let heartbeats = if contender == Contender::Lbagent { Heartbeats::Both } else { Heartbeats::Back };
        rigs.push(Rig::build(Setup { heartbeats, ..Setup::plain(contender) })?);
    }
    let watches = rigs.iter_mut().map(Rig::settle).collect::<Result<Vec<_>, _>>()?;
    eprintln!("{what}");
    let hogs = (0..HOGS).map(|_| Hog::start(&rigs[0])).collect::<Result<Vec<_>, _>>()?;
    let mut losses = Vec::new();
    for rig in &rigs {
        for (node, (device, percent)) in PAIR.iter().flat_map(|node| paths.iter().map(move |path| (node, path))) {
            losses.push(rig.lab.impair(node, device, Way::Out, Frames::All, *percent)?);
        }
    }
    let since = now();
    std::thread::sleep(MINUTE);
    let end = now();
    drop((losses, hogs));
    let mut report = Report::default();
    for contender in Contender::ALL {
        let found = rigs.iter().position(|rig| rig.setup.contender == contender);
        let answers = found.map(|index| watches[index].answers());
        let seen = answers.map(|answers| (answers.moves(since, end) as f64, millis(answers.both(since, end))));
        report.figures.extend(rows(what, contender, seen));
    }
    Ok(report)
}

fn rows(what: &str, contender: Contender, seen: Option<(f64, f64)>) -> Vec<Figure> {
    let (who, bar) = (contender.to_string(), Bar::worst(0.0));
    let labels = [(format!("{what}: moves"), Unit::Count), (format!("{what}: both answered ARP"), Unit::Millis)];
    let Some((moves, both)) = seen else {
        return labels.map(|(what, _)| Figure::absent(what, who.clone(), "not installed")).into();
    };
    let row = |((what, unit), value): ((String, Unit), f64)| {
        let samples = Samples::one(unit, value);
        match contender {
            Contender::Lbagent => Figure::held(what, who.clone(), &samples, &bar),
            Contender::Keepalived { .. } => Figure::of(what, who.clone(), &samples),
        }
    };
    labels.into_iter().zip([moves, both]).map(row).collect()
}

/// Takes all the CPU that it gets. Dropping it ends it.
struct Hog(Child);

impl Hog {
    fn start(rig: &Rig) -> Result<Self, Failure> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
        Ok(Self(rig.lab.clients()?.namespace().adopt(&mut command).spawn()?))
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
