//! Who it was that removed an address.

use crate::kernel::netlink::Events;

/// The program behind the last change that `events` heard of, as far as it can be known: a netlink socket's port is as a
/// rule the process that opened it. `None` if the kernel does not say, or if it was `own` port.
pub(super) fn meddler(events: &Events, own: u32) -> Option<String> {
    let port = events.last_port().filter(|port| *port != own)?;
    Some(describe(port, std::fs::read_to_string(format!("/proc/{port}/comm")).ok()))
}

fn describe(port: u32, program: Option<String>) -> String {
    match program {
        Some(program) => format!("process {port} ({})", program.trim_end()),
        None => format!("owner of netlink port {port}, which is gone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_runs_is_named() {
        assert_eq!(describe(7, Some("NetworkManager\n".into())), "process 7 (NetworkManager)");
        assert_eq!(describe(7, None), "owner of netlink port 7, which is gone");
    }
}
