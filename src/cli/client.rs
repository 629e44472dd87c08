//! Asks a running agent for its status, or for an action: a small blocking HTTP client over the unix socket or TCP, bounded in size and
//! time, so that a hung agent never hangs who asks.

use crate::{desired::read_documents, model::Desired, status::Status};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fmt,
    io::{self, Read, Write},
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

/// For everything: connecting, asking, and the whole answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// A status of ten thousand backends has a tenth of this.
const MOST: u64 = 64 << 20;

/// Where the agent is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The admin socket, as a rule /run/lbagent/lbagent.sock.
    Socket(PathBuf),
    /// The address of `run --http`.
    Http(SocketAddr),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Http(address) => write!(f, "http://{address}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody is there, or it did not answer in time.
    #[error("no agent answers at {0}: {1}")]
    Unreachable(Target, String),
    /// It answered something else than a status.
    #[error("what answers at {0} is no lbagent that this release understands: {1}")]
    Strange(Target, String),
    /// It answered that it cannot.
    #[error("the agent at {0} says: {1}")]
    Refused(Target, String),
}

/// What an agent says to an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done.
    Done(String),
    /// It is not.
    Refused(String),
}

/// The status, and the JSON that it was read from.
pub(super) fn fetch(target: &Target) -> Result<(Status, String), FetchError> {
    let request = "GET /status HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n";
    let (code, body) = ask(target, request)?;
    if code != 200 {
        return Err(FetchError::Refused(target.clone(), first_line(&body)));
    }
    let strange = |error| FetchError::Strange(target.clone(), format!("its status is not as expected: {error}"));
    Ok((serde_json::from_str(&body).map_err(strange)?, body))
}

/// The objects in force. Told on the socket alone.
pub(super) fn fetch_state(target: &Target) -> Result<Desired, FetchError> {
    let request = "GET /state HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let (code, body) = ask(target, request)?;
    if code != 200 {
        return Err(FetchError::Refused(target.clone(), first_line(&body)));
    }
    read_documents(&body).map_err(|error| FetchError::Strange(target.clone(), error))
}

/// Asks for the action at `path`.
pub(super) fn post(target: &Target, path: &str, body: &str) -> Result<Answer, FetchError> {
    let length = body.len();
    let request = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    match ask(target, &request)? {
        (200, text) => Ok(Answer::Done(text.trim_end().to_owned())),
        (409, text) => Ok(Answer::Refused(text.trim_end().to_owned())),
        (_, text) => Err(FetchError::Refused(target.clone(), first_line(&text))),
    }
}

/// The code and the body of the answer.
fn ask(target: &Target, request: &str) -> Result<(u16, String), FetchError> {
    let unreachable = |error: io::Error| FetchError::Unreachable(target.clone(), words(&error));
    let answer = exchange(target, request).map_err(unreachable)?;
    let strange = |why: &str| FetchError::Strange(target.clone(), why.to_owned());
    let text = String::from_utf8(answer).map_err(|_| strange("the answer is not UTF-8"))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| strange("the answer is not HTTP"))?;
    let code = head.strip_prefix("HTTP/1.").and_then(|head| head.split(' ').nth(1)?.parse().ok());
    Ok((code.ok_or_else(|| strange("the answer is not HTTP"))?, body.to_owned()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("nothing").to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the shell that bounds the whole exchange")]
fn exchange(target: &Target, request: &str) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut socket = connect(target)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(request.as_bytes())?;
    let (mut answer, mut chunk) = (Vec::new(), vec![0; 65536]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut chunk)? {
            0 => return Ok(answer),
            count => answer.extend_from_slice(&chunk[..count]),
        }
        if answer.len() as u64 > MOST {
            return Err(io::Error::other(format!("the answer is longer than {MOST} bytes")));
        }
    }
}

