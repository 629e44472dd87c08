//! The check `"mysql"`: a MySQL or MariaDB server must greet with protocol 10 and, if there is a user, let it in without
//! a password (the protocol's "connection phase").
//!
//! A server that will not serve says so in place of its greeting, as when the balancer is blocked or there are too many
//! connections; its words become the check's, cut and cleaned. Who closes in the middle of the connection phase is
//! counted by the server and blocked after `max_connect_errors` times, so with a user the phase is gone through to its
//! end, and the connection is left in order. Without one there is nothing that could be said.

use super::{Answer, Server, failed};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// No packet of the connection phase comes near.
const LONGEST_PACKET: usize = 8 * 1024;
/// Of the server's words, in characters.
const MOST_WORDS: usize = 120;

/// Of the client: LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
const CAPABILITIES: u32 = 0x0000_0001 | 0x0000_0200 | 0x0000_8000 | 0x0008_0000;
const COM_QUIT: &[u8] = &[1];

/// Asks the server at `server`, and logs in as `user`. The caller bounds the time.
pub async fn ask(server: &Server, user: Option<&str>) -> Answer {
    talk(server, user).await.unwrap_or_else(|error| failed(&error))
}

async fn talk(server: &Server, user: Option<&str>) -> io::Result<Answer> {
    let mut stream = server.connect().await?;
    let Some(greeting) = read(&mut stream).await? else { return Ok(not_mysql()) };
    if let Some(words) = error_words(&greeting.payload) {
        return Ok(Answer::Bad(words));
    }
    let Some(version) = version(&greeting.payload) else { return Ok(not_mysql()) };
    let Some(user) = user else { return Ok(Answer::Good(format!("MySQL {version}"))) };
    write(&mut stream, greeting.number.wrapping_add(1), &login(user)).await?;
    // It may want another method; without a password there is as little to say in any of them.
    for _ in 0..3 {
        let Some(packet) = read(&mut stream).await? else { break };
        match packet.payload.first() {
            Some(0x00) => {
                let _ = write(&mut stream, 0, COM_QUIT).await;
                return Ok(Answer::Good(format!("MySQL {version}, logged in")));
            }
            Some(0xff) => return Ok(Answer::Bad(error_words(&packet.payload).unwrap_or_default())),
            Some(0xfe) => write(&mut stream, packet.number.wrapping_add(1), &[]).await?,
            // More of the method's own.
            Some(0x01) => {}
            _ => break,
        }
    }
    Ok(Answer::Bad("the server does not let the user in".to_owned()))
}

struct Packet {
    number: u8,
    payload: Vec<u8>,
}

