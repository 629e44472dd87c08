//! The check `"smtp"`: a mail server must greet (220), take a greeting (EHLO, 250), and is left in order (QUIT), so that
//! it does not note a lost connection for every check (RFC 5321 sections 3.1 and 4.2).
//!
//! The words of the result quote nothing of the backend but the reply's code.

use super::{Answer, Server, failed};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The most bytes of one reply: 512 a line (RFC 5321 section 4.5.3.1.5), and no server has more extensions to tell.
const MOST: usize = 16 * 1024;
/// For the answer to QUIT, which decides nothing.
const FAREWELL: Duration = Duration::from_millis(100);

/// Greets the server at `server` as `hello`. The caller bounds the time.
pub async fn ask(server: &Server, hello: &str) -> Answer {
    talk(server, hello).await.unwrap_or_else(|error| failed(&error))
}

async fn talk(server: &Server, hello: &str) -> io::Result<Answer> {
    let mut stream = server.connect().await?;
    let mut held = Vec::new();
    for (says, wanted) in [(None, 220), (Some(format!("EHLO {hello}\r\n")), 250)] {
        if let Some(line) = says {
            stream.write_all(line.as_bytes()).await?;
        }
        match next_reply(&mut stream, &mut held).await? {
            Reply::Code(code) if code == wanted => {}
            Reply::Code(code) => return Ok(Answer::Bad(format!("{code} where {wanted} was expected"))),
            Reply::Incomplete => return Ok(Answer::Bad("the mail server hung up".to_owned())),
            Reply::NotSmtp => return Ok(Answer::Bad("the answer is not SMTP".to_owned())),
        }
    }
    if stream.write_all(b"QUIT\r\n").await.is_ok() {
        // Whether and how it is answered tells nothing that is not known.
        let _ = tokio::time::timeout(FAREWELL, next_reply(&mut stream, &mut held)).await;
    }
    Ok(Answer::Good("220 and 250".to_owned()))
}

/// The next reply; [`Reply::Incomplete`] if the stream ended.
async fn next_reply(stream: &mut TcpStream, held: &mut Vec<u8>) -> io::Result<Reply> {
    loop {
        match reply(held) {
            (Reply::Incomplete, _) if held.len() >= MOST => return Ok(Reply::NotSmtp),
            (Reply::Incomplete, _) => {}
            (complete, length) => {
                held.drain(..length);
                return Ok(complete);
            }
        }
        if stream.read_buf(held).await? == 0 {
            return Ok(Reply::Incomplete);
        }
    }
}

/// What the beginning of a stream of replies is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Incomplete,
    Code(u16),
    NotSmtp,
}

/// The first reply of `bytes`, all its lines, and its length.
fn reply(bytes: &[u8]) -> (Reply, usize) {
    let mut at = 0;
    let mut first = None;
    loop {
        let line = &bytes[at..];
        let (Some(code), mark) = (code(line), line.get(3)) else {
            let may_come = line.len() < 3 && line.iter().all(u8::is_ascii_digit);
            return (if may_come { Reply::Incomplete } else { Reply::NotSmtp }, 0);
        };
        if *first.get_or_insert(code) != code || !matches!(mark, None | Some(b' ' | b'-' | b'\r' | b'\n')) {
            return (Reply::NotSmtp, 0);
        }
        let Some(end) = line.iter().position(|b| *b == b'\n') else { return (Reply::Incomplete, 0) };
        at += end + 1;
        if mark != Some(&b'-') {
            return (Reply::Code(code), at);
        }
    }
}

fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3)?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (digits.iter().all(u8::is_ascii_digit) && (200..600).contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::scripted::{Step, serve};
    use Step::{Await, Flood, Hang, Say};

    fn say(text: &str) -> Step {
        Say(text.into())
    }

    fn hear(text: &str) -> Step {
        Await(text.into())
    }

    async fn asked(script: Vec<Step>) -> Answer {
        let (address, server) = serve(script).await;
        let answer = ask(&Server::at(address), "lb1.example").await;
        // It heard what it was to hear, or it panicked.
        tokio::time::timeout(Duration::from_secs(10), server).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn a_mail_server_is_greeted_and_left_in_order() {
        let script = vec![
            say("220-mail.example\r\n220 "),
            say("ESMTP\r\n"),
            hear("EHLO lb1.example\r\n"),
            say("250-mail.example\r\n250-PIPELINING\r\n250"),
            say(" 8BITMIME\r\n"),
            hear("QUIT\r\n"),
            say("221 Bye\r\n"),
        ];
        assert_eq!(asked(script).await, Answer::Good("220 and 250".into()));
        let hasty = vec![say("220 a\n"), hear("EHLO lb1.example\r\n"), say("250 b\n"), hear("QUIT\r\n"), Hang];
        assert_eq!(asked(hasty).await, Answer::Good("220 and 250".into()), "QUIT decides nothing");
    }

    #[tokio::test]
    async fn a_server_that_will_not_serve_says_so() {
        let closed = asked(vec![say("554 No SMTP here\r\n")]).await;
        assert_eq!(closed, Answer::Bad("554 where 220 was expected".into()));
        let busy = asked(vec![say("220 a\r\n"), hear("EHLO lb1.example\r\n"), say("421 Too busy\r\n")]).await;
        assert_eq!(busy, Answer::Bad("421 where 250 was expected".into()));
        assert_eq!(asked(vec![]).await, Answer::Bad("the mail server hung up".into()));
        assert_eq!(asked(vec![say("220-a\r\n")]).await, Answer::Bad("the mail server hung up".into()));
    }

    #[tokio::test]
    async fn garbage_and_endless_lines_fail_the_check_only() {
        for garbage in [
            "SSH-2.0-OpenSSH_9.9\r\n",
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "22",
            "2x",
            "220-a\r\n221 b\r\n",
            "999 x\r\n",
        ] {
            let answer = asked(vec![say(garbage)]).await;
            let words = ["the answer is not SMTP", "the mail server hung up"];
            assert!(matches!(&answer, Answer::Bad(said) if words.contains(&&**said)), "{garbage:?}: {answer:?}");
        }
        let endless = asked(vec![say("220-"), Flood(b'x')]).await;
        assert_eq!(endless, Answer::Bad("the answer is not SMTP".into()));
        let endless = asked(vec![Say("220-x\r\n".repeat(10_000).into())]).await;
        assert_eq!(endless, Answer::Bad("the answer is not SMTP".into()));
    }

    #[test]
    fn a_reply_is_known_by_its_last_line_and_not_before() {
        let whole = b"250-a\r\n250-b\r\n250 c\r\n221 d\r\n";
        for cut in 0..21 {
            assert_eq!(reply(&whole[..cut]).0, Reply::Incomplete, "{cut}");
        }
        assert_eq!(reply(whole), (Reply::Code(250), 21));
        assert_eq!(reply(b"250\r\n"), (Reply::Code(250), 5));
        assert_eq!(reply(b"+50 a\r\n"), (Reply::NotSmtp, 0));
    }
}
