//! What becomes of a request: it is forwarded, or answered here.

use super::{
    engine::{Asked, Forwarding, Request, Version},
    forward::Job,
    origin::Way,
    page::Page,
    route::{Passing, Target, location},
    sticky,
};
use crate::dataplane::{
    buffers::Buffer,
    config::{Listening, Service},
    reactor::now,
    worker::Worker,
};
use std::net::SocketAddr;
use tokio::time::Instant;

/// What a client wants next. Small, for it is handed on several times; what is larger is in a box.
pub(super) enum Step {
    /// To be answered here.
    Answer(Box<Answer>),
    /// To be forwarded.
    Forward(Box<Job>),
    /// Nothing for a while; it may wait for so long yet.
    Idle(Instant),
    /// Nothing: it has left, or was idle for too long.
    Over,
}

/// An answer of the proxy's own.
pub(super) struct Answer {
    pub(super) page: Page,
    pub(super) head_only: bool,
    /// The version of a client that may go on.
    pub(super) keep_alive: Option<Version>,
}

impl Step {
    fn answer(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }

    /// A last answer.
    pub(super) fn refuse(page: Page) -> Self {
        Self::answer(Answer { page, head_only: false, keep_alive: None })
    }
}

/// Where a request came in.
pub(super) struct Place<'a> {
    pub(super) peer: SocketAddr,
    pub(super) way: Way,
    pub(super) listening: &'a Listening,
    pub(super) worker: &'a Worker,
}

impl Place<'_> {
    pub(super) fn decide(&self, request: &Request<'_>, service: &Service) -> Step {
        // What is answered here leaves a body unread, and then nobody knows where the next request begins.
        let keep_alive = (request.persistent && request.is_bodiless()).then_some(request.version);
        let answer = |page| Step::answer(Answer { page, head_only: request.method == "HEAD", keep_alive });
        if let Some(sources) = &service.sources
            && let Err(wait) = sources.request(self.way.client, now())
        {
            service.counters.shard(self.worker.index).limited.add(1);
            return answer(Page::limited(wait));
        }
        if request.ends_here() {
            return answer(match request.method {
                "OPTIONS" => Page::new(200, "This is the proxy."),
                _ => Page::new(501, "The proxy does not answer TRACE."),
            });
        }
        match service.routes.find(request) {
            None => answer(Page::new(404, "There is nothing here.")),
            Some(Target::NoPool) => answer(Page::new(503, "No server is configured for this.")),
            Some(Target::Redirect(redirect)) => {
                let local = self.listening.address.to_string();
                let location = location(redirect, self.way.scheme, request.host.unwrap_or(&local), &request.target);
                answer(Page::redirect(redirect.status, location))
            }
            Some(Target::Pool(passing)) => Step::Forward(Box::new(self.job(request, passing))),
        }
    }

    fn job(&self, request: &Request<'_>, passing: &Passing) -> Job {
        let view = self.worker.pool(&passing.pool).view();
        let client = self.way.client;
        let forwarding = Forwarding {
            app_cookie: sticky::app_cookie(&view),
            told: self.way.told,
            rules: passing.request.as_ref(),
            ..Forwarding::new(self.peer.ip(), self.listening.address, "http")
        };
        let mut head = Buffer::lent();
        request.write_forward(&forwarding, head.writable());
        Job {
            head,
            asked: Asked { head_only: request.method == "HEAD", upgrade: request.upgrade },
            version: request.version,
            keep_alive: request.persistent,
            framing: request.framing,
            repeatable: request.is_idempotent() && request.is_bodiless(),
            caller: sticky::caller(&view, request, client),
            preferred: sticky::preferred(&view, request, client),
            rules: passing.response.clone(),
            view,
        }
    }

    /// Who has sent the request; without a port if that is not who has connected.
    pub(super) fn client(&self) -> SocketAddr {
        if self.way.client == self.peer.ip() { self.peer } else { SocketAddr::new(self.way.client, 0) }
    }
}
