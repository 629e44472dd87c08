//! WebSocket through the proxy, by hand: the opening handshake of RFC 6455 section 4 and frames of section 5, large and
//! small, from both sides at once, to the closing handshake.

use super::harness::*;
use std::{io::Write, thread};

/// The example of RFC 6455 section 1.3: what a server must make of this key.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// One frame, final and unfragmented; a client masks it.
fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => frame.push(masked | length as u8),
        length @ 126..=0xffff => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    frame.extend(mask.into_iter().flatten());
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The next frame: its opcode, its payload, and whether it was masked.
fn read(wire: &mut Wire) -> (u8, Vec<u8>, bool) {
    let head = wire.exactly(2).unwrap();
    assert_eq!(head[0] & 0xf0, 0x80, "final, no extension");
    let length = match head[1] & 0x7f {
        126 => u16::from_be_bytes(wire.exactly(2).unwrap().try_into().unwrap()).into(),
        127 => u64::from_be_bytes(wire.exactly(8).unwrap().try_into().unwrap()) as usize,
        length => length.into(),
    };
    let masked = head[1] & 0x80 != 0;
    let key = if masked { wire.exactly(4).unwrap() } else { vec![0; 4] };
    let payload = wire.exactly(length).unwrap();
    (head[0] & 0x0f, payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(), masked)
}

/// Says back what it hears, until it hears that it is over.
fn echo() -> Server {
    Server::raw(|_, mut wire| {
        let head = wire.message(true).head;
        for field in ["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13"] {
            assert!(head.contains(&format!("\r\n{field}\r\n")), "{head}");
        }
        assert!(head.contains(&format!("\r\nSec-WebSocket-Key: {KEY}\r\n")), "{head}");
        wire.send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        ));
        loop {
            let (opcode, payload, masked) = read(&mut wire);
            assert!(masked, "a client masks");
            let answer = if opcode == PING { PONG } else { opcode };
            wire.stream.write_all(&frame(answer, &payload, None)).unwrap();
            if opcode == CLOSE {
                return;
            }
        }
    })
}

#[test]
fn frames_come_back_as_they_were_sent() {
    let server = echo();
    let lab = Setup::http(&[server.address]).run();
    let mut client = lab.connect();
    // The first frame comes with the request, before anybody has agreed to anything.
    client.send(&format!(
        "GET /chat HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\nOrigin: http://t\r\n\r\n"
    ));
    client.stream.write_all(&frame(PING, b"early", Some([1, 2, 3, 4]))).unwrap();
    let head = client.message(true);
    assert_eq!((head.status(), head.field("sec-websocket-accept")), (101, Some(ACCEPT)));
    assert_eq!((head.field("upgrade"), head.field("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(read(&mut client), (PONG, b"early".to_vec(), false));
    let payloads: Vec<Vec<u8>> = [0, 1, 125, 126, 65_535, 65_536, 1_000_000]
        .into_iter()
        .map(|length| (0..length).map(|i: usize| (i * 31 + length) as u8).collect())
        .collect();
    let mut stream = client.stream.try_clone().unwrap();
    let sent = payloads.clone();
    let sender = thread::spawn(move || {
        for (n, payload) in sent.iter().enumerate() {
            stream.write_all(&frame(BINARY, payload, Some([n as u8, 0xff, 7, 0]))).unwrap();
        }
        stream.write_all(&frame(CLOSE, &1000u16.to_be_bytes(), Some([9; 4]))).unwrap();
    });
    for payload in payloads {
        let (opcode, echoed, masked) = read(&mut client);
        assert!(opcode == BINARY && !masked && echoed == payload, "{} bytes", payload.len());
    }
    assert_eq!(read(&mut client), (CLOSE, 1000u16.to_be_bytes().to_vec(), false));
    sender.join().unwrap();
    client.expect_end();
    drop(client);
    lab.until("it is over", |t| backend(t, 0).active == 0 && listener(t).active == 0);
}
