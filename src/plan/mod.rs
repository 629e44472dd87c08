//! From what is wanted and what is there to what must be done, as values that can be compared and printed.
//!
//! Everything here is pure: the reconcile loop hands in a snapshot and gets back steps, and running a plan twice on the
//! same snapshot gives the same steps. The role that the election has decided for a Vip is an *input* like any other;
//! a crash, a restart, a failback and an address deleted by hand all take the same path through here.
//!
//! - [`placement`]: which device carries a Vip on this node.
//! - [`addresses`]: which addresses to add, which to take away.
//! - [`announce`]: when to tell the neighbours.
//! - [`candidates`]: what the election must know of the Vips.
//! - [`proxy`]: what the data plane is to serve.

pub mod addresses;
pub mod announce;
pub mod candidates;
pub mod placement;
pub mod proxy;

#[cfg(test)]
mod fixture;
