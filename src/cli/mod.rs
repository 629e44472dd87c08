//! The command line: what can be said, and which function answers it.

pub mod apply;
mod args;
pub mod check;
mod client;
mod help;
mod log;
pub mod release;
pub mod route;
pub mod schema;
pub mod standby;
pub mod status;
pub mod validate;
pub mod why;

use crate::{
    agent,
    desired::{LastGood, load, render, resolve},
    drill,
    model::Desired,
    status::nagios::Report,
};
use args::{OutputArgs, RunArgs, STATE_DIR, Scope, SocketArgs, TargetArgs};
use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

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
    /// Say who would answer a request and why: listener, route, pool and backend
    #[command(after_help = help::ROUTE)]
    Route {
        #[command(flatten)]
        args: route::RouteArgs,
        #[command(flatten)]
        agent: SocketArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
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
        #[command(flatten)]
        agent: SocketArgs,
        /// Even if no other node could serve
        #[arg(long)]
        force: bool,
        /// For whoever asks why, in status, check and log
        reason: Vec<String>,
    },
    /// Put this node back into service
    #[command(after_help = help::UNSTANDBY)]
    Unstandby {
        #[command(flatten)]
        agent: SocketArgs,
    },
    /// Remove what an agent that was killed has left on this machine: its VIPs, then its fence
    #[command(after_help = help::RELEASE)]
    Release {
        #[command(flatten)]
        agent: SocketArgs,
    },
    /// Rehearse a state directory: real agents, simulated servers and clients, a crash and a return
    #[command(after_help = help::DRILL)]
    Drill(drill::DrillArgs),
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
        Command::Route { args, agent, json } => route::route(&route::Options { args, socket: agent.socket, json }),
        Command::Standby { agent, force, reason } => standby::standby(&agent.socket, force, reason.join(" ")),
        Command::Unstandby { agent } => standby::unstandby(&agent.socket),
        Command::Release { agent } => release::release(&agent.socket),
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

#[cfg(test)]
mod tests {
    use super::{args::SOCKET, *};

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
