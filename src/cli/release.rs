//! `lbagent release`: removes what an agent has left on this machine when it could not do so itself. systemd runs it
//! after each end of the agent (`ExecStopPost`).
//!
//! The order matters. As long as an address is there, only the fence keeps the kernel from answering for it although no
//! agent proves that this node owns it: so the addresses go first, and the fence goes only when they all have gone.

use crate::{
    agent,
    kernel::{KernelError, fence, instance::InstanceLock, netlink::Netlink, netlink::Removal},
    model::{ObservedAddress, VipAddress},
};
use std::{
    io::{self, Write},
    path::Path,
};

/// Removes the addresses of the agent whose control socket was `socket`, then its fence. The exit code: 0 if nothing is
/// left, 1 if something is, or an agent runs.
pub fn release(socket: &Path) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot make a runtime: {error}");
            return 1;
        }
    };
    runtime.block_on(release_to(socket, &mut io::stdout(), &mut io::stderr()))
}

async fn release_to(socket: &Path, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    // Held to the end: no agent may start in between.
    let _instance = match InstanceLock::acquire() {
        Ok(lock) => lock,
        Err(error) => {
            let _ = writeln!(err, "error: nothing was released: {error}");
            return 1;
        }
    };
    let left = match addresses(socket, out, err).await {
        Ok(left) => left,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            1
        }
    };
    if left > 0 {
        let _ = writeln!(err, "the fence stays, so that the kernel does not answer for what is left");
        return 1;
    }
    remove_fence(out, err)
}

/// How many of our addresses are left.
async fn addresses(socket: &Path, out: &mut dyn Write, err: &mut dyn Write) -> Result<usize, KernelError> {
    let netlink = Netlink::connect(agent::address_record(socket))?;
    let network = netlink.observe().await?;
    let ours: Vec<&ObservedAddress> = network.addresses.iter().filter(|address| address.ours).collect();
    if ours.is_empty() {
        let _ = writeln!(out, "no address of lbagent is on any device");
    }
    let mut left = 0;
    for address in ours {
        let exact = VipAddress { ip: address.ip, prefix_len: address.prefix_len };
        let device = network.links.get(&address.link).map_or("a device", |link| link.name.as_str());
        match netlink.remove_address(address.link, exact).await {
            Ok(Removal::Removed) => {
                let _ = writeln!(out, "{exact} removed from {device}");
            }
            Ok(Removal::Absent | Removal::Foreign) => {}
            Err(error) => {
                let _ = writeln!(err, "error: {error}");
                left += 1;
            }
        }
    }
    Ok(left)
}

fn remove_fence(out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let told = match fence::remove_persistent() {
        Ok(true) => writeln!(out, "fence removed"),
        Ok(false) => writeln!(out, "no fence of lbagent is there"),
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            return 1;
        }
    };
    // Nothing to be done if the terminal is gone.
    let _ = told;
    0
}
