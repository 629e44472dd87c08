use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// The kernel's questions to a peer that is silent: whether it is still there. They find out connections whose other end
/// has vanished without a word, and keep firewalls in between from forgetting them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(in crate::desired) struct TcpKeepaliveSpec {
    /// Silence before the first one: whole seconds, at most "32767s". Default "60s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) idle: Option<String>,
    /// From one to the next: whole seconds, at most "32767s". Default "10s".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::desired) interval: Option<String>,
    /// So many without an answer end the connection. Default 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 127))]
    pub(in crate::desired) count: Option<i64>,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::desired) enum ProxyVersionSpec {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Addresses of balancers, for the connections that they make.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::desired) enum SourceAddressSpec {
    /// One.
    One(#[schemars(extend("examples" = ["192.0.2.1"]))] String),
    /// Several; each balancer takes the first that it has, for each family.
    Several(#[schemars(length(min = 1), extend("examples" = [["192.0.2.1", "192.0.2.2", "2001:db8::1"]]))] Vec<String>),
}

/// serde's untagged enums forget where and why they did not match.
impl<'de> Deserialize<'de> for SourceAddressSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = SourceAddressSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an address, or a list of addresses")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SourceAddressSpec, E> {
                Ok(SourceAddressSpec::One(text.to_owned()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<SourceAddressSpec, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(SourceAddressSpec::Several)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
