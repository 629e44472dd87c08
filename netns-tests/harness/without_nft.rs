//! A machine whose kernel has no nftables, as a program on it sees it: a socket for netfilter's netlink is refused with
//! `EPROTONOSUPPORT`. A seccomp filter does that here, since the kernel of the test has them.
//!
//! [`launcher`] writes a program that starts this test binary again, which puts the filter on itself and becomes the
//! agent ([`act_as_launcher`]).

#![allow(unsafe_code, reason = "a seccomp filter is set by prctl")]

use super::{Failure, world::World};
use nix::libc;
use std::{
    io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode},
};

/// In the environment: the program to become.
const BECOME: &str = "NETNS_BECOME_WITHOUT_NFT";

/// A program that is the agent without nftables.
pub(crate) fn launcher(world: &World) -> Result<PathBuf, Failure> {
    let (agent, test) = (world.config.program.display().to_string(), std::env::current_exe()?);
    let script = format!("#!/bin/sh\n{BECOME}='{agent}' exec '{}' \"$@\"\n", test.display());
    let path = world.lab.write_file("without-nft", script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The life of a launcher, if this process is one: it ends only if it cannot become the agent.
pub(crate) fn act_as_launcher() -> Option<ExitCode> {
    let program = std::env::var_os(BECOME)?;
    let error = forbid()
        .err()
        .unwrap_or_else(|| Command::new(program).args(std::env::args_os().skip(1)).env_remove(BECOME).exec());
    eprintln!("cannot become an agent without nftables: {error}");
    Some(ExitCode::FAILURE)
}

/// From now on, this process and its children get no socket for netfilter's netlink.
fn forbid() -> io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    // Jumps count from the next instruction. struct seccomp_data: the number at 0, the arguments from 16 on, 8 bytes
    // each, of which the low half is compared.
    let low = |argument: u32| 16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 };
    let unless = |k: u32, jf| libc::sock_filter { code: EQUAL, jt: 0, jf, k };
    let mut filter = [
        statement(LOAD, 0),
        unless(libc::SYS_socket as u32, 5),
        statement(LOAD, low(0)),
        unless(libc::AF_NETLINK as u32, 3),
        statement(LOAD, low(2)),
        unless(libc::NETLINK_NETFILTER as u32, 1),
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPROTONOSUPPORT as u32),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the program and its instructions live through the call, which copies them.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
