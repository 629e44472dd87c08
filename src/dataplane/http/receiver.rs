//! The response's side of an exchange: heads judged and written anew, the body framed for the client.

use super::engine::{BadResponse, BodyWriter, Reply, ResponseEvent, Responses, Version};
use crate::dataplane::{io::Output, traffic::ListenerShard, upstream::Upstream};
use std::{io, task::Context};
use tokio::io::AsyncWrite;

/// So much of a body finds room behind its head.
const SMALL_BODY: usize = 2048;

/// The response on its way to the client.
pub(super) struct Receiver {
    responses: Responses,
    /// Of a head that has not come whole.
    partial: Vec<u8>,
    pub(super) stage: Stage,
    /// Of the last head, if there was one.
    pub(super) status: u16,
    writer: BodyWriter,
    pub(super) keep_alive: bool,
    pub(super) reusable: bool,
    pub(super) read: u64,
}

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Not a byte.
    Nothing,
    /// Some of a head, or interim responses.
    Head,
    /// The head has gone to the client.
    Body,
    /// All of it has gone to the client's output.
    Complete,
    /// A 101 has, and HTTP is over.
    Switched,
}

/// Why a response ends early.
pub(super) enum Failure {
    Closed,
    Bad(BadResponse),
    ClientGone,
}

/// What is needed once the head of the response is there.
pub(super) struct Answer<'a> {
    pub(super) reply: Reply<'a>,
    pub(super) upstream: &'a Upstream,
    pub(super) client: &'a ListenerShard,
}

impl Receiver {
    pub(super) fn new(responses: Responses) -> Self {
        Self {
            responses,
            partial: Vec::new(),
            stage: Stage::Nothing,
            status: 0,
            writer: BodyWriter::Plain,
            keep_alive: false,
            reusable: false,
            read: 0,
        }
    }

    /// Takes what the backend has sent; nothing is the end of its stream.
    pub(super) fn absorb<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        output: &mut Output,
        client: &mut S,
        answer: &Answer<'_>,
    ) -> Result<(), Failure> {
        if data.is_empty() {
            return self.closed(output);
        }
        if self.stage == Stage::Nothing {
            self.stage = Stage::Head;
        }
        if self.partial.is_empty() {
            let taken = self.events(cx, data, output, client, answer)?;
            self.partial.extend_from_slice(&data[taken..]);
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(data);
            let taken = self.events(cx, &whole, output, client, answer)?;
            whole.drain(..taken);
            self.partial = whole;
        }
        Ok(())
    }

    /// How much of a body may pass unseen, between two reads.
    pub(super) fn left(&self) -> u64 {
        let is_plain = self.stage == Stage::Body && self.writer == BodyWriter::Plain && self.partial.is_empty();
        if is_plain { self.responses.left() } else { 0 }
    }

    /// So much of it has passed.
    pub(super) fn pass(&mut self, count: u64) {
        self.read += count;
        self.responses.pass(count);
        if self.responses.may_end() {
            self.stage = Stage::Complete;
        }
    }

    fn closed(&mut self, output: &mut Output) -> Result<(), Failure> {
        if !self.responses.may_end() {
            return Err(Failure::Closed);
        }
        self.end(output);
        self.stage = Stage::Complete;
        self.reusable = false;
        Ok(())
    }

    /// A plain body ends as it is; it needs no buffer for that.
    fn end(&self, output: &mut Output) {
        if self.writer != BodyWriter::Plain {
            self.writer.end(output.buffer());
        }
    }

    fn events<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        output: &mut Output,
        client: &mut S,
        answer: &Answer<'_>,
    ) -> Result<usize, Failure> {
        let mut taken = 0;
        loop {
            let (n, event) = self.responses.next(&data[taken..]).map_err(Failure::Bad)?;
            taken += n;
            match event {
                ResponseEvent::More => return Ok(taken),
                ResponseEvent::Interim(head) => {
                    if answer.reply.version == Version::Http11 {
                        head.write_interim(answer.reply.keep, output.buffer());
                    }
                }
                ResponseEvent::Switch(head) => {
                    answer.count(head.status);
                    head.write_switch(&answer.reply, output.buffer());
                    output.buffer().extend_from_slice(&data[taken..]);
                    self.stage = Stage::Switched;
                    return Ok(data.len());
                }
                ResponseEvent::Head(head) => {
                    answer.count(head.status);
                    self.status = head.status;
                    // A small body goes out with its head.
                    let buffer = output.buffer();
                    buffer.reserve(2 * taken + (data.len() - taken).min(SMALL_BODY));
                    (self.writer, self.keep_alive) = head.write_forward(&answer.reply, buffer);
                    self.reusable = head.persistent;
                    self.stage = Stage::Body;
                }
                ResponseEvent::Data(body) if self.writer == BodyWriter::Plain => {
                    output.send(cx, client, body).map_err(|_: io::Error| Failure::ClientGone)?;
                }
                ResponseEvent::Data(body) => self.writer.write(body, output.buffer()),
                ResponseEvent::End => {
                    self.end(output);
                    self.stage = Stage::Complete;
                    // What was not asked for is an answer to nothing.
                    self.reusable &= taken == data.len();
                    return Ok(data.len());
                }
            }
        }
    }
}

impl Answer<'_> {
    fn count(&self, status: u16) {
        self.client.responded(status);
        self.upstream.counters().responded(status);
    }
}
