use std::{path::PathBuf, time::Duration};

/// Where a listener writes what came and what became of it: a line per HTTP request or TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// How a line is written.
    pub format: LogFormat,
    /// Who gets it.
    pub to: LogTarget,
}

/// How a line of an access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object.
    Json,
    /// As HAProxy writes it: `option httplog` for HTTP, `option tcplog` for TCP.
    Haproxy,
}

/// Who gets the lines of an access log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogTarget {
    /// Whoever started this process.
    Stdout,
    /// A file that lines are added to. An absolute path.
    File(PathBuf),
    /// A local syslog's datagram socket. An absolute path.
    Syslog(PathBuf),
}

/// How much one client may have of a listener, by its IPv4 address or the /64 of its IPv6 address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceLimits {
    /// Connections at one time, at least 1.
    pub connections: Option<u16>,
    /// HTTP requests.
    pub requests: Option<RequestRate>,
}

/// So many within such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// At least 1.
    pub count: u16,
    /// 10 ms to 1 h.
    pub per: Duration,
}
