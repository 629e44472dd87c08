//! How much a device has received, by which a deaf one is told from a quiet one.

use std::{fs, io};

/// Of the namespace that the calling thread is in.
const COUNTERS: &str = "/proc/thread-self/net/dev";

/// Frames that the device of this name has received since it was made. `NotFound` if there is none.
pub fn rx_packets(link_name: &str) -> io::Result<u64> {
    find(&fs::read_to_string(COUNTERS)?, link_name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no device {link_name} in {COUNTERS}")))
}

/// Two lines of headings, then `NAME: BYTES PACKETS …` of what was received, and so on.
fn find(text: &str, link_name: &str) -> Option<u64> {
    let (_, counters) =
        text.lines().filter_map(|line| line.rsplit_once(':')).find(|(name, _)| name.trim() == link_name)?;
    counters.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{Host, eventually, joined};

    const TEXT: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
        lo:     100       2    0    0    0     0          0         0      100       2    0\n  \
        eth0: 5000000   70001    0    0    0     0          0         0        9       8    0\n \
        eth0:1: 4 3 0 0 0 0 0 0 2 1 0\n";

    #[test]
    fn takes_the_second_number_behind_the_name() {
        assert_eq!(find(TEXT, "eth0"), Some(70_001));
        assert_eq!(find(TEXT, "lo"), Some(2));
        assert_eq!(find(TEXT, "eth0:1"), Some(3));
        assert_eq!(find(TEXT, "eth"), None);
    }

    #[test]
    fn counts_what_comes_in() {
        let [host, peer] = joined();
        let before = host.blocking(|| rx_packets("eth0").unwrap());
        peer.run(async |net| {
            let announcer = crate::kernel::announce::Announcer::new().unwrap();
            let link = net.link("eth0").await;
            announcer.announce(&link, [192, 0, 2, 1].into()).unwrap();
        });
        host.run(async |_| {
            eventually("two frames more", async || (rx_packets("eth0").unwrap() >= before + 2).then_some(())).await;
        });
    }

    #[test]
    fn a_device_that_is_not_there_is_not_found() {
        let error = Host::new().blocking(|| rx_packets("eth7").unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
