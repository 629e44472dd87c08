use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// A check that opens a connection, and may speak on it.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct TcpCheckSpec {
    /// What is sent first. Besides JSON's escapes it knows those of bytes: `\\r`, `\\n`, `\\t`, `\\0`, `\\xHH` and `\\\\`.
    /// Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["PING\r\n"]))]
    pub(in crate::desired) send: Option<String>,
    /// What a healthy backend answers, within its first 16 KiB; the same escapes. Default: the connection is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) expect: Option<ExpectBytesSpec>,
}

/// What a healthy backend answers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::desired) enum ExpectBytesSpec {
    /// Contains this, as "+PONG".
    Contains(String),
    /// Begins with this.
    Begins(BeginsSpec),
}

/// What an answer begins with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct BeginsSpec {
    /// The bytes.
    pub(in crate::desired) prefix: String,
}

/// serde's untagged enums forget where and why they did not match.
impl<'de> Deserialize<'de> for ExpectBytesSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ExpectBytesSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text that the answer contains, or {\"prefix\": what it begins with}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectBytesSpec, E> {
                Ok(ExpectBytesSpec::Contains(text.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ExpectBytesSpec, A::Error> {
                BeginsSpec::deserialize(de::value::MapAccessDeserializer::new(map)).map(ExpectBytesSpec::Begins)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A check that greets a mail server.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct SmtpCheckSpec {
    /// How the balancer calls itself in EHLO. Default "localhost".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) hello: Option<String>,
}

/// A check that asks a MySQL or MariaDB server.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct MysqlCheckSpec {
    /// A user without password and rights who may log in from the balancers. Default: the server's greeting is enough;
    /// a server counts that as an aborted connection, and may block the balancers after `max_connect_errors` of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) user: Option<String>,
}
