//! The request's side of an exchange: the head that was written for the backend, then the body, framed anew.

use super::{
    engine::{BodyWriter, Framing, Refusal, RequestEvent, Requests},
    forward::Job,
};
use crate::dataplane::io::Output;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// The request on its way to the backend.
pub(super) struct Sender<'a> {
    /// What of the head is to follow.
    head: &'a [u8],
    /// Of the body.
    pub(super) output: Output,
    pub(super) state: Sending,
    writer: BodyWriter,
    pub(super) ever_sent: bool,
    pub(super) read: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// There is more to come from the client.
    Body,
    /// All of it is in the output, or out.
    Done,
    /// The backend takes no more; it may still have answered.
    Broken,
}

impl<'a> Sender<'a> {
    pub(super) fn new(job: &'a Job, in_body: bool) -> Self {
        Self {
            head: &job.head,
            output: Output::default(),
            state: if in_body { Sending::Body } else { Sending::Done },
            writer: if job.framing == Framing::Chunked { BodyWriter::Chunked } else { BodyWriter::Plain },
            ever_sent: false,
            read: 0,
        }
    }

    pub(super) fn poll_flush<B: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, backend: &mut B) -> Poll<()> {
        while !self.head.is_empty() && self.state != Sending::Broken {
            match ready!(Pin::new(&mut *backend).poll_write(cx, self.head)) {
                Ok(count) if count > 0 => {
                    self.head = &self.head[count..];
                    self.output.total += count as u64;
                }
                _ => self.state = Sending::Broken,
            }
        }
        if self.state != Sending::Broken && ready!(self.output.poll_flush(cx, backend)).is_err() {
            self.state = Sending::Broken;
        }
        self.ever_sent |= self.output.total > 0;
        Poll::Ready(())
    }

    /// The backend has been given the whole request. Until then it takes whatever comes next for more of this one.
    pub(super) fn is_done(&self) -> bool {
        self.state == Sending::Done && self.head.is_empty() && self.output.is_empty()
    }

    /// Takes some of the request's body; how much of `data` belonged to it.
    pub(super) fn feed<B: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        requests: &mut Requests,
        backend: &mut B,
        data: &[u8],
    ) -> Result<usize, Refusal> {
        let mut taken = 0;
        loop {
            let (n, event) = requests.next(&data[taken..])?;
            taken += n;
            match event {
                RequestEvent::Data(body) if self.writer == BodyWriter::Plain => {
                    if self.output.send(cx, backend, body).is_err() {
                        self.state = Sending::Broken;
                        return Ok(taken);
                    }
                }
                RequestEvent::Data(body) => self.writer.write(body, self.output.buffer()),
                RequestEvent::End => {
                    self.writer.end(self.output.buffer());
                    self.state = Sending::Done;
                    return Ok(taken);
                }
                RequestEvent::More | RequestEvent::Head(_) => return Ok(taken),
            }
        }
    }
}
