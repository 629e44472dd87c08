//! How much a device has received, by which a deaf one is told from a quiet one.

use std::{fs::File, io, os::unix::fs::FileExt};

const COUNTERS: &str = "/proc/thread-self/net/dev";
const CHUNK: usize = 8192;
/// The kernel fills a page (or what it is given, if that is less) with whole lines, and a line is shorter than 200
/// bytes. So what is shorter than this was the end, and need not be asked for again.
const LAST: usize = 3072;

/// The counters of all devices of one network namespace, also of those that appear later.
#[derive(Debug)]
pub struct RxCounters(File);

impl RxCounters {
    /// Of the namespace that the calling thread is in; of no other, wherever it is used later.
    pub fn open() -> io::Result<Self> {
        Ok(Self(File::open(COUNTERS)?))
    }

    /// Frames that the device of this name has received since it was made. `NotFound` if there is none.
    pub fn packets(&self, link_name: &str) -> io::Result<u64> {
        find(&self.read()?, link_name)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no device {link_name} in {COUNTERS}")))
    }

    /// The kernel makes the text anew when it is read from its beginning.
    fn read(&self) -> io::Result<String> {
        let mut text = Vec::new();
        loop {
            let start = text.len();
            text.resize(start + CHUNK, 0);
            let len = self.0.read_at(&mut text[start..], start as u64)?;
            text.truncate(start + len);
            if len < LAST {
                return String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into());
            }
        }
    }
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
    use crate::kernel::testing::{Host, block_on, eventually, joined};

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
        let counters = host.blocking(|| RxCounters::open().unwrap());
        let count = || counters.packets("eth0").unwrap();
        let before = count();
        peer.run(async |net| {
            let announcer = crate::kernel::announce::Announcer::new().unwrap();
            let link = net.link("eth0").await;
            announcer.announce(&link, [192, 0, 2, 1].into()).unwrap();
        });
        // From outside the namespace.
        block_on(eventually("two frames more", async || (count() >= before + 2).then_some(())));
    }

    #[test]
    fn a_device_that_is_not_there_is_not_found() {
        let error = Host::new().blocking(|| RxCounters::open().unwrap().packets("eth7").unwrap_err());
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
