//! The data plane over real sockets on loopback, between scripted backends and scripted clients.

mod bodies;
mod bulk;
mod connecting;
mod early;
mod edits;
mod ejection;
mod harness;
mod introduced;
mod limits;
mod listeners;
mod load;
mod logs;
mod messages;
mod parking;
mod recorder;
mod requests;
mod retries;
mod slow;
mod smuggling;
mod sources;
mod spliced;
mod sticky;
mod tcp;
mod websocket;
