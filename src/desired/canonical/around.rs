//! What is around a listener, and the checks that speak something other than HTTP.

use super::unless_empty;
use crate::{
    desired::{convert::HELLO, schema::*},
    model::*,
};

pub(super) fn access_log(log: &AccessLog) -> AccessLogSpec {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    AccessLogSpec {
        format: match log.format {
            LogFormat::Json => LogFormatSpec::Json,
            LogFormat::Haproxy => LogFormatSpec::Haproxy,
        },
        to: match &log.to {
            LogTarget::Stdout => LogTargetSpec::Stdout(StdoutSpec::Stdout),
            LogTarget::File(path) => LogTargetSpec::File(LogFileSpec { file: text(path) }),
            LogTarget::Syslog(path) => LogTargetSpec::Syslog(LogSyslogSpec { syslog: text(path) }),
        },
    }
}

pub(super) fn limits(limits: SourceLimits) -> Option<SourceLimitsSpec> {
    unless_empty(SourceLimitsSpec {
        connections_per_source: limits.connections.map(Into::into),
        requests_per_source: limits
            .requests
            .map(|rate| RequestRateSpec { count: rate.count.into(), per: format_duration(rate.per) }),
    })
}

pub(super) fn tcp(kind: &CheckKind) -> Option<TcpCheckSpec> {
    let CheckKind::Exchange { send, expect } = kind else { return None };
    let send = (!send.is_empty()).then(|| text(send));
    let expect = match expect {
        Expect::Contains(bytes) => ExpectBytesSpec::Contains(text(bytes)),
        Expect::Begins(bytes) => ExpectBytesSpec::Begins(BeginsSpec { prefix: text(bytes) }),
    };
    Some(TcpCheckSpec { send, expect: Some(expect) })
}

pub(super) fn smtp(kind: &CheckKind) -> Option<SmtpCheckSpec> {
    let CheckKind::Smtp { hello } = kind else { return None };
    Some(SmtpCheckSpec { hello: (hello != HELLO).then(|| hello.clone()) })
}

pub(super) fn mysql(kind: &CheckKind) -> Option<MysqlCheckSpec> {
    let CheckKind::Mysql { user } = kind else { return None };
    Some(MysqlCheckSpec { user: user.clone() })
}

/// As `convert` reads it.
fn text(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\r' => "\\r".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b' '..=b'~' => (*byte as char).to_string(),
        other => format!("\\x{other:02x}"),
    };
    bytes.iter().map(one).collect()
}
