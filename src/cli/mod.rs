//! The subcommands: each takes what was asked for and gives the exit code.

pub mod check;
mod client;
pub mod status;
