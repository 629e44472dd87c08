//! The data plane over real sockets on loopback, between scripted backends and scripted clients.

mod bodies;
mod early;
mod ejection;
mod harness;
mod limits;
mod listeners;
mod requests;
mod retries;
mod tcp;
