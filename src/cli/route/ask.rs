//! What is asked: a request as a client would send it.

use crate::dataplane::http::engine::{Refusal, Request, RequestEvent, Requests, split_host};
use std::{net::IpAddr, path::PathBuf};

/// Arguments of `lbagent route`.
#[derive(Debug, Clone, clap::Args)]
pub struct RouteArgs {
    /// The method of the request
    pub(super) method: String,
    /// What is asked for: http://HOST[:PORT][/PATH]
    pub(super) url: String,
    /// A field of the request, as `Name: value`; may be given again
    #[arg(long = "header", value_name = "FIELD")]
    pub(super) headers: Vec<String>,
    /// The address that the request comes from
    #[arg(long, value_name = "IP")]
    pub(super) from: Option<IpAddr>,
    /// The Vip that is asked, if the URL does not tell
    #[arg(long)]
    pub(super) vip: Option<String>,
    /// Go by these files as they are and ask no agent
    #[arg(long)]
    pub(super) state_dir: Option<PathBuf>,
}

/// A question, ready to be asked.
#[derive(Debug)]
pub(super) struct Asking {
    /// As it would be on the wire.
    head: Vec<u8>,
    pub(super) method: String,
    pub(super) url: String,
    /// Without port.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) from: Option<IpAddr>,
    pub(super) vip: Option<String>,
}

impl Asking {
    /// An error says what makes no sense.
    pub(super) fn new(args: &RouteArgs) -> Result<Self, String> {
        let url = &args.url;
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(format!("{url:?} does not begin with http://, which is all that listeners speak"));
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = split_host(authority);
        let port = port.map_or(Ok(80), str::parse).map_err(|_| format!("{url:?} has a port that is no port"))?;
        if host.is_empty() {
            return Err(format!("{url:?} has no host"));
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        let mut head = format!("{} {slash}{target} HTTP/1.1\r\nHost: {authority}\r\n", args.method);
        for field in &args.headers {
            if !field.contains(':') || field.contains(['\r', '\n', '\0']) {
                return Err(format!("{field:?} is no field: write \"Name: value\""));
            }
            head += &format!("{field}\r\n");
        }
        head += "\r\n";
        let asking = Self {
            head: head.into_bytes(),
            method: args.method.clone(),
            url: url.clone(),
            host: host.to_owned(),
            port,
            from: args.from,
            vip: args.vip.clone(),
        };
        let is_line = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_line(&asking.method) || !is_line(url) {
            return Err("a method and a URL have no spaces, and letters beyond ASCII are encoded (%C3%A9)".to_owned());
        }
        Ok(asking)
    }

    /// The request as the proxy reads it, or the answer that it gives instead.
    pub(super) fn request(&self) -> Result<Request<'_>, Refusal> {
        match Requests::default().next(&self.head)? {
            (_, RequestEvent::Head(request)) => Ok(request),
            _ => Err(Refusal { status: 400, reason: "this is no whole request" }),
        }
    }
}
