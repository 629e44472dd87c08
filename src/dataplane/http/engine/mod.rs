//! HTTP/1.1 for an intermediary, without IO: bytes in, events and bytes out.
//!
//! [`Requests`] turns what a client sends into requests and their bodies, [`Responses`] does it for what a backend
//! sends back to one request. Both are fed whatever has arrived, say how much of it they took, and give one event at a
//! time; how the bytes were cut on their way makes no difference. [`Request::write_forward`] and
//! [`Response::write_forward`] write the head anew for the other side, and a [`BodyWriter`] frames the body for it.
//!
//! Nothing is ever passed on as it came: a head is taken apart, judged (RFC 9110, RFC 9112) and written again, so a
//! backend sees one spelling of everything that two parsers could read differently. What is ambiguous in a request is
//! refused with a [`Refusal`] before a backend sees a byte of it; what is ambiguous in a response is a
//! [`BadResponse`], and the client gets a 502 instead.
//!
//! This module knows no socket, no clock, no tokio and no configuration.

mod body;
mod cookie;
mod fields;
mod head;
mod lines;
mod request;
mod requests;
mod response;
mod responses;
mod rules;
mod target;
#[cfg(test)]
mod tests;
mod way;

pub use body::{BodyReader, BodyWriter, Framing, Part};
pub use cookie::Keep;
pub use head::{MAX_FIELDS, MAX_HEAD, MAX_START_LINE, Version};
pub use request::Request;
pub use requests::{RequestEvent, Requests};
pub use response::{Asked, Reply, Response};
pub use responses::{ResponseEvent, Responses};
pub use rules::HeaderRules;
pub use target::split_host;
pub use way::{Earlier, Forwarding, Hop, Told};

/// Why a request is answered here and not forwarded. The connection cannot be used after it: where the next request
/// begins is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Refusal {
    /// 400, 414, 417, 431 or 501.
    pub status: u16,
    /// What is wrong, for the page and the log.
    pub reason: &'static str,
}

/// What makes a backend's response unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadResponse(pub &'static str);

const fn bad_request(reason: &'static str) -> Refusal {
    Refusal { status: 400, reason }
}
