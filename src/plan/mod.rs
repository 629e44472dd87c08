//! From what is wanted and what is there to what must be done, as values that can be compared and printed.
//!
//! Everything here is pure: the reconcile loop hands in a snapshot and gets back steps, and running a plan twice on the
//! same snapshot gives the same steps. The role that the election has decided for a Vip is an *input* like any other;
//! a crash, a restart, a failback and an address deleted by hand all take the same path through here.
//!
//! - [`placement`]: which device carries a Vip on this node.
//! - [`addresses`]: which addresses to add, which to refresh, which to take away; [`lifetimes`]: when to refresh.
//! - [`fence`]: what the kernel must keep silent.
//! - [`announce`]: when to tell the neighbours.
//! - [`candidates`]: what the election must know of the Vips; [`segment`]: who else is there; [`windows`]: how long
//!   something must be lost before that counts; [`standby`]: whether this node can be spared.
//! - [`drift`]: who keeps undoing what this node does.
//! - [`proxy`]: what the data plane is to serve.

pub mod addresses;
pub mod announce;
pub mod candidates;
pub mod drift;
pub mod fence;
pub mod lifetimes;
pub mod placement;
pub mod proxy;
pub mod segment;
pub mod standby;
pub mod windows;

#[cfg(test)]
mod fixture;
