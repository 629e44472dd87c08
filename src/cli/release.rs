//! `lbagent release`: removes what an agent has left on this machine when it could not do so itself. systemd runs it
//! after each end of the agent (`ExecStopPost`).
//!
//! The order matters. As long as an address is there, only the fence keeps the kernel from answering for it although no
//! agent proves that this node owns it: so the addresses go first, and the fence goes only when they all have gone.

use crate::{
    agent,
    kernel::{
        KernelError, fence,
        instance::InstanceLock,
        netlink::{Netlink, Removal, Removed},
    },
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
    let found = netlink.remove_ours().await?;
    if found.is_empty() {
        let _ = writeln!(out, "no address of lbagent is on any device");
    }
    let mut left = 0;
    for Removed { address, device, result } in found {
        match result {
            Ok(Removal::Removed) => {
                let _ = writeln!(out, "{address} removed from {device}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{fence::Fence, netns::NetNs},
        model::VipAddress,
    };
    use std::{collections::BTreeSet, path::PathBuf};

    const VIP: &str = "198.51.100.10";
    const FOREIGN: &str = "198.51.100.99";

    /// What an agent that was killed leaves behind in a network namespace: an address and a fence.
    struct Left {
        namespace: NetNs,
        dir: tempfile::TempDir,
    }

    impl Left {
        fn new() -> Self {
            let left = Self { namespace: NetNs::new().unwrap(), dir: tempfile::tempdir().unwrap() };
            left.run(async || {
                let (connection, handle, _) = rtnetlink::new_connection().unwrap();
                tokio::spawn(connection);
                handle.link().add(rtnetlink::LinkVeth::new("eth0", "peer").build()).execute().await.unwrap();
                let eth0 = left.device().await;
                let vip = VipAddress::host(VIP.parse().unwrap());
                left.netlink().add_address(eth0, vip).await.unwrap();
                let somebody = Netlink::connect_without_marks(left.dir.path().join("somebody")).unwrap();
                somebody.add_address(eth0, VipAddress::host(FOREIGN.parse().unwrap())).await.unwrap();
                let mut fence = Fence::open().unwrap();
                fence.install(&BTreeSet::from(["eth0".to_owned()]), &BTreeSet::from([vip.ip])).unwrap();
            });
            left
        }

        fn run<T: Send>(&self, f: impl AsyncFnOnce() -> T + Send) -> T {
            let block_on = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f());
            self.namespace.run(block_on).unwrap()
        }

        fn socket(&self) -> PathBuf {
            self.dir.path().join("lbagent.sock")
        }

        fn netlink(&self) -> Netlink {
            Netlink::connect(agent::address_record(&self.socket())).unwrap()
        }

        async fn device(&self) -> u32 {
            let network = self.netlink().observe().await.unwrap();
            network.links.values().find(|link| link.name == "eth0").unwrap().index
        }

        /// Code, stdout and stderr.
        fn release(&self) -> (u8, String, String) {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let code = self.run(async || release_to(&self.socket(), &mut out, &mut err).await);
            (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
        }

        fn addresses(&self) -> BTreeSet<String> {
            let network = self.run(async || self.netlink().observe().await.unwrap());
            let v4 = network.addresses.iter().filter(|address| address.ip.is_ipv4());
            v4.map(|address| address.ip.to_string()).collect()
        }
    }

    #[test]
    fn the_address_goes_then_the_fence_and_nothing_of_anybody_else() {
        let left = Left::new();
        let told = (0, format!("{VIP}/32 removed from eth0\nfence removed\n"), String::new());
        assert_eq!(left.release(), told);
        assert_eq!(left.addresses(), BTreeSet::from([FOREIGN.to_owned()]));
        let nothing = "no address of lbagent is on any device\nno fence of lbagent is there\n";
        assert_eq!(left.release(), (0, nothing.to_owned(), String::new()), "twice is no harm");
    }

    #[test]
    fn beside_a_running_agent_it_touches_nothing() {
        let left = Left::new();
        let running = left.namespace.run(InstanceLock::acquire).unwrap().unwrap();
        let (code, out, err) = left.release();
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("error: nothing was released: ") && err.contains("stop it first"), "{err}");
        assert!(left.addresses().contains(VIP));
        drop(running);
        assert!(left.release().1.contains("fence removed"), "it was still there");
    }

    #[test]
    fn the_fence_stays_while_it_is_not_known_what_is_left() {
        let left = Left::new();
        // A record that cannot be read.
        std::fs::create_dir(agent::address_record(&left.socket())).unwrap();
        let (code, out, err) = left.release();
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("error: cannot read the record") && err.contains("the fence stays"), "{err}");
        std::fs::remove_dir(agent::address_record(&left.socket())).unwrap();
        assert_eq!(left.release().0, 0);
    }
}
