use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IntoDeserializer},
};

/// How a backend is chosen, in HAProxy's words.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::desired) enum BalanceSpec {
    /// An algorithm that has no options, or is to have none.
    Word(BalanceWord),
    /// An algorithm with its options.
    By(BalanceBy),
}

/// An algorithm. All hashes are consistent: a backend that comes or goes moves its own share and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::desired) enum BalanceWord {
    /// In turn, in proportion to the weights.
    RoundRobin,
    /// The one with the fewest connections in proportion to its weight.
    LeastConn,
    /// The less loaded of two drawn by weight.
    Random,
    /// By a hash of the client's address.
    Source,
    /// HTTP only: by a hash of the path that is asked for, without its query.
    Uri,
    /// The first of the file that is in rotation and has a place (`maxConnections`).
    First,
}

/// An algorithm with its options: one of these.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct BalanceBy {
    /// HTTP only: by a hash of what is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) uri: Option<UriSpec>,
    /// HTTP only: by a hash of the value of the field of this name. Requests without it take turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("examples" = ["X-User"]))]
    pub(in crate::desired) header: Option<String>,
}

/// What of a target counts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct UriSpec {
    /// The query counts too. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::desired) query: bool,
}

/// serde's untagged enums forget where and why they did not match.
impl<'de> Deserialize<'de> for BalanceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = BalanceSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an algorithm as \"roundrobin\", {\"uri\": {\"query\": true}} or {\"header\": a name}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BalanceSpec, E> {
                BalanceWord::deserialize(text.into_deserializer()).map(BalanceSpec::Word)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<BalanceSpec, A::Error> {
                BalanceBy::deserialize(de::value::MapAccessDeserializer::new(map)).map(BalanceSpec::By)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// How a client is kept at the backend that it was given first: one of these. A backend of weight 0 keeps its clients
/// that have a cookie; the clients of one that is out of rotation are balanced anew.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct StickySpec {
    /// HTTP only: by a cookie that the proxy inserts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) cookie: Option<CookieSpec>,
    /// HTTP only: by a cookie of the application, whose value carries the backend's name on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) app_cookie: Option<AppCookieSpec>,
    /// By a consistent hash of the client's address, whatever `balance` says for those that find their backend gone.
    /// Nothing is remembered, so weight 0 moves the clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) source: Option<StickySourceSpec>,
}

/// A cookie that names the backend. It is always `HttpOnly`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct CookieSpec {
    /// What the cookie is called.
    #[schemars(length(min = 1), extend("examples" = ["LB"]))]
    pub(in crate::desired) name: String,
    /// Whether it goes along with requests that other sites cause. Default "Lax".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) same_site: Option<SameSiteSpec>,
    /// It is sent over TLS only. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::desired) secure: bool,
    /// The host that gets it, with those below. Default: the host that was asked, alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["example.com"]))]
    pub(in crate::desired) domain: Option<String>,
    /// For how long the client keeps it, in whole seconds, at most a day. Default: until the browser is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["24h"]))]
    pub(in crate::desired) max_age: Option<String>,
}

/// Whether a cookie goes along with requests that other sites cause.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(in crate::desired) enum SameSiteSpec {
    /// Never.
    Strict,
    /// When a link is followed.
    Lax,
    /// Always. It must be `secure` then.
    None,
}

/// A cookie of the application: `id=value` becomes `id=backend~value` for the client, and back for the backends.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct AppCookieSpec {
    /// What the application calls it.
    #[schemars(length(min = 1), extend("examples" = ["JSESSIONID"]))]
    pub(in crate::desired) name: String,
}

/// By the client's address. It has no options.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct StickySourceSpec {}
