//! What only the kernel can do: addresses and links over netlink, raw ARP and ND, namespaces.
//!
//! The one place (with the splice path) where `unsafe` is allowed. Mechanism only: nothing here knows what a Vip is
//! for, or decides anything.
//!
//! ```text
//! netlink ── what is there, add and remove addresses, wake on change
//! frames ─── ARP and ND as bytes (pure)
//!   ├ announce ── "the address is here now"    ┐ both over
//!   └ probe ───── "does anyone have it?"       ┘ packet_socket
//! fence ──── an address is used only while it is leased; over nft, which is nftables over netlink
//! ping ───── ICMP echo
//! rx ─────── how much a device has received
//! stream ─── accepting a connection; splice: passing bytes from one to another unseen
//! instance ─ one agent per network namespace
//! connect ── TCP from a certain address, and what the kernel does for a connection
//! datagram ─ UDP: many at once, and what ICMP says of those that were sent
//! alarm ──── waiting for a moment; epoll: for one of many sockets
//! meddler ── who else has changed something
//! limits ─── how many descriptors this process may have; memory: what it has freed
//! realtime ─ a thread that must not wait for others
//! netns ──── namespaces held by a descriptor; isolate: a world of namespaces for drills and tests
//! ```

pub mod alarm;
pub mod announce;
pub mod connect;
pub mod datagram;
pub mod epoll;
mod error;
pub mod fence;
pub mod frames;
pub mod instance;
pub mod netlink;
pub mod isolate;
pub mod limits;
pub mod memory;
mod meddler;
pub mod netns;
pub mod packet_socket;
pub mod ping;
pub mod probe;
mod nft;
mod raw;
pub mod realtime;
pub mod rx;
pub mod splice;
pub mod stream;
#[cfg(test)]
pub(crate) mod testing;

pub use error::KernelError;
pub use meddler::Meddler;
