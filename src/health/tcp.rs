//! The check `"tcp"`: a backend is well if it accepts a connection. Nothing is sent; the connection is closed in
//! order (FIN, not RST), so that backends do not log an error for every check.

use super::{Answer, Server, failed};

/// Connects to `server` and closes again. The caller bounds the time.
pub async fn ask(server: &Server) -> Answer {
    match server.connect().await {
        Ok(_) => Answer::Good("connection accepted".to_owned()),
        Err(error) => failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_open_port_is_well_and_a_closed_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(ask(&Server::at(address)).await, Answer::Good("connection accepted".into()));
        let closed = "127.0.0.1:1".parse().unwrap();
        assert_eq!(ask(&Server::at(closed)).await, Answer::Bad("connection refused".into()));
    }
}