fn connect(target: &Target) -> io::Result<Socket> {
    let (domain, address) = match target {
        Target::Socket(path) => (Domain::UNIX, SockAddr::unix(path)?),
        Target::Http(address) => (Domain::for_address(*address), SockAddr::from(*address)),
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(&address, PATIENCE)?;
    Ok(socket)
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => format!("no answer within {} s", PATIENCE.as_secs()),
        io::ErrorKind::NotFound => "there is no such socket; is the agent running?".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused; is the agent running?".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied; ask as root or over --http".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::{net::TcpListener, thread::JoinHandle};

    /// Answers one connection with `answer` and gives back what was asked.
    pub(in crate::cli) fn serve_once(answer: impl Into<Vec<u8>>) -> (Target, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (target, answer) = (Target::Http(listener.local_addr().unwrap()), answer.into());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            let _ = stream.write_all(&answer);
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        (target, server)
    }

    pub(in crate::cli) fn ok(status: &Status) -> String {
        format!("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{}", serde_json::to_string(status).unwrap())
    }

    #[test]
    fn a_status_is_fetched_as_it_was_sent() {
        let status = Status { version: "0.1.0".into(), ..Status::default() };
        let (target, server) = serve_once(ok(&status));
        let (fetched, body) = fetch(&target).unwrap();
        assert_eq!(fetched, status);
        assert_eq!(body, serde_json::to_string(&status).unwrap());
        assert!(server.join().unwrap().starts_with("GET /status HTTP/1.0\r\nHost: localhost\r\n"));
    }

    #[tokio::test]
    async fn the_real_endpoint_answers_on_both_doors() {
        use crate::status::{fixture::World, server};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lbagent.sock");
        let http = Some("127.0.0.1:0".parse().unwrap());
        let options = server::Options { http, socket: Some(path.clone()), hostname: "lb1".into() };
        let source = || -> futures::future::BoxFuture<'static, _> {
            Box::pin(async { std::sync::Arc::new(World::new().backup().status()) })
        };
        let mut endpoint = server::start(options, std::sync::Arc::new(source), std::sync::Arc::new(String::new));
        let bound =
            tokio::time::timeout(PATIENCE, endpoint.http.wait_for(Option::is_some)).await.unwrap().unwrap().unwrap();
        let opens = async {
            while !path.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, opens).await.unwrap();
        for target in [Target::Http(bound), Target::Socket(path)] {
            let (status, _) = tokio::task::spawn_blocking(move || fetch(&target)).await.unwrap().unwrap();
            assert_eq!(status, World::new().backup().status());
        }
    }

    #[test]
    fn strangers_and_refusals_are_told_apart() {
        let told = |answer: &[u8]| fetch(&serve_once(answer).0).unwrap_err();
        assert!(matches!(told(b"SSH-2.0\r\n"), FetchError::Strange(..)));
        assert!(matches!(told(b"\xff\xfe\r\n\r\n"), FetchError::Strange(..)));
        assert!(matches!(told(b"HTTP/1.1 200 OK\r\n\r\n<html>"), FetchError::Strange(..)));
        assert!(matches!(told(b""), FetchError::Strange(..)));
        assert!(matches!(told(b"HTTP/1.1 fine\r\n\r\n{}"), FetchError::Strange(..)));
        let refused = told(b"HTTP/1.1 503 Service Unavailable\r\n\r\nstuck\nmore").to_string();
        assert!(refused.ends_with("says: stuck"), "{refused}");
    }

    #[test]
    fn an_action_is_done_refused_or_not_understood() {
        let told = |answer: &str| {
            let (target, server) = serve_once(answer);
            let told = post(&target, "/standby", "{}").map_err(|error| error.to_string());
            assert!(server.join().unwrap().ends_with("Content-Length: 2\r\n\r\n{}"));
            told
        };
        assert_eq!(told("HTTP/1.0 200 OK\r\n\r\ndone\n"), Ok(Answer::Done("done".into())));
        assert_eq!(
            told("HTTP/1.0 409 Conflict\r\n\r\nno:\nnobody else\n"),
            Ok(Answer::Refused("no:\nnobody else".into()))
        );
        assert!(told("HTTP/1.0 404 Not Found\r\n\r\nthere is /\n").unwrap_err().ends_with("says: there is /"));
    }

    #[test]
    fn who_is_not_there_is_told_with_what_was_tried() {
        let error = fetch(&Target::Socket("/nonexistent/lbagent.sock".into())).unwrap_err().to_string();
        let expected = "no agent answers at /nonexistent/lbagent.sock: there is no such socket; is the agent running?";
        assert_eq!(error, expected);
        let error = fetch(&Target::Http("127.0.0.1:1".parse().unwrap())).unwrap_err().to_string();
        let expected = "no agent answers at http://127.0.0.1:1: connection refused; is the agent running?";
        assert_eq!(error, expected);
    }
}
