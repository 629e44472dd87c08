//! A backend's half of a connection, for the length of one request.

use super::{Asked, BadResponse, BodyReader, Part, Response, head::HeadEnd, lines::Head};

/// What a backend sends in answer to one request, in order.
#[derive(Debug)]
pub enum ResponseEvent<'a> {
    /// A 1xx other than 101: another head follows.
    Interim(Response<'a>),
    /// A 101 that was asked for: HTTP ends here, all bytes after it are the new protocol's.
    Switch(Response<'a>),
    /// The head of the final response.
    Head(Response<'a>),
    /// Some of its body, without its framing.
    Data(&'a [u8]),
    /// The response is complete. A byte after it was not asked for.
    End,
    /// Nothing more can be said without more input.
    More,
}

/// Reads the response to one request.
#[derive(Debug)]
pub struct Responses {
    asked: Asked,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(HeadEnd),
    Body(BodyReader),
    Switched,
    Bad(BadResponse),
}

impl Responses {
    /// To a request like this.
    pub fn new(asked: Asked) -> Self {
        Self { asked, state: State::Head(HeadEnd::default()) }
    }

    /// The next event, and how many bytes of `input` it took; `input` as for [`super::Requests::next`].
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, ResponseEvent<'a>), BadResponse> {
        let result = match &mut self.state {
            State::Head(end) => Self::head(end, input, self.asked),
            State::Body(body) => match body.next(input) {
                Ok((taken, Part::Data(data))) => Ok((taken, ResponseEvent::Data(data))),
                Ok((taken, Part::End)) => Ok((taken, ResponseEvent::End)),
                Ok((taken, Part::More)) => Ok((taken, ResponseEvent::More)),
                Err(reason) => Err(BadResponse(reason)),
            },
            State::Switched => Ok((0, ResponseEvent::More)),
            State::Bad(bad) => Err(*bad),
        };
        match &result {
            Ok((_, ResponseEvent::Interim(_))) => self.state = State::Head(HeadEnd::default()),
            Ok((_, ResponseEvent::Switch(_))) => self.state = State::Switched,
            Ok((_, ResponseEvent::Head(head))) => self.state = State::Body(BodyReader::new(head.framing)),
            Err(bad) => self.state = State::Bad(*bad),
            Ok((_, ResponseEvent::Data(_) | ResponseEvent::End | ResponseEvent::More)) => {}
        }
        result
    }

    /// How much of the body is to come, if its length is known; otherwise nothing, and before it is.
    pub fn left(&self) -> u64 {
        if let State::Body(body) = &self.state { body.left() } else { 0 }
    }

    /// So much of the body has come and was not shown here: at most what is [left](Self::left).
    pub fn pass(&mut self, count: u64) {
        if let State::Body(body) = &mut self.state {
            body.pass(count);
        }
    }

    /// Whether the connection may end now without taking anything from the response: it was complete, or its end is
    /// the end of the connection.
    pub fn may_end(&self) -> bool {
        matches!(&self.state, State::Body(body) if body.may_end())
    }

    fn head<'a>(end: &mut HeadEnd, input: &'a [u8], asked: Asked) -> Result<(usize, ResponseEvent<'a>), BadResponse> {
        let head = Head::take(end, input).map_err(|refusal| BadResponse(refusal.reason))?;
        let Some(head) = head else { return Ok((0, ResponseEvent::More)) };
        let length = head.length;
        let response = Response::new(head, asked)?;
        let event = match response.status {
            101 => ResponseEvent::Switch(response),
            _ if response.is_interim() => ResponseEvent::Interim(response),
            _ => ResponseEvent::Head(response),
        };
        Ok((length, event))
    }
}
