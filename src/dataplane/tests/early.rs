//! A response that comes before its request has gone out, where buffers are so small that this can be made to happen.

use super::harness::*;
use crate::kernel::netns::NetNs;
use std::{
    io::Write,
    sync::{Mutex, mpsc},
};

/// Runs `f` in a network namespace of its own, with `lo` up.
fn isolated(f: impl FnOnce() + Send) {
    let up = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            handle.link().set(rtnetlink::LinkUnspec::new_with_index(1).up().build()).execute().await.unwrap();
        });
        f();
    };
    NetNs::new().unwrap().run(up).unwrap();
}

fn sysctl(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
}

#[test]
fn a_connection_whose_request_has_not_all_gone_out_is_not_used_again() {
    isolated(|| {
        let (answer, may_answer) = mpsc::channel();
        let may_answer = Mutex::new(may_answer);
        // What the backend has not read fills its few buffers; so the rest waits in the proxy.
        sysctl("tcp_rmem", "4096 4096 4096");
        let server = Server::raw(move |number, mut wire| {
            wire.message(true);
            if number == 0 {
                may_answer.lock().unwrap().recv().unwrap();
                wire.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
                let _ = wire.rest();
            } else {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        sysctl("tcp_rmem", "4096 131072 6291456");
        let setup = Setup::http(&[server.address]);
        let lab = setup.run_on_one_worker();
        sysctl("tcp_wmem", "4096 4096 4096");
        let mut client = lab.connect();
        socket2::SockRef::from(&client.stream).set_send_buffer_size(200_000).unwrap();
        let mut request = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 40000\r\n\r\n".to_vec();
        request.resize(request.len() + 40_000, b'x');
        client.stream.write_all(&request).unwrap();
        lab.until("all of it is read", |t| listener(t).bytes_in == request.len() as u64);
        assert!(backend(&lab.traffic(), 0).bytes_in < request.len() as u64, "and not all of it has gone out");
        answer.send(()).unwrap();
        assert_eq!(client.message(false).status(), 404);
        assert_eq!(client.ask("GET /next HTTP/1.1\r\nHost: t\r\n\r\n").status(), 200);
        assert_eq!(server.connections(), 2, "the first one still waits for its body");
        assert_eq!(backend(&lab.traffic(), 0).failures, 0);
    });
}
