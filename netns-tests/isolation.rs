//! The world of its own ([`lbagent::kernel::isolate`]): whoever starts it and however it ends, nothing is left.
//!
//! These cases start this test binary again as a *probe*, which isolates itself and then does what it is told.

use crate::{
    cases,
    harness::{
        Bench, Failure, Outcome,
        wait::{eventually, stays},
    },
};
use lbagent::kernel::{isolate, netns::NetNs};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

cases![
    an_ordinary_user_gets_a_world_with_network_namespaces,
    the_exit_code_comes_through,
    a_signal_ends_everything_within_a_second,
    kill_9_of_the_outer_process_leaves_nothing,
    a_stubborn_process_is_killed_after_a_grace,
    mounts_and_files_stay_inside,
    a_threaded_process_is_told_so,
];

/// Set in a probe's environment: what it is to do.
const PROBE: &str = "LBAGENT_ISOLATION_PROBE";
/// Set for a probe that another has started, and that starts none.
const CHILD: &str = "LBAGENT_ISOLATION_CHILD";
/// A user that is not root. Its number needs no entry in any file.
const NOBODY: u32 = 65534;

/// The life of a probe, if this process is one.
pub(crate) fn act_as_probe() -> Option<ExitCode> {
    let task = std::env::var(PROBE).ok()?;
    if task == "threads" {
        let (keep, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = wait.recv();
        });
        let refused = isolate::enter().err().map(|error| error.to_string());
        drop(keep);
        let _ = thread.join();
        println!("{}", refused.unwrap_or_default());
        return Some(ExitCode::SUCCESS);
    }
    if let Err(error) = isolate::enter() {
        println!("{error}");
        return Some(ExitCode::from(77));
    }
    Some(match task.as_str() {
        "build" => build(),
        "code" => ExitCode::from(42),
        "files" => ExitCode::from(u8::from(fs::write(format!("{}/left-behind", isolate::SCRATCH), "").is_err())),
        "stubborn" => linger(true),
        _ => linger(false),
    })
}

/// Root in there: can make namespaces and devices.
fn build() -> ExitCode {
    let built = NetNs::new().map_err(Failure::from).and_then(|namespace| {
        let rtnl = lbagent::drill::lab::rtnl::Rtnl::open(&namespace)?;
        rtnl.add_bridge("switch")?;
        Ok(nix::unistd::getuid().is_root())
    });
    println!("{built:?}");
    ExitCode::from(u8::from(!matches!(built, Ok(true))))
}

/// Starts a process that outlives its parent if nothing ends it, says its mark, and waits.
fn linger(stubborn: bool) -> ExitCode {
    if std::env::var_os(CHILD).is_none() {
        let _ = Command::new("/proc/self/exe").env(PROBE, "linger").env(CHILD, "").spawn();
    }
    if stubborn {
        let mut terminal = nix::sys::signal::SigSet::empty();
        terminal.add(Signal::SIGTERM);
        terminal.add(Signal::SIGINT);
        let _ = terminal.thread_block();
    }
    println!("ready");
    std::thread::sleep(Duration::from_secs(60));
    ExitCode::SUCCESS
}

fn an_ordinary_user_gets_a_world_with_network_namespaces(_: &mut Bench) -> Outcome {
    let mut probe = probe("build");
    // Where the whole suite runs in a user namespace, there is no other user to become: it is the proof by itself.
    if geteuid().is_root() && fs::read_to_string("/proc/self/uid_map")?.split_whitespace().nth(2) != Some("1") {
        probe.uid(NOBODY).gid(NOBODY);
    }
    let output = probe.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() { Ok(()) } else { Err(format!("{}: {said}", output.status).into()) }
}

fn the_exit_code_comes_through(_: &mut Bench) -> Outcome {
    assert_eq!(probe("code").status()?.code(), Some(42));
    Ok(())
}

fn a_signal_ends_everything_within_a_second(_: &mut Bench) -> Outcome {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut probe, mark, _out) = start("linger")?;
        kill(Pid::from_raw(probe.id() as i32), signal)?;
        eventually(Duration::from_secs(3), "the probe ends", || Ok(probe.try_wait()?.is_some()))?;
        assert_eq!(probe.wait()?.code(), Some(128 + signal as i32));
        assert_eq!(marked(&mark)?, 0, "processes are left after {signal}");
    }
    Ok(())
}

fn kill_9_of_the_outer_process_leaves_nothing(_: &mut Bench) -> Outcome {
    let (mut probe, mark, _out) = start("linger")?;
    probe.kill()?;
    assert_eq!(probe.wait()?.signal(), Some(9));
    eventually(Duration::from_secs(3), "nothing is left", || Ok(marked(&mark)? == 0))
}

fn a_stubborn_process_is_killed_after_a_grace(_: &mut Bench) -> Outcome {
    let (mut probe, mark, _out) = start("stubborn")?;
    kill(Pid::from_raw(probe.id() as i32), Signal::SIGTERM)?;
    eventually(Duration::from_secs(5), "the probe ends", || Ok(probe.try_wait()?.is_some()))?;
    assert_eq!(marked(&mark)?, 0);
    Ok(())
}

fn mounts_and_files_stay_inside(_: &mut Bench) -> Outcome {
    let before = fs::read_to_string("/proc/self/mounts")?;
    assert_eq!(probe("files").status()?.code(), Some(0), "the probe could not write to its scratch");
    assert_eq!(fs::read_to_string("/proc/self/mounts")?, before);
    assert!(!fs::exists(format!("{}/left-behind", isolate::SCRATCH))?);
    Ok(())
}

fn a_threaded_process_is_told_so(_: &mut Bench) -> Outcome {
    let output = probe("threads").output()?;
    let said = String::from_utf8(output.stdout)?;
    assert!(said.contains("before the first thread"), "{said:?}");
    Ok(())
}

fn probe(task: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(PROBE, task);
    command
}

/// A probe that runs, with its child, and the mark that both carry in their environment.
fn start(task: &str) -> Result<(Child, String, BufReader<ChildStdout>), Failure> {
    // Cases run beside each other.
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let mark = format!("{}-{task}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
    let mut child = probe(task).env("MARK", &mark).stdout(Stdio::piped()).spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
    for _ in 0..2 {
        let mut line = String::new();
        out.read_line(&mut line)?;
        assert_eq!(line, "ready\n");
    }
    // All of them: outer, init and main of the probe, and of its child.
    eventually(Duration::from_secs(2), "all processes run", || Ok(marked(&mark)? == 6))?;
    stays(Duration::from_millis(50), "all processes run", || Ok(marked(&mark)? == 6))?;
    Ok((child, mark, out))
}

/// How many processes carry `mark` in their environment.
fn marked(mark: &str) -> Result<usize, Failure> {
    let wanted = format!("MARK={mark}");
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        let environment = fs::read(entry?.path().join("environ")).unwrap_or_default();
        count += usize::from(environment.split(|byte| *byte == 0).any(|pair| pair == wanted.as_bytes()));
    }
    Ok(count)
}
