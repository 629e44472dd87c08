//! What a pair uses that nobody asks for anything.

use super::{
    common::Failure,
    figures::{Bar, Figure, Samples, Unit},
    pair::{PAIR, Pair},
};
use lbagent::drill::lab::clock::now;
use std::{fs, time::Duration};

/// After the start, for everything that is done once.
const WARM_UP: Duration = Duration::from_secs(2);
const WATCH: Duration = Duration::from_secs(20);
/// Ticks per second in /proc/PID/stat: `USER_HZ`, part of the kernel's ABI.
const USER_HZ: f64 = 100.0;

/// Of both agents: CPU and memory.
pub(crate) fn figures(pair: &mut Pair) -> Result<Vec<Figure>, Failure> {
    std::thread::sleep(WARM_UP);
    eprintln!("idle for {WATCH:?}");
    let pids = PAIR.map(|node| pair.lab.agent(node).map(|agent| agent.pid()));
    let [active, backup] = pids;
    let pids = [(active?, "Active"), (backup?, "Backup")];
    let before = pids.map(|(pid, _)| cpu_seconds(pid));
    let start = now();
    std::thread::sleep(WATCH);
    let elapsed = start.elapsed().as_secs_f64();
    let mut figures = Vec::new();
    for ((pid, role), before) in pids.into_iter().zip(before) {
        let percent = (cpu_seconds(pid)? - before?) / elapsed * 100.0;
        let mib = resident_kib(pid)? / 1024.0;
        let row = |what, unit, value, bar| {
            Figure::held(format!("idle, {role}: {what}"), "lbagent", &Samples::one(unit, value), &Bar::worst(bar))
        };
        figures.push(row("CPU, of a core", Unit::Percent, percent, 1.0));
        figures.push(row("resident memory", Unit::Mebibytes, mib, 30.0));
    }
    Ok(figures)
}

/// Fields 14 and 15 (utime, stime) of /proc/PID/stat; field 2 is the name in parentheses.
fn cpu_seconds(pid: u32) -> Result<f64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (head, fields) = stat.rsplit_once(") ").ok_or("a stat without a name")?;
    // Where /proc could not be mounted anew it has the process ids of another namespace.
    if !head.ends_with("(lbagent") {
        return Err(format!("/proc/{pid} is not the agent but {head})").into());
    }
    let mut times = fields.split(' ').skip(11).map(str::parse::<f64>);
    let mut next = || times.next().ok_or("a stat without times");
    Ok((next()?? + next()??) / USER_HZ)
}

fn resident_kib(pid: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("a status without VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
