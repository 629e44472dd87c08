//! The state directory is edited, broken, emptied, removed: a bad file never changes anything that runs.

use crate::{
    cases,
    harness::{
        Bench, Outcome,
        state::{State, file_name},
        wait::{eventually, now},
        world::{SOON, World},
    },
};
use serde_json::json;
use std::{fs, os::unix::fs::symlink, time::Duration};

cases![
    a_bad_file_changes_nothing_and_is_reported_until_it_is_mended,
    a_half_written_file_changes_nothing,
    a_deleted_pool_that_is_still_named_stays_in_force,
    a_deleted_vip_goes_away,
    a_deleted_directory_changes_nothing_and_survives_a_restart,
    an_emptied_directory_changes_nothing,
    a_bad_file_survives_a_restart,
    a_swapped_symlink_changes_all_files_at_once,
    a_huge_file_a_fifo_and_a_circle_are_reported_and_do_no_harm,
];

fn a_bad_file_changes_nothing_and_is_reported_until_it_is_mended(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let world = bench.running(&state)?;
    let bad = state.clone().with_vip(|spec| spec["listners"] = json!([]));
    let name = file_name("Vip", "web");
    let undisturbed = now();
    world.write(&name, &bad.files[&name])?;
    for node in ["lb1", "lb2"] {
        eventually(SOON, "the problem is reported", || world.reports(node, &[&name, "listners"]))?;
    }
    world.stays_at("lb1", Duration::from_secs(1))?;
    world.write(&name, &state.files[&name])?;
    for node in ["lb1", "lb2"] {
        eventually(SOON, "the problem is gone", || Ok(!world.reports(node, &[&name])?))?;
    }
    assert_eq!(world.losses_since(undisturbed)?, (0, 0), "failed, broken");
    Ok(())
}

fn a_half_written_file_changes_nothing(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let world = bench.running(&state)?;
    let name = file_name("Pool", "web");
    let text = state.files[&name].to_string();
    let undisturbed = now();
    // In place, as some editors and every `cp` do it.
    fs::write(world.path(&name), &text[..text.len() / 2])?;
    eventually(SOON, "the problem is reported", || world.reports("lb1", &[&name]))?;
    world.stays_at("lb1", Duration::from_secs(1))?;
    fs::write(world.path(&name), &text)?;
    eventually(SOON, "the problem is gone", || Ok(!world.reports("lb1", &[&name])?))?;
    assert_eq!(world.losses_since(undisturbed)?, (0, 0), "failed, broken");
    Ok(())
}

fn a_deleted_pool_that_is_still_named_stays_in_force(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let undisturbed = now();
    fs::remove_file(world.path(&file_name("Pool", "web")))?;
    eventually(SOON, "the problem is reported", || world.reports("lb1", &["web"]))?;
    world.stays_at("lb1", Duration::from_secs(1))?;
    assert_eq!(world.losses_since(undisturbed)?, (0, 0), "failed, broken");
    Ok(())
}

fn a_deleted_vip_goes_away(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    fs::remove_file(world.path(&file_name("Vip", "web")))?;
    eventually(SOON, "the addresses are gone", || Ok(world.holders_of_any()?.is_empty()))?;
    crate::harness::wait::stays(Duration::from_secs(1), "they stay away", || Ok(world.holders_of_any()?.is_empty()))
}

fn a_deleted_directory_changes_nothing_and_survives_a_restart(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    fs::remove_dir_all(&world.config.state_dir)?;
    for node in ["lb1", "lb2"] {
        eventually(SOON, "the problem is reported", || world.reports(node, &["state"]))?;
    }
    world.stays_at("lb1", Duration::from_secs(1))?;
    world.lab.stop_agent("lb2", SOON)?;
    world.start("lb2")?;
    world.lab.crash("lb1")?;
    world.settle("lb2")
}

