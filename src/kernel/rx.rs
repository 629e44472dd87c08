//! How many packets a device has received: a device whose count stands still hears nothing at all.

use std::{fs, io};

/// Packets that the device `link` of this thread's network namespace has received (`/proc/thread-self/net/dev`).
pub fn rx_packets(link: &str) -> io::Result<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/dev")?;
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{link} is not in /proc/net/dev"));
    table.lines().find_map(|line| parse(line, link)).ok_or_else(missing)
}

/// `  eth0: BYTES PACKETS …`
fn parse(line: &str, link: &str) -> Option<u64> {
    let (name, counters) = line.split_once(':')?;
    if name.trim() != link {
        return None;
    }
    counters.split_whitespace().nth(1)?.parse().ok()
}
