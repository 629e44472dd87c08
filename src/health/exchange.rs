//! The check `"tcp"` with `send` and `expect`: some bytes are sent, and others must come.
//!
//! What comes is looked at until it is clear, and no further than [`MOST`] bytes: a backend that sends garbage, or sends
//! for ever, is a failed check and nothing more. The words of the result never quote the backend.

use super::{Answer, Server, failed};
use crate::model::Expect;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most bytes of an answer that are looked at.
pub const MOST: usize = 16 * 1024;

/// Connects to `server`, sends, and waits for what is expected. The caller bounds the time.
pub async fn ask(server: &Server, send: &[u8], expect: &Expect) -> Answer {
    match exchange(server, send, expect).await {
        Ok(Verdict::Met) => Answer::Good("answered as expected".to_owned()),
        Ok(Verdict::Open) => Answer::Bad("the answer ended without what was expected".to_owned()),
        Ok(Verdict::Missed) => Answer::Bad("the answer is not what was expected".to_owned()),
        Err(error) => failed(&error),
    }
}

/// What can be said of the beginning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    /// More may decide it.
    Open,
    /// Whatever follows, it is not as expected.
    Missed,
}

async fn exchange(server: &Server, send: &[u8], expect: &Expect) -> io::Result<Verdict> {
    let mut stream = server.connect().await?;
    stream.write_all(send).await?;
    let mut answer = Vec::new();
    let mut limited = stream.take(MOST as u64);
    loop {
        let read = limited.read_buf(&mut answer).await?;
        match judge(&answer, expect) {
            Verdict::Open if read > 0 => {}
            Verdict::Open if answer.len() >= MOST => return Ok(Verdict::Missed),
            verdict => return Ok(verdict),
        }
    }
}

fn judge(answer: &[u8], expect: &Expect) -> Verdict {
    match expect {
        Expect::Begins(wanted) if answer.starts_with(wanted) => Verdict::Met,
        Expect::Begins(wanted) if wanted.starts_with(answer) => Verdict::Open,
        Expect::Begins(_) => Verdict::Missed,
        Expect::Contains(wanted) if answer.windows(wanted.len().max(1)).any(|w| w == wanted) => Verdict::Met,
        Expect::Contains(_) => Verdict::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::scripted::{Step, serve};
    use Step::{Await, Flood, Hang, Say};

    async fn asked(send: &str, expect: Expect, script: Vec<Step>) -> Answer {
        let (address, server) = serve(script).await;
        let answer = ask(&Server::at(address), send.as_bytes(), &expect).await;
        drop(server);
        answer
    }

    fn contains(text: &str) -> Expect {
        Expect::Contains(text.into())
    }

    fn begins(text: &str) -> Expect {
        Expect::Begins(text.into())
    }

    fn good() -> Answer {
        Answer::Good("answered as expected".into())
    }

    #[tokio::test]
    async fn an_answer_is_found_however_it_comes() {
        let pong = |pieces: &[&str]| {
            let say = pieces.iter().map(|piece| Say(piece.as_bytes().to_vec()));
            std::iter::once(Await(b"PING\r\n".to_vec())).chain(say).collect::<Vec<_>>()
        };
        assert_eq!(asked("PING\r\n", contains("PONG"), pong(&["+PONG\r\n"])).await, good());
        assert_eq!(asked("PING\r\n", contains("PONG"), pong(&["+P", "ON", "G"])).await, good());
        assert_eq!(asked("PING\r\n", begins("+PONG"), pong(&["+", "PONG\r\nmore"])).await, good());
        assert_eq!(asked("", begins("220 "), vec![Say(b"220 ready\r\n".to_vec()), Hang]).await, good());
    }

    #[tokio::test]
    async fn another_answer_is_bad_as_soon_as_that_is_clear() {
        let says = |text: &str| vec![Say(text.into()), Hang];
        let wrong = Answer::Bad("the answer is not what was expected".into());
        assert_eq!(asked("", begins("+PONG"), says("-ERR")).await, wrong, "although the server keeps the connection");
        let ended = Answer::Bad("the answer ended without what was expected".into());
        assert_eq!(asked("", contains("PONG"), vec![Say(b"+PON".to_vec())]).await, ended);
        assert_eq!(asked("", begins("+PONG"), vec![]).await, ended);
    }

    #[tokio::test]
    async fn an_endless_answer_fails_the_check_only() {
        let answer = asked("", contains("PONG"), vec![Flood(b'x')]).await;
        assert_eq!(answer, Answer::Bad("the answer is not what was expected".into()));
    }

    #[tokio::test]
    async fn silence_is_left_to_the_caller() {
        let patience = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(patience, asked("", contains("x"), vec![Hang])).await.is_err());
    }
}
