//! The kinds of checks that speak something other than HTTP.

use super::{
    Findings,
    text::{self, Complaint},
};
use crate::{
    desired::{
        Pointer,
        schema::{ExpectBytesSpec, MysqlCheckSpec, SmtpCheckSpec, TcpCheckSpec},
    },
    model::{CheckKind, Expect},
};

/// What a mail server is told if the file says nothing: HAProxy's word.
pub(in crate::desired) const HELLO: &str = "localhost";
/// RFC 1035 for the one, MySQL's limit of a user's name for the other.
const LONGEST_HELLO: usize = 255;
const LONGEST_USER: usize = 80;

/// A connection, and perhaps some bytes on it.
pub(super) fn tcp(at: &Pointer, spec: &TcpCheckSpec, findings: &mut Findings<'_>) -> Option<CheckKind> {
    let send = match &spec.send {
        None => Some(Vec::new()),
        Some(text) => findings.take(&at.key("send"), text::bytes(text)),
    };
    let (at_expect, expected) = match &spec.expect {
        None if spec.send.is_none() => return Some(CheckKind::Tcp),
        None => {
            let error = Complaint::new("what is sent here is never answered, as far as this check knows,");
            findings.error(&at.key("send"), error.help("say what a healthy backend answers, in \"expect\""));
            return None;
        }
        Some(ExpectBytesSpec::Contains(text)) => (at.key("expect"), text),
        Some(ExpectBytesSpec::Begins(begins)) => (at.key("expect").key("prefix"), &begins.prefix),
    };
    let expected = findings.take(&at_expect, text::bytes(expected))?;
    findings.not_empty(&at_expect, &expected, "byte to expect");
    let expect = match &spec.expect {
        Some(ExpectBytesSpec::Begins(_)) => Expect::Begins(expected),
        _ => Expect::Contains(expected),
    };
    Some(CheckKind::Exchange { send: send?, expect })
}

/// A mail server.
pub(super) fn smtp(at: &Pointer, spec: &SmtpCheckSpec, findings: &mut Findings<'_>) -> Option<CheckKind> {
    let hello = spec.hello.as_deref().unwrap_or(HELLO);
    let fits = !hello.is_empty() && hello.len() <= LONGEST_HELLO && hello.bytes().all(|b| b.is_ascii_graphic());
    if !fits {
        let error = Complaint::new("a mail server cannot be told this name");
        findings.error(&at.key("hello"), error.help("write a host name, or an address in brackets"));
    }
    Some(CheckKind::Smtp { hello: hello.to_owned() })
}

/// A database.
pub(super) fn mysql(at: &Pointer, spec: &MysqlCheckSpec, findings: &mut Findings<'_>) -> Option<CheckKind> {
    if let Some(user) = &spec.user
        && (user.is_empty() || user.len() > LONGEST_USER || user.contains('\0'))
    {
        findings.error(&at.key("user"), format!("a user's name has 1 to {LONGEST_USER} bytes"));
    }
    Some(CheckKind::Mysql { user: spec.user.clone() })
}
