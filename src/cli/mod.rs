//! The command line: what can be said, and which function answers it.

pub mod apply;
pub mod check;
mod client;
mod help;
mod log;
pub mod release;
pub mod schema;
pub mod standby;
pub mod status;
pub mod validate;
pub mod why;

use crate::{
    agent::{self, Options},
    desired::{LastGood, load, render, resolve},
    drill,
    model::Desired,
    status::nagios::Report,
};
use clap::{Parser, Subcommand, ValueEnum};
use client::Target;
use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

const STATE_DIR: &str = "/var/lib/lbagent/state";
const SOCKET: &str = "/run/lbagent/lbagent.sock";

/// Virtual IPs, failover and load balancing for a pair of Linux boxes, out of one directory of JSON files.
#[derive(Debug, Parser)]
#[command(name = "lbagent", version, propagate_version = true, arg_required_else_help = true, after_help = help::ALL)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent of this node in the foreground
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Check a state directory, shape and meaning; exit 0 if it is valid, 1 if not
    #[command(after_help = help::VALIDATE)]
    Validate {
        /// The directory to check
        #[arg(env = "LBAGENT_STATE_DIR", default_value = STATE_DIR)]
        dir: PathBuf,
    },
    /// Check the state as it would be with these files, then move them in together
    #[command(after_help = help::APPLY)]
    Apply {
        /// Files of state; each replaces the object that it names
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The directory to change
        #[arg(long, env = "LBAGENT_STATE_DIR", default_value = STATE_DIR)]
        state_dir: PathBuf,
    },
    /// Print the JSON Schema of a kind of object
    #[command(after_help = help::SCHEMA)]
    Schema {
        /// Vip, Pool or Peer
        kind: String,
    },
    /// Show what the agent of this node does
    #[command(after_help = help::STATUS)]
    Status {
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Explain who owns a Vip and why, rule by rule and node by node
    #[command(after_help = help::WHY)]
    Why {
        /// Which one
        vip: String,
        #[command(flatten)]
        target: TargetArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print a Nagios check result; exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
    #[command(after_help = help::CHECK)]
    Check {
        #[command(flatten)]
        target: TargetArgs,
        /// What to check
        #[arg(value_enum, default_value_t = Scope::All)]
        scope: Scope,
        /// Which vip, pool or peer; all of that kind without it
        name: Option<String>,
        /// WARNING if fewer backends of a pool than this are up [default: all of them]
        #[arg(short, long)]
        warning: Option<usize>,
        /// CRITICAL if fewer backends of a pool than this are up [default: 1]
        #[arg(short, long)]
        critical: Option<usize>,
    },
    /// Take this node out of service: its VIPs go to the other balancers and stay there
    #[command(after_help = help::STANDBY)]
    Standby {
        /// The control socket of the agent
        #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
        socket: PathBuf,
        /// Even if no other node could serve
        #[arg(long)]
        force: bool,
        /// For whoever asks why, in status, check and log
        reason: Vec<String>,
    },
    /// Put this node back into service
    #[command(after_help = help::UNSTANDBY)]
    Unstandby {
        /// The control socket of the agent
        #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
        socket: PathBuf,
    },
    /// Remove what an agent that was killed has left on this machine: its VIPs, then its fence
    #[command(after_help = help::RELEASE)]
    Release {
        /// The control socket of that agent, beside which it kept its records
        #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
        socket: PathBuf,
    },
    /// Rehearse a state directory: real agents, simulated servers and clients, a crash and a return
    #[command(after_help = help::DRILL)]
    Drill(drill::DrillArgs),
}

/// Options of `lbagent run`.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Directory of the JSON files, the same on all balancers
    #[arg(long, env = "LBAGENT_STATE_DIR", default_value = STATE_DIR)]
    state_dir: PathBuf,
    /// Where the last good objects are kept [default: STATE_DIR.last-good/NODE]
    #[arg(long, env = "LBAGENT_LAST_GOOD_DIR")]
    last_good_dir: Option<PathBuf>,
    /// The Peer that this node is [default: the host name]
    #[arg(long, env = "LBAGENT_NODE")]
    node: Option<String>,
    /// Keys of the heartbeats: lines `ID HEX`, mode 0600
    #[arg(long, env = "LBAGENT_KEY_FILE", default_value = "/etc/lbagent/auth.key")]
    key_file: PathBuf,
    /// Address of the read-only HTTP endpoint
    #[arg(long, env = "LBAGENT_HTTP", default_value = "127.0.0.1:9694")]
    http: SocketAddr,
    /// Path of the control socket
    #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
    socket: PathBuf,
    /// Data-plane threads [default: one per core]
    #[arg(long, env = "LBAGENT_WORKERS")]
    workers: Option<NonZeroUsize>,
}

