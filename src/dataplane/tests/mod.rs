//! The data plane over real sockets on loopback, between scripted backends and scripted clients.

mod bodies;
mod early;
mod edits;
mod ejection;
mod harness;
mod limits;
mod listeners;
mod recorder;
mod load;
mod requests;
mod retries;
mod smuggling;
mod tcp;
