//! The drill drills: each kind of state is rehearsed as a whole, by the command that people type.

use crate::{
    cases,
    harness::{Bench, Failure, Outcome, state::State, wait::eventually, world::SOON},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

cases![
    the_shipped_state,
    ipv6_only,
    one_peer,
    three_peers,
    one_heartbeat_network_and_an_alias,
    manual_failback,
    a_drill_that_can_ask_nothing_fails,
    a_bad_state_is_explained_and_nothing_is_built,
    an_interrupt_ends_it_cleanly,
];

fn the_shipped_state(_: &mut Bench) -> Outcome {
    let (report, _) = drill(&Path::new(env!("CARGO_MANIFEST_DIR")).join("state"))?;
    assert_all_ran(&report, &[])
}

fn ipv6_only(_: &mut Bench) -> Outcome {
    let mut state = State::pair();
    state.spec("Vip", "web")["addresses"] = json!(["2001:db8:1::10"]);
    for (index, node) in ["lb1", "lb2"].into_iter().enumerate() {
        let number = index + 1;
        let addresses = json!([format!("[2001:db8:2::{number}]:694"), format!("[2001:db8:1::{number}]:694")]);
        state.spec("Peer", node)["addresses"] = addresses;
    }
    for (pool, port) in [("web", 80), ("mail", 25)] {
        for (index, backend) in ["a", "b"].into_iter().enumerate() {
            let address = format!("[2001:db8:2::10{}]:{port}", index + 1);
            state.spec("Pool", pool)["backends"][index] = json!({ "name": backend, "address": address });
        }
    }
    let (report, _) = drill_state(&state)?;
    assert_all_ran(&report, &[])
}

fn one_peer(_: &mut Bench) -> Outcome {
    let (report, _) = drill_state(&State::balancers(1))?;
    assert_all_ran(&report, &["takeover", "failback"])
}

fn three_peers(_: &mut Bench) -> Outcome {
    let (report, _) = drill_state(&State::balancers(3))?;
    assert_all_ran(&report, &[])
}

fn one_heartbeat_network_and_an_alias(_: &mut Bench) -> Outcome {
    let mut state = State::pair();
    state.spec("Vip", "web")["interface"] = json!("front");
    state.spec("Vip", "web")["track"] = json!({ "interfaces": ["front"], "ping": ["198.51.100.254"] });
    for (index, node) in ["lb1", "lb2"].into_iter().enumerate() {
        state.spec("Peer", node)["addresses"] = json!([format!("198.51.100.{}:694", index + 1)]);
        state.spec("Peer", node)["interfaces"] = json!({ "front": format!("eno{}", index + 1) });
    }
    let (report, _) = drill_state(&state)?;
    assert_all_ran(&report, &[])
}

fn manual_failback(_: &mut Bench) -> Outcome {
    let state = State::pair().with_vip(|spec| spec["failback"] = json!({ "mode": "manual" }));
    let (report, _) = drill_state(&state)?;
    assert_all_ran(&report, &["failback"])?;
    let reason = steps(&report, "failback").find_map(|step| step["skipped"].as_str()).unwrap_or_default();
    assert!(reason.contains("manual"), "{reason:?}");
    Ok(())
}

/// The verdict can be no: where nothing can be asked, nothing is shown.
fn a_drill_that_can_ask_nothing_fails(_: &mut Bench) -> Outcome {
    let state = State::balancers(1).with_vip(|spec| spec["interface"] = json!("lo"));
    let (report, code) = drill_state(&state)?;
    assert_eq!((code, &report["ok"]), (1, &json!(false)));
    let reason = steps(&report, "steady").find_map(|step| step["skipped"].as_str()).unwrap_or_default();
    assert!(reason.contains("lo"), "{report}");
    assert!(steps(&report, "start").any(|step| step["ok"] == false), "{report}");
    Ok(())
}

fn a_bad_state_is_explained_and_nothing_is_built(_: &mut Bench) -> Outcome {
    let mut state = State::pair();
    state.spec("Vip", "web")["nodes"] = json!(["lb1", "lb9"]);
    let output = command(&write(&state)?).output()?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("lb9") && said.contains("vip-web.json"), "{said}");
    Ok(())
}

fn an_interrupt_ends_it_cleanly(_: &mut Bench) -> Outcome {
    let mut drill = command(&write(&State::pair())?).stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let stderr = drill.stderr.take().ok_or("no stderr")?;
    let steady = BufReader::new(stderr).lines().map_while(Result::ok).any(|line| line.starts_with("steady"));
    assert!(steady, "it never got there");
    kill(Pid::from_raw(drill.id() as i32), Signal::SIGINT)?;
    eventually(SOON, "it ends", || Ok(drill.try_wait()?.is_some()))?;
    assert_eq!(drill.wait()?.code(), Some(130));
    Ok(())
}

/// Every step ran but `skipped`, and all is well.
fn assert_all_ran(report: &Value, skipped: &[&str]) -> Outcome {
    for name in ["steady", "takeover", "failback", "backend-down", "backend-up"] {
        let rows: Vec<&Value> = steps(report, name).collect();
        assert!(!rows.is_empty(), "no step {name} in {report}");
        let was_skipped = rows.iter().all(|row| row["skipped"].is_string());
        assert_eq!(was_skipped, skipped.contains(&name), "{name} in {report}");
    }
    if report["ok"] == true { Ok(()) } else { Err(format!("not ok: {report}").into()) }
}

fn steps<'a>(report: &'a Value, name: &'a str) -> impl Iterator<Item = &'a Value> {
    report["steps"].as_array().into_iter().flatten().filter(move |step| step["name"] == name)
}

fn drill_state(state: &State) -> Result<(Value, i32), Failure> {
    drill(&write(state)?)
}

/// Runs the drill; its report and exit code. What it said goes to stderr.
fn drill(dir: &Path) -> Result<(Value, i32), Failure> {
    let output = command(dir).stderr(Stdio::inherit()).output()?;
    let report =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("no report ({error}), {}", output.status))?;
    Ok((report, output.status.code().ok_or("killed")?))
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbagent"));
    command.args(["drill", "-o", "json", "--state-dir"]).arg(dir).stdin(Stdio::null());
    command
}

/// The state as files, in a directory of its own.
fn write(state: &State) -> Result<PathBuf, Failure> {
    let dir = tempfile::tempdir_in(lbagent::kernel::isolate::SCRATCH)?.keep();
    for (name, value) in &state.files {
        fs::write(dir.join(name), value.to_string())?;
    }
    Ok(dir)
}
