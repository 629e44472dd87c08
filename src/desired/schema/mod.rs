//! The shape of a state file: what serde reads and writes, and what the JSON Schemas are made from. Texts with a
//! meaning of their own (addresses, durations, names) are still texts here; `convert` parses them.
//!
//! An optional field that is left out has its default; the defaults are those of the [`crate::model`] types. A field
//! that a later version adds must be optional, and must not be written while it has its default: then old and new
//! versions agree on the digests of the files that both understand.

mod affinity;
mod around;
mod checks;
mod connecting;
mod document;
mod http;
mod peer;
mod pool;
mod serving;
mod vip;

pub(super) use affinity::{
    AppCookieSpec, BalanceBy, BalanceSpec, BalanceWord, CookieSpec, SameSiteSpec, StickySourceSpec, StickySpec, UriSpec,
};
pub(super) use around::{
    AccessLogSpec, LogFileSpec, LogFormatSpec, LogSyslogSpec, LogTargetSpec, RequestRateSpec, SourceLimitsSpec,
    StdoutSpec,
};
pub(super) use checks::{BeginsSpec, ExpectBytesSpec, MysqlCheckSpec, SmtpCheckSpec, TcpCheckSpec};
pub(super) use connecting::{ProxyVersionSpec, SourceAddressSpec, TcpKeepaliveSpec};
pub use document::{document, file_name};
pub(super) use http::{
    ErrorPageSpec, FieldEditsSpec, FieldMatchSpec, ForwardedSpec, ForwardedStyleSpec, ProxyProtocolSpec,
};
pub(super) use peer::{HeartbeatSpec, PeerSpec};
pub(super) use pool::{BackendSpec, CheckSpec, ExpectSpec, HttpCheckSpec, PoolSpec, PoolTimeoutsSpec};
pub(super) use serving::{EjectionSpec, IdleSpec, QueueSpec, ResolveSpec, StateSpec};
pub(super) use vip::{
    ExactPathSpec, FailbackModeSpec, FailbackSpec, ListenerSpec, ListenerTimeoutsSpec, PathSpec, ProtocolSpec,
    RedirectSpec, RouteSpec, SchemeSpec, TrackSpec, VipSpec,
};

use crate::model::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every file holds: which version of the format, which kind of object, its name and its content.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Envelope<K, S> {
    /// Where an editor finds the JSON Schema of this kind. It is not read otherwise.
    #[serde(rename = "$schema", default, skip_serializing)]
    pub(super) _schema: Option<String>,
    /// The version of the format.
    pub(super) api_version: ApiVersion,
    /// The kind of object.
    pub(super) kind: K,
    /// How others refer to the object.
    pub(super) metadata: Metadata,
    /// What is wanted.
    pub(super) spec: S,
}

/// The versions of the format.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum ApiVersion {
    /// The only one so far.
    #[serde(rename = "lbagent/v1")]
    V1,
}

/// How others refer to the object.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Metadata {
    /// 1–63 letters, digits, `.`, `_` and `-`; unique among the objects of its kind. A Peer is called what its host is
    /// called (or what `--node` says there).
    #[schemars(regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"))]
    pub(super) name: String,
}

/// The word `Vip`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum VipKind {
    /// A virtual IP.
    Vip,
}

/// The word `Pool`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum PoolKind {
    /// A set of backends.
    Pool,
}

/// The word `Peer`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum PeerKind {
    /// A node.
    Peer,
}

/// The part of an envelope that says which shape the rest should have.
#[derive(Debug, Deserialize)]
pub(super) struct AnyKind {
    /// The word.
    pub(super) kind: KindWord,
}

/// Any of the words.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum KindWord {
    /// [`VipDocument`]
    Vip,
    /// [`PoolDocument`]
    Pool,
    /// [`PeerDocument`]
    Peer,
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Vip => Self::Vip,
            KindWord::Pool => Self::Pool,
            KindWord::Peer => Self::Peer,
        }
    }
}

/// What a `.json` file with a Vip in it holds.
pub(super) type VipDocument = Envelope<VipKind, VipSpec>;
/// What a `.json` file with a Pool in it holds.
pub(super) type PoolDocument = Envelope<PoolKind, PoolSpec>;
/// What a `.json` file with a Peer in it holds.
pub(super) type PeerDocument = Envelope<PeerKind, PeerSpec>;
