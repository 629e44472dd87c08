//! The admin endpoint: `GET /`, `/status`, `/metrics` and `/healthz` over HTTP/1, on a TCP address and on a unix
//! socket; on the unix socket alone also `GET /state`, the objects in force, one JSON document a line, and `POST
//! /standby` and `/unstandby`, see [`action`](super::action). It answers
//! strangers sparingly:
//!
//! - A request's head has 5 s and 8 KiB, a connection one request and 30 s in all, and there are 64 connections at a
//!   time to each door. Who comes beyond that is hung up on and counted in the log, so a slow or hostile client costs a little memory.
//! - On TCP the `Host` must be an address or a name of this machine (DNS rebinding, see `pages`).
//! - A door that cannot be opened is a [`Problem`] and is tried again each second; so is a socket file that somebody
//!   removed. The agent goes on without it.

use super::{
    Status,
    action::{Action, Ask},
    pages,
    pages::Page,
    socket::{self, OpenError},
};
use crate::model::Problem;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};

/// Gives the freshest [`Status`]; asked once for each request.
pub type Source = Arc<dyn Fn() -> BoxFuture<'static, Arc<Status>> + Send + Sync>;

/// Gives the objects in force as [`crate::desired::documents`]; asked once for each request.
pub type StateSource = Arc<dyn Fn() -> String + Send + Sync>;

/// Where the endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The TCP address, if there is to be one. Default 127.0.0.1:9694.
    pub http: Option<SocketAddr>,
    /// The unix socket, if there is to be one. Default /run/lbagent/lbagent.sock.
    pub socket: Option<PathBuf>,
    /// This machine's name, to be accepted as `Host`.
    pub hostname: String,
}

/// The running endpoint. Dropping it closes both doors, ends every connection and removes the socket's file.
#[derive(Debug)]
pub struct Server {
    /// What keeps a door from being open; woken on change.
    pub problems: watch::Receiver<Arc<Vec<Problem>>>,
    /// Where the TCP door really is, which is news if the port asked for was 0.
    pub http: watch::Receiver<Option<SocketAddr>>,
    /// What operators ask for. Each is to be answered within [`ACTION_TIME`].
    pub actions: mpsc::Receiver<Ask>,
    doors: JoinSet<()>,
}

const MOST_CONNECTIONS: usize = 64;
const HEAD_TIME: Duration = Duration::from_secs(5);
const HEAD_SIZE: usize = 8192;
const STATUS_TIME: Duration = Duration::from_secs(5);
/// How long the agent may take over an [`Action`]; after that the operator is told that it is not known what came of it.
pub const ACTION_TIME: Duration = Duration::from_secs(6);
/// Actions that may wait for the agent; operators are few.
const MOST_ACTIONS: usize = 4;
const BODY_SIZE: usize = 4096;
const CONNECTION_TIME: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);

/// Opens the doors that `options` names. Call it within a tokio runtime.
pub fn start(options: Options, source: Source, state: StateSource) -> Server {
    let (problems, problems_out) = watch::channel(Arc::default());
    let (http, http_out) = watch::channel(None);
    let (asks, actions) = mpsc::channel(MOST_ACTIONS);
    let problems = Arc::new(problems);
    let hostname: Arc<str> = options.hostname.into();
    let shared = || {
        let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        Shared { source: source.clone(), state: state.clone(), asks: asks.clone(), hostname: hostname.clone(), permits }
    };
    let mut doors = JoinSet::new();
    if let Some(address) = options.http {
        doors.spawn(tcp_door(address, shared(), http, problems.clone()));
    }
    if let Some(path) = options.socket {
        doors.spawn(unix_door(path, shared(), problems));
    }
    Server { problems: problems_out, http: http_out, actions, doors }
}

impl Server {
    /// Does what dropping does, and waits until it is done.
    pub async fn stop(mut self) {
        self.doors.shutdown().await;
    }
}

/// What every connection of a door needs.
#[derive(Clone)]
struct Shared {
    source: Source,
    state: StateSource,
    asks: mpsc::Sender<Ask>,
    hostname: Arc<str>,
    /// Each door has its own: any local user can come in by TCP, and none of them shall keep root out.
    permits: Arc<Semaphore>,
}

/// The door that a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Tcp,
    Unix,
}

impl Door {
    /// The `reason` of its [`Problem`].
    fn reason(self) -> &'static str {
        match self {
            Self::Tcp => "AdminHttp",
            Self::Unix => "AdminSocket",
        }
    }
}

type Problems = Arc<watch::Sender<Arc<Vec<Problem>>>>;

