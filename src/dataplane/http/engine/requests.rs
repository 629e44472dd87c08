//! A client's half of a connection: one request after the other, each with its body.

use super::{
    BodyReader, Part, Refusal, Request, bad_request,
    head::{HeadEnd, MAX_HEAD},
    lines::Head,
};

/// What a client sends, in order.
#[derive(Debug)]
pub enum RequestEvent<'a> {
    /// A whole head. If it asks for an upgrade and gets it, HTTP ends here.
    Head(Request<'a>),
    /// Some of the body, without its framing.
    Data(&'a [u8]),
    /// The request is complete; the next one may follow.
    End,
    /// Nothing more can be said without more input.
    More,
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct Requests(State);

#[derive(Debug)]
enum State {
    Head(HeadEnd),
    Body(BodyReader),
    Refused(Refusal),
}

impl Default for Requests {
    fn default() -> Self {
        Self(State::Head(HeadEnd::default()))
    }
}

impl Requests {
    /// The next event, and how many bytes of `input` it took. `input` begins where the last event ended: bytes that
    /// were not taken come again, with more behind them.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, RequestEvent<'a>), Refusal> {
        let result = match &mut self.0 {
            State::Head(end) => Self::head(end, input),
            State::Body(body) => match body.next(input) {
                Ok((taken, Part::Data(data))) => Ok((taken, RequestEvent::Data(data))),
                Ok((taken, Part::End)) => Ok((taken, RequestEvent::End)),
                Ok((taken, Part::More)) => Ok((taken, RequestEvent::More)),
                Err(reason) => Err(bad_request(reason)),
            },
            State::Refused(refusal) => Err(*refusal),
        };
        match &result {
            Ok((_, RequestEvent::Head(request))) => self.0 = State::Body(BodyReader::new(request.framing)),
            Ok((_, RequestEvent::End)) => *self = Self::default(),
            Err(refusal) => self.0 = State::Refused(*refusal),
            Ok((_, RequestEvent::Data(_) | RequestEvent::More)) => {}
        }
        result
    }

    /// Whether all that was taken so far makes whole requests.
    pub fn between_requests(&self) -> bool {
        matches!(self.0, State::Head(_))
    }

    fn head<'a>(end: &mut HeadEnd, input: &'a [u8]) -> Result<(usize, RequestEvent<'a>), Refusal> {
        // RFC 9112 section 2.2: empty lines before a request line are ignored.
        let skipped = input.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2;
        let rest = &input[skipped..];
        match rest {
            [] | [b'\r'] => return Ok((skipped, RequestEvent::More)),
            // Refused at once: what begins like this, TLS for one, may never send a line end to wait for.
            [first, ..] if !first.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(first) => {
                return Err(bad_request("this is not HTTP"));
            }
            _ => {}
        }
        let Some(head) = Head::take(end, rest)? else {
            debug_assert!(rest.len() <= MAX_HEAD, "a longer head is refused");
            return Ok((skipped, RequestEvent::More));
        };
        let taken = skipped + head.length;
        Ok((taken, RequestEvent::Head(Request::new(head)?)))
    }
}
