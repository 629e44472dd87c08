use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A condition on a field of the request: give `exact`, `prefix` or `present`. It holds if it does for one of the lines of
/// that name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct FieldMatchSpec {
    /// The name of the field, in any case.
    #[schemars(length(min = 1), extend("examples" = ["X-Canary"]))]
    pub(in crate::desired) name: String,
    /// What its value must be, byte by byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) exact: Option<String>,
    /// What its value must begin with, byte by byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(in crate::desired) prefix: Option<String>,
    /// `true`: it must be there, whatever its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) present: Option<bool>,
}

/// What is done to the fields of a message: removed first, then set, then added. Fields that belong to one connection or
/// to the framing of a message (Connection, Content-Length, Transfer-Encoding …), Host and Via cannot be touched.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct FieldEditsSpec {
    /// Values by name, each in place of whatever lines of that name there are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("examples" = [{ "X-Forwarded-Proto": "https" }]))]
    pub(in crate::desired) set: BTreeMap<String, String>,
    /// Values by name, each in one more line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::desired) add: BTreeMap<String, String>,
    /// Names of fields that go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["Server", "X-Powered-By"]]))]
    pub(in crate::desired) remove: Vec<String>,
}

/// What is answered in place of the proxy's own page.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct ErrorPageSpec {
    /// Where it stands: any of the statuses that the proxy answers with by itself. What backends answer is passed on.
    #[schemars(
        length(min = 1),
        inner(range(min = 400, max = 504)),
        extend("examples" = [[502, 503, 504]])
    )]
    pub(in crate::desired) status: Vec<i64>,
    /// The media type of the body. Default "text/html; charset=utf-8".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["application/json"]))]
    pub(in crate::desired) content_type: Option<String>,
    /// The page itself, up to 64 KiB.
    pub(in crate::desired) body: String,
}

/// What is believed and told of the way of a request.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct ForwardedSpec {
    /// Proxies in front of this one, as addresses or networks: what they say of a request's way is kept and extended, and
    /// the client is the nearest on that way that is not one of them, for hashes, stickiness, logs and request limits.
    /// What anybody else says is removed; `[]` trusts nobody. Default: X-Forwarded-For (or Forwarded) is extended whoever
    /// sent it, and the client is who has connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [["203.0.113.0/24", "2001:db8:1::/48"], []]))]
    pub(in crate::desired) trusted: Option<Vec<String>>,
    /// The fields in which it is told to backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) style: Option<ForwardedStyleSpec>,
}

/// The fields in which it is told where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::desired) enum ForwardedStyleSpec {
    /// X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host; the default.
    XForwarded,
    /// Forwarded, as RFC 7239 has it.
    Rfc7239,
    /// All of them. Where a trusted proxy sends both, X-Forwarded-For counts.
    Both,
    /// None: nothing is added or removed, and what a client says passes as it is.
    None,
}

/// Connections begin with a header of the PROXY protocol, version 1 or 2, that names the client.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct ProxyProtocolSpec {
    /// The proxies that send it, as addresses or networks. Connections from elsewhere, and those that do not begin with a
    /// header, are reset.
    #[schemars(length(min = 1), extend("examples" = [["203.0.113.7", "2001:db8:1::/64"]]))]
    pub(in crate::desired) from: Vec<String>,
}
