use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Where it is written what came and what became of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct AccessLogSpec {
    /// How a line is written.
    pub(in crate::desired) format: LogFormatSpec,
    /// Who gets it.
    pub(in crate::desired) to: LogTargetSpec,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::desired) enum LogFormatSpec {
    /// An object with the same keys in each line.
    Json,
    /// As HAProxy writes it with `option httplog` or `option tcplog`; times are UTC.
    Haproxy,
}

/// Who gets the lines.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::desired) enum LogTargetSpec {
    /// "stdout": whoever started the agent; under systemd that is the journal.
    Stdout(StdoutSpec),
    /// A file.
    File(LogFileSpec),
    /// A syslog.
    Syslog(LogSyslogSpec),
}

/// The word `stdout`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::desired) enum StdoutSpec {
    /// The word.
    Stdout,
}

/// A file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct LogFileSpec {
    /// Lines are added to it; it is made where there is none, and made anew within a second after it was renamed or
    /// removed.
    #[schemars(regex(pattern = "^/"), extend("examples" = ["/var/log/lbagent/access.log"]))]
    pub(in crate::desired) file: String,
}

/// A syslog.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct LogSyslogSpec {
    /// The datagram socket on which it listens on this machine. Lines go there as facility local0, severity info.
    #[schemars(regex(pattern = "^/"), extend("examples" = ["/dev/log"]))]
    pub(in crate::desired) syslog: String,
}

/// serde's untagged enums forget where and why they did not match.
impl<'de> Deserialize<'de> for LogTargetSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Any of the two objects.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        enum Place {
            File(String),
            Syslog(String),
        }

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = LogTargetSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"stdout\", {\"file\": a path} or {\"syslog\": a path}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LogTargetSpec, E> {
                match text {
                    "stdout" => Ok(LogTargetSpec::Stdout(StdoutSpec::Stdout)),
                    _ => Err(E::unknown_variant(text, &["stdout"])),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<LogTargetSpec, A::Error> {
                Ok(match Place::deserialize(de::value::MapAccessDeserializer::new(map))? {
                    Place::File(file) => LogTargetSpec::File(LogFileSpec { file }),
                    Place::Syslog(syslog) => LogTargetSpec::Syslog(LogSyslogSpec { syslog }),
                })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// How much one client may have of a listener: one IPv4 address, or the /64 of an IPv6 address. Counted by address that
/// is listened on.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct SourceLimitsSpec {
    /// Connections at one time. One more is answered with 429 (HTTP) or reset (TCP). Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub(in crate::desired) connections_per_source: Option<i64>,
    /// HTTP only: requests within a time. One more is answered with 429. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) requests_per_source: Option<RequestRateSpec>,
}

/// So many requests within such a time: that many at once, and then one whenever its part of the time has passed.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct RequestRateSpec {
    /// How many.
    #[schemars(range(min = 1, max = 65535))]
    pub(in crate::desired) count: i64,
    /// "10ms" to "1h".
    #[schemars(extend("examples" = ["1s", "10s", "1m"]))]
    pub(in crate::desired) per: String,
}
