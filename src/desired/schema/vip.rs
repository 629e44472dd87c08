use super::{
    AccessLogSpec, ErrorPageSpec, FieldEditsSpec, FieldMatchSpec, ForwardedSpec, ProxyProtocolSpec, SourceLimitsSpec,
    TcpKeepaliveSpec,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// A virtual IP: addresses that are on exactly one node at a time, and what is served on them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct VipSpec {
    /// The addresses, IPv4 and IPv6 as you like; they move as one unit. Without a prefix length an address is added as a
    /// host address (/32 or /128), which is the safe way.
    #[schemars(length(min = 1), extend("examples" = [["198.51.100.10"], ["198.51.100.10/24", "2001:db8::10"]]))]
    pub(in crate::desired) addresses: Vec<String>,
    /// The device that carries the addresses, or an alias for it from `interfaces` of each Peer. Default: the device
    /// whose connected subnet holds the first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub(in crate::desired) interface: Option<String>,
    /// Names of Peers in order of preference: the first that can serve owns the addresses.
    #[schemars(length(min = 1))]
    pub(in crate::desired) nodes: Vec<String>,
    /// What happens when a more preferred node returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) failback: Option<FailbackSpec>,
    /// What a node must have, to be preferred to a node that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) track: Option<TrackSpec>,
    /// Whether an answer to ARP or ND proves that a host is there. `false` for fabrics that answer for hosts that are
    /// gone (proxy ARP, some EVPN and cloud networks): before a takeover nobody is then asked whether the addresses are
    /// still in use, and heartbeats alone decide. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) trust_probe: Option<bool>,
    /// What is served, on each of the addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::desired) listeners: Vec<ListenerSpec>,
}

/// What happens when a more preferred node returns.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct FailbackSpec {
    /// `auto` (default): it takes the addresses back. `manual`: the present owner keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) mode: Option<FailbackModeSpec>,
    /// How long it must have been up before it takes them back. Default "5s".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["5s", "1m"]))]
    pub(in crate::desired) after: Option<String>,
}

/// What happens when a more preferred node returns.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::desired) enum FailbackModeSpec {
    /// It takes the addresses back.
    Auto,
    /// The present owner keeps them.
    Manual,
}

/// A node that lacks one of these yields to a node that has them all.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct TrackSpec {
    /// Devices (or aliases) that must have a carrier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::desired) interfaces: Vec<String>,
    /// Addresses that must answer a ping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::desired) ping: Vec<String>,
}

/// One port, on all addresses of the Vip.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct ListenerSpec {
    /// The port that clients connect to.
    #[schemars(range(min = 1, max = 65535))]
    pub(in crate::desired) port: i64,
    /// What clients speak there.
    pub(in crate::desired) protocol: ProtocolSpec,
    /// The Pool for whatever no route takes. A TCP listener needs one; an HTTP listener without one answers 404.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) pool: Option<String>,
    /// HTTP only: where certain requests go. The most specific route that matches wins: an exact host before `*.` of a
    /// longer and then a shorter name, then any host; an exact path before a longer and then a shorter prefix, then any
    /// path; then one that names methods, then one with more conditions on headers, then the first in the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::desired) routes: Vec<RouteSpec>,
    /// Limits on the clients' side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) timeouts: Option<ListenerTimeoutsSpec>,
    /// Where a line is written for each request (HTTP) or connection (TCP). Default: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) access_log: Option<AccessLogSpec>,
    /// How much one client may have. Default: as much as it likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) limits: Option<SourceLimitsSpec>,
    /// HTTP only: what is done to every request that is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) request_headers: Option<FieldEditsSpec>,
    /// HTTP only: what is done to every response of a backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) response_headers: Option<FieldEditsSpec>,
    /// HTTP only: what is answered in place of the proxy's own pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::desired) error_pages: Vec<ErrorPageSpec>,
    /// HTTP only: what is believed and told of the way of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) forwarded: Option<ForwardedSpec>,
    /// Who introduces clients with the PROXY protocol. Default: nobody, clients connect themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) proxy_protocol: Option<ProxyProtocolSpec>,
    /// Whether the kernel asks clients that are silent if they are still there. Default: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) tcp_keepalive: Option<TcpKeepaliveSpec>,
}

/// What clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::desired) enum ProtocolSpec {
    /// HTTP/1.0 and HTTP/1.1.
    Http,
    /// Bytes, whatever they mean.
    Tcp,
}

/// Requests that match every condition given go to a Pool, or are redirected.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct RouteSpec {
    /// The host that the request names, without port. `*.example.com` is every host below example.com, however deep, but
    /// not example.com itself. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["www.example.com", "*.example.com"]))]
    pub(in crate::desired) host: Option<String>,
    /// The path of the request. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) path: Option<PathSpec>,
    /// The methods, of which the request has one. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)), extend("examples" = [["GET", "HEAD"]]))]
    pub(in crate::desired) methods: Vec<String>,
    /// Conditions on fields of the request, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::desired) headers: Vec<FieldMatchSpec>,
    /// The Pool that matching requests go to. Give this or `redirect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) pool: Option<String>,
    /// The redirect that matching requests are answered with. Give this or `pool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) redirect: Option<RedirectSpec>,
    /// What is done to the requests that it takes, after what the listener does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) request_headers: Option<FieldEditsSpec>,
    /// What is done to the responses to them, after what the listener does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) response_headers: Option<FieldEditsSpec>,
}

/// How a route compares a path.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::desired) enum PathSpec {
    /// A prefix: "/api/" takes /api, /api/ and whatever lies below, not /apix.
    Prefix(#[schemars(regex(pattern = "^/"))] String),
    /// One path and no other.
    Exact(ExactPathSpec),
}

/// One path and no other.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct ExactPathSpec {
    /// The path.
    #[schemars(regex(pattern = "^/"))]
    pub(in crate::desired) exact: String,
}

/// serde's untagged enums forget where and why they did not match.
impl<'de> Deserialize<'de> for PathSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = PathSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a path, or {\"exact\": a path}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PathSpec, E> {
                Ok(PathSpec::Prefix(text.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<PathSpec, A::Error> {
                ExactPathSpec::deserialize(de::value::MapAccessDeserializer::new(map)).map(PathSpec::Exact)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A redirect to another scheme, host or both; path and query stay.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct RedirectSpec {
    /// Default: the scheme of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) scheme: Option<SchemeSpec>,
    /// May carry a port. Default: the host of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) host: Option<String>,
    /// 301, 302 (default), 303, 307 or 308.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    pub(in crate::desired) status: Option<i64>,
}

/// The scheme that a redirect leads to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::desired) enum SchemeSpec {
    /// `http://`
    Http,
    /// `https://`
    Https,
}

/// Limits on the clients' side.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct ListenerTimeoutsSpec {
    /// For the head of a request to arrive. Default "10s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) request: Option<String>,
    /// Between two reads or writes of a body. Default "60s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) idle: Option<String>,
    /// Between the requests of a connection. Default: as `idle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) keep_alive: Option<String>,
    /// For a TCP or upgraded connection without a byte in either direction. Default "1h".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) tunnel: Option<String>,
    /// The same once one side has sent all that it had to send. Default: as `tunnel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) half_closed: Option<String>,
    /// For what was sent to be acknowledged, before the connection is given up. Default: as long as the kernel
    /// retransmits, about a quarter of an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["30s"]))]
    pub(in crate::desired) tcp_user_timeout: Option<String>,
}
