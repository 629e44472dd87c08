use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Connections that are kept for the next request.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct IdleSpec {
    /// How many, per backend and thread of the balancer. 0: none. Default 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub(in crate::desired) max: Option<i64>,
    /// How long one is kept; less than the servers' own limit. Default "30s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) expiry: Option<String>,
}

/// Who waits while every backend has its `maxConnections`: first come, first served. A client whose cookie names a
/// backend waits for that one.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct QueueSpec {
    /// How many may wait; who comes then is refused (HTTP: 503). Default 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub(in crate::desired) max: Option<i64>,
    /// How long one may wait before it is refused. Default: `timeouts.connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) timeout: Option<String>,
}

/// When a backend is left alone for what clients meet at it: connections that cannot be established, responses that
/// never come, come too late, make no sense or break off. Never more than half of the backends in rotation at once, so
/// never the only one. The checks go on, and a backend that they have taken out stays out.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct EjectionSpec {
    /// Failures in a row. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub(in crate::desired) errors: Option<i64>,
    /// For how long it is left alone. Default "10s".
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) period: Option<String>,
    /// Responses with a status of 500 to 599 are failures too. Default false.
    #[serde(default, rename = "on5xx", skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::desired) on_5xx: bool,
}

/// How the names of backends are looked up: as this machine looks up any name (/etc/hosts, DNS). The address in use stays
/// while it is among the answers, and while there is no answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct ResolveSpec {
    /// How often, at least "100ms". Default "10s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) interval: Option<String>,
}

/// What the operator wants of a backend.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::desired) enum StateSpec {
    /// It serves if it is up.
    Ready,
    /// No new clients; those whom a cookie keeps at it go on.
    Drain,
    /// Nothing goes there and it is not checked.
    Maint,
}
