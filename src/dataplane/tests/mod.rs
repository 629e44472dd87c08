//! The data plane over real sockets on loopback, between scripted backends and scripted clients.

mod bodies;
mod harness;
mod listeners;
mod requests;
mod retries;
mod tcp;
