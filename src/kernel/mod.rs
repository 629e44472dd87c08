//! What only the kernel can do: addresses and links over netlink, raw ARP and ND, namespaces.
//!
//! The one place (with the splice path) where `unsafe` is allowed. Mechanism only: nothing here knows what a Vip is
//! for, or decides anything.

pub mod isolate;
pub mod netns;