/// `None`: that is no packet of MySQL's, or the stream has ended.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Packet>> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
    if length == 0 || length > LONGEST_PACKET {
        return Ok(None);
    }
    let mut payload = vec![0; length];
    match stream.read_exact(&mut payload).await {
        Ok(_) => Ok(Some(Packet { number: head[3], payload })),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

async fn write(stream: &mut TcpStream, number: u8, payload: &[u8]) -> io::Result<()> {
    let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
    stream.write_all(&[&[low, middle, high, number], payload].concat()).await
}

/// Of the server, from its greeting.
fn version(greeting: &[u8]) -> Option<String> {
    let [10, rest @ ..] = greeting else { return None };
    let end = rest.iter().position(|b| *b == 0)?;
    // The connection's number and the first half of a challenge must follow.
    (end > 0 && rest.len() >= end + 1 + 4 + 8).then(|| clean(&rest[..end]))
}

/// Of an ERR packet: number, `#` and a state (not before the greeting), text.
fn error_words(payload: &[u8]) -> Option<String> {
    let [0xff, low, high, rest @ ..] = payload else { return None };
    let text = match rest {
        [b'#', _, _, _, _, _, text @ ..] => text,
        text => text,
    };
    Some(format!("error {}: {}", u16::from_le_bytes([*low, *high]), clean(text)))
}

/// HandshakeResponse41 without a password.
fn login(user: &str) -> Vec<u8> {
    const LARGEST: u32 = 1 << 24;
    const UTF8: u8 = 33;
    let mut payload = Vec::with_capacity(64 + user.len());
    payload.extend_from_slice(&CAPABILITIES.to_le_bytes());
    payload.extend_from_slice(&LARGEST.to_le_bytes());
    payload.push(UTF8);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(user.as_bytes());
    // The end of the name, and an answer of no bytes to the challenge.
    payload.extend_from_slice(&[0, 0]);
    payload.extend_from_slice(b"mysql_native_password\0");
    payload
}

/// These words end up on terminals and pages.
fn clean(bytes: &[u8]) -> String {
    bytes.iter().take(MOST_WORDS).map(|b| if (b' '..=b'~').contains(b) { *b as char } else { '?' }).collect()
}

fn not_mysql() -> Answer {
    Answer::Bad("the answer is not MySQL's".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::scripted::{Step, serve};
    use Step::{Await, Flood, Hang, Say};

    fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u32;
        [&length.to_le_bytes()[..3], &[number], payload].concat()
    }

    fn greeting() -> Step {
        let payload =
            [&[10][..], b"8.4.6\0", &[7, 0, 0, 0], b"abcdefgh\0", &[0xff, 0xff, 33, 2, 0, 0xff, 0xdf, 21], &[0; 10]];
        Say(packet(0, &[&payload.concat()[..], b"ijklmnopqrst\0caching_sha2_password\0"].concat()))
    }

    fn error(number: u8, code: u16, text: &str) -> Step {
        Say(packet(number, &[&[0xff], &code.to_le_bytes()[..], text.as_bytes()].concat()))
    }

    fn hears_login(user: &str) -> Step {
        Await(packet(1, &login(user)))
    }

    const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];

    async fn asked(user: Option<&str>, script: Vec<Step>) -> Answer {
        let (address, server) = serve(script).await;
        let answer = ask(&Server::at(address), user).await;
        tokio::time::timeout(std::time::Duration::from_secs(10), server).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn without_a_user_the_greeting_is_enough() {
        assert_eq!(asked(None, vec![greeting(), Hang]).await, Answer::Good("MySQL 8.4.6".into()));
    }

    #[tokio::test]
    async fn a_server_that_blocks_the_balancer_is_bad_in_its_own_words() {
        let blocked = "Host '192.0.2.1' is blocked because of many connection errors";
        let answer = asked(None, vec![error(0, 1129, blocked)]).await;
        assert_eq!(answer, Answer::Bad(format!("error 1129: {blocked}")));
        let busy = asked(Some("lb"), vec![error(0, 1040, "#08004Too many connections")]).await;
        assert_eq!(busy, Answer::Bad("error 1040: Too many connections".into()));
        let dirty = asked(None, vec![error(0, 1, &format!("\u{1b}[31m{}", "x".repeat(4000)))]).await;
        let Answer::Bad(words) = dirty else { panic!("{dirty:?}") };
        assert!(words.len() < 150 && words.starts_with("error 1: ?[31mx"), "{words}");
    }

    #[tokio::test]
    async fn a_user_is_let_in_and_leaves_in_order() {
        let quit = || Await(packet(0, COM_QUIT));
        let plain = vec![greeting(), hears_login("lb"), Say(packet(2, OK)), quit()];
        assert_eq!(asked(Some("lb"), plain).await, Answer::Good("MySQL 8.4.6, logged in".into()));
        let switch = [&[0xfe][..], b"caching_sha2_password\0abcdefghijklmnopqrst\0"].concat();
        let switched = vec![
            greeting(),
            hears_login("lb"),
            Say(packet(2, &switch)),
            Await(packet(3, &[])),
            Say(packet(4, OK)),
            quit(),
        ];
        assert_eq!(asked(Some("lb"), switched).await, Answer::Good("MySQL 8.4.6, logged in".into()));
    }

    #[tokio::test]
    async fn a_user_who_is_not_let_in_is_a_failed_check() {
        let denied = "#28000Access denied for user 'lb'@'192.0.2.1'";
        let answer = asked(Some("lb"), vec![greeting(), hears_login("lb"), error(2, 1045, denied)]).await;
        assert_eq!(answer, Answer::Bad("error 1045: Access denied for user 'lb'@'192.0.2.1'".into()));
        let closed = asked(Some("lb"), vec![greeting(), hears_login("lb")]).await;
        assert_eq!(closed, Answer::Bad("the server does not let the user in".into()));
    }

    #[tokio::test]
    async fn garbage_and_endless_packets_fail_the_check_only() {
        let short = packet(0, &[&[10][..], b"8\0", &[0; 5]].concat());
        let old = packet(0, &[&[9][..], b"3.20\0", &[0; 20]].concat());
        let endless_version = packet(0, &[10; 5000]);
        for garbage in [
            &b"SSH-2.0-OpenSSH_9.9\r\n"[..],
            b"",
            b"\x01",
            b"\0\0\0\0",
            b"\xff\xff\xff\0",
            &short,
            &old,
            &endless_version,
        ] {
            let answer = asked(None, vec![Say(garbage.to_vec())]).await;
            assert!(matches!(answer, Answer::Bad(_)), "{garbage:?}: {answer:?}");
        }
        assert_eq!(asked(None, vec![Flood(b'x')]).await, not_mysql());
        let switching = vec![greeting(), hears_login("lb"), Say(packet(2, b"\xfex\0").repeat(50)), Hang];
        assert!(matches!(asked(Some("lb"), switching).await, Answer::Bad(_)), "not for ever");
    }
}
