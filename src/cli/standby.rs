//! `lbagent standby` and `lbagent unstandby`: take this node out of service for maintenance, and back. The agent
//! decides and says what it did; here its words are carried to the operator.

use super::client::{Answer, Target, post};
use crate::status::action::StandbyRequest;
use std::{
    io::{self, Write},
    path::Path,
};

/// Asks the agent at `socket` to own nothing, as long as another node can. The exit code: 0 if it is so now, 1 if the
/// agent refuses or there is none.
pub fn standby(socket: &Path, force: bool, reason: String) -> u8 {
    let body = serde_json::to_string(&StandbyRequest { force, reason });
    carry(socket, "/standby", &body.unwrap_or_default(), &mut io::stdout(), &mut io::stderr())
}

/// Asks the agent at `socket` to take part again. The exit code: 0 if it is so now, 1 if the agent refuses or there is
/// none.
pub fn unstandby(socket: &Path) -> u8 {
    carry(socket, "/unstandby", "", &mut io::stdout(), &mut io::stderr())
}

fn carry(socket: &Path, path: &str, body: &str, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match post(&Target::Socket(socket.to_owned()), path, body) {
        Ok(Answer::Done(text)) => {
            let _ = writeln!(out, "{text}");
            0
        }
        Ok(Answer::Refused(why)) => {
            let _ = writeln!(err, "refused: {why}");
            1
        }
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{
        Status,
        action::{Action, LONGEST_REASON},
        server,
    };
    use std::{path::PathBuf, sync::Arc, time::Duration};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A real endpoint at whose other end `decide` is the agent.
    async fn endpoint(
        decide: impl Fn(Action) -> Result<String, String> + Send + 'static,
    ) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lbagent.sock");
        let options = server::Options { http: None, socket: Some(path.clone()), hostname: "lb1".into() };
        let source = || -> futures::future::BoxFuture<'static, _> { Box::pin(async { Arc::new(Status::default()) }) };
        let server = server::start(options, Arc::new(source), Arc::new(String::new));
        tokio::spawn(async move {
            // All of it, or the doors would close at once.
            let mut server = server;
            while let Some(ask) = server.actions.recv().await {
                let _ = ask.reply.send(decide(ask.action));
            }
        });
        let opens = async {
            while std::os::unix::net::UnixStream::connect(&path).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, opens).await.unwrap();
        (dir, path)
    }

    async fn carried(socket: &Path, path: &'static str, body: String) -> (u8, String, String) {
        let socket = socket.to_owned();
        let carry = move || {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let code = carry(&socket, path, &body, &mut out, &mut err);
            (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
        };
        tokio::task::spawn_blocking(carry).await.unwrap()
    }

    fn body(force: bool, reason: &str) -> String {
        serde_json::to_string(&StandbyRequest { force, reason: reason.into() }).unwrap()
    }

    #[tokio::test]
    async fn what_the_agent_says_is_told_and_its_refusal_fails() {
        let (_dir, socket) = endpoint(|action| match action {
            Action::Standby(request) if !request.force => Err("lb1 is the last node that can serve web".into()),
            Action::Standby(request) => Ok(format!("lb1 is in standby: {}", request.reason)),
            Action::Unstandby => Ok("lb1 takes part again".into()),
        })
        .await;
        let told = |code, out: &str, err: &str| (code, out.to_owned(), err.to_owned());
        let refused = told(1, "", "refused: lb1 is the last node that can serve web\n");
        assert_eq!(carried(&socket, "/standby", body(false, "")).await, refused);
        let forced = carried(&socket, "/standby", body(true, "kernel update")).await;
        assert_eq!(forced, told(0, "lb1 is in standby: kernel update\n", ""));
        assert_eq!(carried(&socket, "/unstandby", String::new()).await, told(0, "lb1 takes part again\n", ""));
        let (code, _, err) = carried(&socket, "/standby", body(false, &"x".repeat(LONGEST_REASON + 1))).await;
        assert!(code == 1 && err.contains("the reason has 101 characters"), "{err}");
    }

    #[test]
    fn without_an_agent_it_says_so_and_fails() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(carry(Path::new("/nonexistent/lbagent.sock"), "/standby", "", &mut out, &mut err), 1);
        let err = String::from_utf8(err).unwrap();
        assert!(err.starts_with("error: no agent answers at /nonexistent/lbagent.sock"), "{err}");
        assert_eq!(standby(Path::new("/nonexistent/lbagent.sock"), true, String::new()), 1);
    }
}
