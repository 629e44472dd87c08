//! The data plane over real sockets on loopback, between scripted backends and scripted clients.

mod bodies;
mod early;
mod harness;
mod listeners;
mod recorder;
mod requests;
mod retries;
mod smuggling;
mod tcp;