async fn tcp_door(address: SocketAddr, shared: Shared, bound: watch::Sender<Option<SocketAddr>>, problems: Problems) {
    let listener: TcpListener = loop {
        let opened = socket::tcp(address);
        report(&problems, Door::Tcp, opened.as_ref().err());
        match opened {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    };
    bound.send_replace(listener.local_addr().ok());
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        admit(accepted, Door::Tcp, &shared, &mut connections).await;
    }
}

async fn unix_door(path: PathBuf, shared: Shared, problems: Problems) {
    let mut connections = JoinSet::new();
    loop {
        let (listener, file): (UnixListener, _) = match socket::unix(&path).await {
            Ok(opened) => opened,
            Err(error) => {
                report(&problems, Door::Unix, Some(&error));
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        report(&problems, Door::Unix, None);
        while file.is_in_place() {
            tokio::select! {
                accepted = listener.accept() => {
                    admit(accepted.map(|(stream, _)| stream), Door::Unix, &shared, &mut connections).await;
                }
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}

/// Publishes what is wrong with `door`, or that nothing is.
fn report(problems: &Problems, door: Door, error: Option<&OpenError>) {
    let problem = error.map(|error| Problem::warning(door.reason(), error.to_string()));
    problems.send_if_modified(|problems| {
        let others = problems.iter().filter(|other| other.reason != door.reason()).cloned();
        let now: Vec<Problem> = others.chain(problem).collect();
        let modified = **problems != now;
        *problems = Arc::new(now);
        modified
    });
}

async fn admit<S>(accepted: io::Result<S>, door: Door, shared: &Shared, connections: &mut JoinSet<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    while connections.try_join_next().is_some() {}
    match (accepted, shared.permits.clone().try_acquire_owned()) {
        (Ok(stream), Ok(permit)) => {
            connections.spawn(serve(stream, door, shared.clone(), permit));
        }
        (Ok(_), Err(_)) => tracing::debug!("admin endpoint: a connection beyond {MOST_CONNECTIONS} was closed"),
        // Out of descriptors, most likely: trying again at once would spin.
        (Err(_), _) => tokio::time::sleep(Duration::from_millis(100)).await,
    }
}

async fn serve<S>(stream: S, door: Door, shared: Shared, _permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(request, door, &shared).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_SIZE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

async fn respond(request: Request<Incoming>, door: Door, shared: &Shared) -> Response<Full<Bytes>> {
    let head = *request.method() == Method::HEAD;
    let page = page(request, door, shared).await;
    let body = if head { Bytes::new() } else { Bytes::from(page.body.clone()) };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(page.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, header::HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, page.content_type);
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    if let Some(allow) = page.allow {
        set(header::ALLOW, allow);
    }
    headers.insert(header::CONTENT_LENGTH, page.body.len().into());
    response
}

async fn page(request: Request<Incoming>, door: Door, shared: &Shared) -> Page {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let path = request.uri().path().to_owned();
    if door == Door::Tcp && !pages::host_is_ours(host, &shared.hostname) {
        return pages::wrong_host();
    }
    if door == Door::Unix && Action::exists(&path) {
        return act(request, &path, shared).await;
    }
    if door == Door::Unix && path == pages::STATE {
        return pages::state(request.method().as_str(), || (shared.state)());
    }
    if !pages::exists(&path) {
        return pages::not_found();
    }
    match tokio::time::timeout(STATUS_TIME, (shared.source)()).await {
        Ok(status) => pages::answer(request.method().as_str(), &path, &status),
        Err(_) => pages::unavailable(),
    }
}

/// Hands an operator's wish to the agent and the agent's words to the operator.
async fn act(request: Request<Incoming>, path: &str, shared: &Shared) -> Page {
    if *request.method() != Method::POST {
        return pages::only_post();
    }
    let body = match tokio::time::timeout(HEAD_TIME, Limited::new(request, BODY_SIZE).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return pages::bad_request(&error.to_string()),
        Err(_) => return pages::bad_request("the body did not come in time"),
    };
    let action = match Action::parse(path, &body) {
        Ok(action) => action,
        Err(why) => return pages::bad_request(&why),
    };
    let (reply, answer) = oneshot::channel();
    if shared.asks.try_send(Ask { action, reply }).is_err() {
        return pages::busy();
    }
    match tokio::time::timeout(ACTION_TIME, answer).await {
        Ok(Ok(decision)) => pages::decided(decision),
        Ok(Err(_)) | Err(_) => pages::unanswered(),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
