//! Options that commands share, and what they mean to the rest.

use super::{check, client::Target, status};
use crate::agent::Options;
use clap::ValueEnum;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};

/// Where state files are by default.
pub(super) const STATE_DIR: &str = "/var/lib/lbagent/state";
/// Where the agent's control socket is by default.
pub(super) const SOCKET: &str = "/run/lbagent/lbagent.sock";

/// Options of `lbagent run`.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Directory of the JSON files, the same on all balancers
    #[arg(long, env = "LBAGENT_STATE_DIR", default_value = STATE_DIR)]
    pub(super) state_dir: PathBuf,
    /// Where the last good objects are kept [default: STATE_DIR.last-good/NODE]
    #[arg(long, env = "LBAGENT_LAST_GOOD_DIR")]
    pub(super) last_good_dir: Option<PathBuf>,
    /// The Peer that this node is [default: the host name]
    #[arg(long, env = "LBAGENT_NODE")]
    pub(super) node: Option<String>,
    /// Keys of the heartbeats: lines `ID HEX`, mode 0600
    #[arg(long, env = "LBAGENT_KEY_FILE", default_value = "/etc/lbagent/auth.key")]
    pub(super) key_file: PathBuf,
    /// Address of the read-only HTTP endpoint
    #[arg(long, env = "LBAGENT_HTTP", default_value = "127.0.0.1:9694")]
    pub(super) http: SocketAddr,
    /// Path of the control socket
    #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
    pub(super) socket: PathBuf,
    /// Data-plane threads [default: one per core]
    #[arg(long, env = "LBAGENT_WORKERS")]
    pub(super) workers: Option<NonZeroUsize>,
}

/// Where `status`, `why` and `check` ask.
#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// Ask over this unix socket
    #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
    pub(super) socket: PathBuf,
    /// Ask over HTTP instead
    #[arg(long)]
    pub(super) http: Option<SocketAddr>,
}

/// How `status` and `why` print.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct OutputArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = status::Output::Text)]
    pub(super) output: status::Output,
    /// The same as `-o json`
    #[arg(long, conflicts_with = "output")]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Scope {
    All,
    Vip,
    Pool,
    Peer,
}

/// Which agent `standby`, `unstandby` and `release` are about.
#[derive(Debug, clap::Args)]
pub(super) struct SocketArgs {
    /// The control socket of the agent
    #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
    pub(super) socket: PathBuf,
}

impl From<RunArgs> for Options {
    fn from(args: RunArgs) -> Self {
        let RunArgs { state_dir, last_good_dir, node, key_file, http, socket, workers } = args;
        Self { state_dir, last_good_dir, node, key_file, http, socket, workers }
    }
}

impl From<TargetArgs> for Target {
    fn from(args: TargetArgs) -> Self {
        args.http.map_or(Self::Socket(args.socket), Self::Http)
    }
}

impl From<OutputArgs> for status::Output {
    fn from(args: OutputArgs) -> Self {
        if args.json { Self::Json } else { args.output }
    }
}

impl Scope {
    /// The one called `name`, or all of the kind.
    pub(super) fn of(self, name: Option<String>) -> check::Scope {
        match self {
            Self::All => check::Scope::All,
            Self::Vip => check::Scope::Vip(name),
            Self::Pool => check::Scope::Pool(name),
            Self::Peer => check::Scope::Peer(name),
        }
    }
}