/// Where `status` and `check` ask.
#[derive(Debug, clap::Args)]
struct TargetArgs {
    /// Ask over this unix socket
    #[arg(long, env = "LBAGENT_SOCKET", default_value = SOCKET)]
    socket: PathBuf,
    /// Ask over HTTP instead
    #[arg(long)]
    http: Option<SocketAddr>,
}

/// How `status` and `why` print.
#[derive(Debug, Clone, Copy, clap::Args)]
struct OutputArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = status::Output::Text)]
    output: status::Output,
    /// The same as `-o json`
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    All,
    Vip,
    Pool,
    Peer,
}

/// Parses the command line, does what it says and returns the process's exit code: 0 for success, 1 for a failure that
/// was explained on stderr, 2 for a command line that makes no sense (3 for `check`, see below).
pub fn main() -> ExitCode {
    // Monitoring plugins answer 0–3, and 3 means "cannot tell": neither clap's 2 nor a panic's 101 may reach Nagios.
    let checks = std::env::args_os().nth(1).is_some_and(|command| command == "check");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing to be done if the terminal is gone.
            let _ = error.print();
            return match checks && error.use_stderr() {
                true => unknown(error.to_string().lines().next().unwrap_or_default()),
                false => ExitCode::from(error.exit_code() as u8),
            };
        }
    };
    if !checks {
        return dispatch(cli.command);
    }
    std::panic::catch_unwind(|| dispatch(cli.command)).unwrap_or_else(|_| unknown("the check itself has failed: a bug"))
}

/// Nagios shows what it finds on stdout.
fn unknown(why: &str) -> ExitCode {
    println!("{}", Report::unknown(why));
    ExitCode::from(3)
}

/// All that can be said, for tests that hold other files to it.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

fn dispatch(command: Command) -> ExitCode {
    ExitCode::from(match command {
        Command::Run(args) => run(args),
        Command::Validate { dir } => validate::validate(&dir),
        Command::Apply { files, state_dir } => apply::apply(&files, &state_dir),
        Command::Schema { kind } => schema::schema(&kind),
        Command::Status { target, output } => status::status(&target.into(), output.into()),
        Command::Why { vip, target, output } => why::explain(&target.into(), &vip, output.into()),
        Command::Standby { socket, force, reason } => standby::standby(&socket, force, reason.join(" ")),
        Command::Unstandby { socket } => standby::unstandby(&socket),
        Command::Release { socket } => release::release(&socket),
        Command::Check { target, scope, name, warning, critical } => {
            check::check(&target.into(), &scope.of(name), check::Thresholds { warning, critical })
        }
        Command::Drill(args) => return drill::main(&args, load_valid),
    })
}

/// The state in `dir`, or all that is wrong with it, rendered.
fn load_valid(dir: &Path) -> Result<Desired, String> {
    let resolved = resolve(&LastGood::default(), &load(dir));
    let errors: Vec<_> = resolved.diagnostics.iter().filter(|it| it.is_error()).map(render).collect();
    if errors.is_empty() { Ok(resolved.desired) } else { Err(errors.join("\n")) }
}

fn run(args: RunArgs) -> u8 {
    let log = match log::init() {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: cannot start the thread that writes the log: {error}");
            return 1;
        }
    };
    let code = match agent::run(&args.into()) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error}");
            1
        }
    };
    log.flush(log::LAST_LINES);
    code
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
    fn of(self, name: Option<String>) -> check::Scope {
        match self {
            Self::All => check::Scope::All,
            Self::Vip => check::Scope::Vip(name),
            Self::Pool => check::Scope::Pool(name),
            Self::Peer => check::Scope::Peer(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn run_has_the_defaults_of_the_documentation() {
        let Command::Run(args) = Cli::try_parse_from(["lbagent", "run"]).unwrap().command else { panic!("not run") };
        assert_eq!(args.state_dir, PathBuf::from(STATE_DIR));
        assert_eq!(args.key_file, PathBuf::from("/etc/lbagent/auth.key"));
        assert_eq!((args.http.to_string().as_str(), args.socket), ("127.0.0.1:9694", PathBuf::from(SOCKET)));
        assert_eq!((args.node, args.workers), (None, None));
    }

    #[test]
    fn a_check_is_of_all_of_a_kind_or_of_one() {
        for words in [&["check"][..], &["check", "vip"], &["check", "vip", "web"], &["check", "pool", "-w", "2"]] {
            assert!(Cli::try_parse_from([&["lbagent"], words].concat()).is_ok(), "{words:?}");
        }
        assert!(Cli::try_parse_from(["lbagent", "check", "nonsense"]).is_err());
    }
}
