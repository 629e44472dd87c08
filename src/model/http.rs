//! What a listener does to HTTP messages on their way.

use super::Network;
use std::net::IpAddr;

/// What is done to the fields of messages that are passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageEdits {
    /// Of requests, before a backend gets them.
    pub request: FieldEdits,
    /// Of backends' responses, before the client gets them; not of pages of the proxy itself, nor of 1xx other than 101.
    pub response: FieldEdits,
}

/// Removed first, then set, then added. Names are RFC 9110 tokens as the file spells them, in no two spellings in one
/// list; values have neither CR, LF, NUL nor white space around them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Every line of these names goes.
    pub remove: Vec<String>,
    /// One line with this value in place of every line of the name.
    pub set: Vec<(String, String)>,
    /// One more line.
    pub add: Vec<(String, String)>,
}

impl FieldEdits {
    /// There is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// What the proxy answers where it would have answered with its own page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// At least one of [`ErrorPage::STATUSES`].
    pub statuses: Vec<u16>,
    /// A media type. Default `text/html; charset=utf-8`.
    pub content_type: String,
    /// At most [`ErrorPage::LONGEST`] bytes.
    pub body: String,
}

impl ErrorPage {
    /// What the proxy answers by itself when it cannot or will not pass a request on.
    pub const STATUSES: [u16; 11] = [400, 404, 408, 414, 417, 429, 431, 501, 502, 503, 504];
    /// Of a body.
    pub const LONGEST: usize = 64 * 1024;
}

/// What is believed and told of the way of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Proxies whose word counts. `None`: it was not said; then what a client says of its way is passed on for what it
    /// is worth, and its connection alone tells who it is.
    pub trusted: Option<Vec<Network>>,
    /// How it is told.
    pub style: ForwardedStyle,
}

/// The fields in which it is told where a request came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
    /// All of them.
    Both,
    /// None; what a client says in them is passed on as it is.
    None,
}

impl ForwardedStyle {
    /// `X-Forwarded-For` and its like are written.
    pub fn has_x_forwarded(self) -> bool {
        matches!(self, Self::XForwarded | Self::Both)
    }

    /// `Forwarded` is written.
    pub fn has_rfc7239(self) -> bool {
        matches!(self, Self::Rfc7239 | Self::Both)
    }
}

impl Forwarded {
    /// Whether the word of `peer` counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.as_ref().is_some_and(|trusted| trusted.iter().any(|network| network.contains(peer)))
    }

    /// Who has sent a request that came from `peer`: the nearest on its way that is not trusted. `way` is what the proxies
    /// before `peer` said, the nearest first, and `None` for what is no address: there it ends. If all are trusted, the
    /// farthest.
    pub fn client(&self, peer: IpAddr, way: impl IntoIterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        let mut way = way.into_iter();
        while self.trusts(client) {
            let Some(Some(before)) = way.next() else { break };
            client = before.to_canonical();
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_client_is_the_nearest_that_is_not_trusted() {
        let trusted = ["192.0.2.0/24", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let forwarded = Forwarded { trusted: Some(trusted.to_vec()), style: ForwardedStyle::default() };
        for (peer, way, client) in [
            ("203.0.113.1", vec!["198.51.100.1"], "203.0.113.1"),
            ("192.0.2.1", vec![], "192.0.2.1"),
            ("192.0.2.1", vec!["203.0.113.9", "198.51.100.1"], "203.0.113.9"),
            ("192.0.2.1", vec!["2001:db8::1", "192.0.2.7", "203.0.113.9", "192.0.2.8"], "203.0.113.9"),
            ("192.0.2.1", vec!["::ffff:192.0.2.9", "::ffff:203.0.113.9", "198.51.100.1"], "203.0.113.9"),
            ("192.0.2.1", vec!["192.0.2.2", "192.0.2.3"], "192.0.2.3"),
            ("192.0.2.1", vec!["192.0.2.2", "unknown", "203.0.113.9"], "192.0.2.2"),
        ] {
            let way = way.iter().map(|text| text.parse().ok());
            assert_eq!(forwarded.client(ip(peer), way), ip(client), "{peer}");
        }
        assert_eq!(Forwarded::default().client(ip("192.0.2.1"), [Some(ip("203.0.113.9"))]), ip("192.0.2.1"));
    }
}