fn an_emptied_directory_changes_nothing(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let world = bench.running(&state)?;
    let undisturbed = now();
    for name in state.files.keys() {
        fs::remove_file(world.path(name))?;
    }
    eventually(SOON, "the problem is reported", || world.reports("lb1", &["state"]))?;
    world.stays_at("lb1", Duration::from_secs(1))?;
    assert_eq!(world.losses_since(undisturbed)?, (0, 0), "failed, broken");
    Ok(())
}

fn a_bad_file_survives_a_restart(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let name = file_name("Vip", "web");
    world.write_text(&name, "{ \"apiVersion\": ")?;
    eventually(SOON, "the problem is reported", || world.reports("lb1", &[&name]))?;
    for node in ["lb2", "lb1"] {
        world.lab.stop_agent(node, SOON)?;
        world.start(node)?;
    }
    world.settle("lb1")?;
    eventually(SOON, "the problem is still reported", || world.reports("lb1", &[&name]))
}

fn a_swapped_symlink_changes_all_files_at_once(bench: &mut Bench) -> Outcome {
    let state = State::pair();
    let world = bench.world(&state)?;
    // As Kubernetes mounts a ConfigMap: the files lead through `..data`, which is swapped by a rename.
    let dir = world.config.state_dir.clone();
    let publish = |revision: &str, state: &State| -> Outcome {
        fs::create_dir_all(dir.join(revision))?;
        for (name, value) in &state.files {
            fs::write(dir.join(revision).join(name), value.to_string())?;
        }
        symlink(revision, dir.join("..new"))?;
        Ok(fs::rename(dir.join("..new"), dir.join("..data"))?)
    };
    publish("..1", &state)?;
    for name in state.files.keys() {
        fs::remove_file(world.path(name))?;
        symlink(format!("..data/{name}"), world.path(name))?;
    }
    world.start_all()?;
    // One change over two files: a pool that the first revision does not have, and a route to it.
    let mut second = state.clone();
    second.put("Pool", "new", json!({ "backends": [{ "name": "n", "address": "192.0.2.102:80" }] }));
    second.spec("Vip", "web")["listeners"][0]["pool"] = json!("new");
    symlink(format!("..data/{}", file_name("Pool", "new")), world.path(&file_name("Pool", "new")))?;
    let since = now();
    publish("..2", &second)?;
    eventually(SOON, "the new pool is in force", || {
        let status = world.status("lb1")?;
        Ok(status["pools"].as_array().is_some_and(|pools| pools.iter().any(|pool| pool["name"] == "new")))
    })?;
    assert_eq!(world.losses_since(since)?, (0, 0), "failed, broken");
    Ok(())
}

fn a_huge_file_a_fifo_and_a_circle_are_reported_and_do_no_harm(bench: &mut Bench) -> Outcome {
    let world = bench.running(&State::pair())?;
    let undisturbed = now();
    fs::File::create(world.path("huge.json"))?.set_len(64 << 20)?;
    symlink("circle.json", world.path("circle.json"))?;
    nix::unistd::mkfifo(&world.path("fifo.json"), nix::sys::stat::Mode::S_IRWXU)?;
    for name in ["huge.json", "circle.json", "fifo.json"] {
        eventually(SOON, &format!("{name} is reported"), || world.reports("lb1", &[name]))?;
    }
    fs::write(world.path(".hidden.json"), "{")?;
    fs::write(world.path("vip-web.json~"), "{")?;
    fs::write(world.path(".vip-web.json.swp"), "{")?;
    world.stays_at("lb1", Duration::from_secs(1))?;
    assert!(
        !world.reports("lb1", &["hidden"])? && !world.reports("lb1", &["json~"])? && !world.reports("lb1", &["swp"])?
    );
    assert_eq!(world.losses_since(undisturbed)?, (0, 0), "failed, broken");
    restart_beside_them(world)
}

fn restart_beside_them(world: &mut World) -> Outcome {
    world.lab.stop_agent("lb1", SOON)?;
    world.start("lb1")?;
    world.settle("lb1")
}
