use super::affinity::{BalanceSpec, StickySpec};
use super::checks::{MysqlCheckSpec, SmtpCheckSpec, TcpCheckSpec};
use super::connecting::{ProxyVersionSpec, SourceAddressSpec, TcpKeepaliveSpec};
use super::serving::{EjectionSpec, IdleSpec, QueueSpec, ResolveSpec, StateSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// A set of backends that serve the same thing.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct PoolSpec {
    /// How a backend is chosen. Default "roundrobin".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) balance: Option<BalanceSpec>,
    /// How a client is kept at the backend that it was given first. Default: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) sticky: Option<StickySpec>,
    /// How backends are watched. Default: a TCP connection each 2 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) check: Option<CheckSpec>,
    /// The servers.
    #[schemars(length(min = 1))]
    pub(in crate::desired) backends: Vec<BackendSpec>,
    /// Limits on the backends' side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) timeouts: Option<PoolTimeoutsSpec>,
    /// How often a request or connection that failed is tried again, first at another backend. Only what cannot have
    /// been processed, or is idempotent, is sent again. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub(in crate::desired) retries: Option<i64>,
    /// Connections that are kept for the next request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) idle: Option<IdleSpec>,
    /// Who waits while every backend has its `maxConnections`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) queue: Option<QueueSpec>,
    /// For so long the share of a backend that has come (back) into rotation grows to its weight. Default: it has it
    /// at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["30s"]))]
    pub(in crate::desired) slow_start: Option<String>,
    /// Leave a backend alone for a while at which too much has failed in a row. Default: only the checks take one out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) ejection: Option<EjectionSpec>,
    /// How the names of backends are looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) resolve: Option<ResolveSpec>,
    /// Where connections to the backends, and checks, come from: an address of this machine, or several, of which each
    /// balancer takes the first that it has. Backends of another family are not concerned. Default: the kernel's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) source_address: Option<SourceAddressSpec>,
    /// The header that connections to the backends begin with, which tells them who the client is. They must expect it:
    /// checks send one too, without a client. Such a connection is not kept for the next request. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) proxy_protocol: Option<ProxyVersionSpec>,
    /// Whether the kernel asks backends that are silent if they are still there. Default: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) tcp_keepalive: Option<TcpKeepaliveSpec>,
}

/// How backends are watched.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct CheckSpec {
    /// Ask for a page. Give one kind of check at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) http: Option<HttpCheckSpec>,
    /// Open a connection, and perhaps speak on it; `{}` is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) tcp: Option<TcpCheckSpec>,
    /// Greet a mail server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) smtp: Option<SmtpCheckSpec>,
    /// Ask a MySQL or MariaDB server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) mysql: Option<MysqlCheckSpec>,
    /// From the start of a check to the start of the next, at least "10ms". Default "2s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) interval: Option<String>,
    /// How long a check may take, at most the interval. Default "1s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) timeout: Option<String>,
    /// Successes in a row that bring a backend into rotation. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub(in crate::desired) rise: Option<i64>,
    /// Failures in a row that take it out of rotation. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub(in crate::desired) fall: Option<i64>,
}

/// A check that asks for a page.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct HttpCheckSpec {
    /// The page, with its query if it has one.
    #[schemars(regex(pattern = "^/"), extend("examples" = ["/check.txt"]))]
    pub(in crate::desired) path: String,
    /// What the `Host` field says. Default: the address of the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) host: Option<String>,
    /// The status codes of a healthy backend. Default "200-399".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) expect: Option<ExpectSpec>,
}

/// Status codes and ranges of them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::desired) enum ExpectSpec {
    /// In one text, as "200-299,404".
    Text(String),
    /// In a list, as ["200-299", "404"].
    List(Vec<String>),
}

/// serde's untagged enums forget where and why they did not match.
impl<'de> Deserialize<'de> for ExpectSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ExpectSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("status codes as the text \"200-399\", or a list of such texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectSpec, E> {
                Ok(ExpectSpec::Text(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<ExpectSpec, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(ExpectSpec::List)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A server behind the balancers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct BackendSpec {
    /// Unique within the pool.
    #[schemars(length(min = 1, max = 63))]
    pub(in crate::desired) name: String,
    /// IP address and port, as `192.0.2.102:80` or `[2001:db8::102]:80`, or a host name and port, as `web.example:80`. A
    /// name is looked up again and again; the backend is out of rotation until that has succeeded once.
    pub(in crate::desired) address: String,
    /// Its share of the work. 0: no new clients. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 256))]
    pub(in crate::desired) weight: Option<i64>,
    /// Used only while no other backend is in rotation. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::desired) backup: bool,
    /// Requests and connections that it may be busy with at one time, for this balancer; more wait in the pool's
    /// queue. Default: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub(in crate::desired) max_connections: Option<i64>,
    /// What it is to do. Default "ready".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) state: Option<StateSpec>,
}

/// Limits on the backends' side.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct PoolTimeoutsSpec {
    /// To establish a connection. Default "5s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) connect: Option<String>,
    /// For the head of a response to arrive, and between two reads of a body. Default "60s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) response: Option<String>,
    /// For what was sent to be acknowledged, before the connection is given up. Default: as long as the kernel
    /// retransmits, about a quarter of an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["30s"]))]
    pub(in crate::desired) tcp_user_timeout: Option<String>,
}
