//! What this proxy answers by itself: small, plain, and never cached. A listener may have other words for it.

use crate::model::{ErrorPage, Listener};
use std::{io::Write, time::Duration};

/// A response of the proxy's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// 200, or 3xx to 5xx.
    pub(super) status: u16,
    /// One line for the reader.
    pub(super) text: &'static str,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// In seconds: when it is worth trying again.
    pub(super) retry_after: Option<u64>,
}

impl Page {
    pub(super) const fn new(status: u16, text: &'static str) -> Self {
        Self { status, text, location: None, retry_after: None }
    }

    pub(super) fn redirect(status: u16, location: String) -> Self {
        Self { location: Some(location), ..Self::new(status, "The document is elsewhere.") }
    }

    /// To a client that has asked for more than it may, and may go on after `wait`.
    pub(super) fn limited(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after: Some(seconds.max(1)), ..Self::new(429, "Too much has been asked for from there.") }
    }

    /// The whole response, in the words of `listener` if it has some; `head_only` for a HEAD request. `connection` is
    /// the value of the Connection field, if there is to be one.
    pub(super) fn write(&self, listener: &Listener, head_only: bool, connection: Option<&str>, out: &mut Vec<u8>) {
        match listener.error_pages.iter().find(|page| page.statuses.contains(&self.status)) {
            Some(ErrorPage { content_type, body, .. }) => {
                self.write_with(content_type, body, head_only, connection, out)
            }
            None => {
                let body = format!("{} {}\n{}\n", self.status, reason(self.status), self.text);
                self.write_with("text/plain; charset=utf-8", &body, head_only, connection, out);
            }
        }
    }

    fn write_with(&self, kind: &str, body: &str, head_only: bool, connection: Option<&str>, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 {} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\n",
            self.status,
            reason(self.status),
            body.len()
        );
        if let Some(location) = &self.location {
            let _ = write!(out, "Location: {location}\r\n");
        }
        if let Some(seconds) = self.retry_after {
            let _ = write!(out, "Retry-After: {seconds}\r\n");
        }
        if let Some(connection) = connection {
            let _ = write!(out, "Connection: {connection}\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !head_only {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

/// RFC 9110 section 15, of the codes that are used here.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        408 => "Request Timeout",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(page: &Page, head_only: bool, connection: Option<&str>) -> String {
        let mut out = Vec::new();
        page.write(&listener(), head_only, connection, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// With a page of its own for 502 and 504.
    fn listener() -> Listener {
        let page = ErrorPage { statuses: vec![502, 504], content_type: "text/html".into(), body: "<h1>é</h1>".into() };
        Listener { error_pages: vec![page], ..Listener::new(80, crate::model::Protocol::Http, None) }
    }

    #[test]
    fn a_page_is_a_complete_response() {
        let text = written(&Page::new(503, "No server."), false, Some("close"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())) && head.contains("Connection: close"));
        assert_eq!(body, "503 Service Unavailable\nNo server.\n");
    }

    #[test]
    fn a_listener_has_its_own_words() {
        let page = Page { retry_after: Some(3), ..Page::new(504, "No server.") };
        let (full, head) = (written(&page, false, Some("close")), written(&page, true, Some("close")));
        let wanted = "HTTP/1.1 504 Gateway Timeout\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\
                      Cache-Control: no-store\r\nRetry-After: 3\r\nConnection: close\r\n\r\n";
        assert_eq!(head, wanted);
        assert_eq!(full, format!("{wanted}<h1>é</h1>"));
        assert!(written(&Page::new(503, "No server."), false, None).ends_with("503 Service Unavailable\nNo server.\n"));
    }

    #[test]
    fn every_status_that_may_have_a_page_has_a_name() {
        assert!(ErrorPage::STATUSES.iter().all(|status| reason(*status) != "Unknown"));
    }

    #[test]
    fn to_a_head_request_it_is_the_same_without_the_body() {
        let page = Page::redirect(301, "https://example.com/".into());
        let (full, head) = (written(&page, false, None), written(&page, true, None));
        assert!(full.starts_with(&head) && head.ends_with("\r\n\r\n"));
        assert!(head.contains("Location: https://example.com/\r\n") && !head.contains("Connection"));
    }
}
