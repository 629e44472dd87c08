//! `lbagent route METHOD URL`: who would answer a request, and why.
//!
//! The request is made as a client would send it ([`ask`]) and read as the proxy would read it. What is in force is told
//! by the running agent, or read from a state directory ([`world`]). Then the routes are gone through one by one, in the
//! order in which they are tried ([`answer`]), and the pool is asked as the proxy would ask it ([`choice`]).

mod answer;
mod ask;
mod choice;
mod text;
#[cfg(test)]
mod tests;
mod world;

pub use ask::RouteArgs;

use super::{args::STATE_DIR, client::Target};
use answer::{Answer, Unanswered};
use ask::Asking;
use std::{
    io::{self, Write},
    path::PathBuf,
};
use world::World;

/// What the command line says.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) args: RouteArgs,
    /// The agent's socket.
    pub(super) socket: PathBuf,
    pub(super) json: bool,
}

/// Says who would answer. The exit code: 0 if somebody would, 1 if nobody, 2 if the question makes no sense.
pub(super) fn route(options: &Options) -> u8 {
    print(options, &mut io::stdout(), &mut io::stderr())
}

fn print(options: &Options, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let asking = match Asking::new(&options.args) {
        Ok(asking) => asking,
        Err(error) => return failed(err, 2, &error),
    };
    let world = match World::find(&Target::Socket(options.socket.clone()), options.args.state_dir.as_deref()) {
        Ok(world) => world,
        Err(error) => return failed(err, 1, &error),
    };
    let answer = match Answer::find(&asking, &world) {
        Ok(answer) => answer,
        Err(Unanswered::Ambiguous(error)) => return failed(err, 2, &error),
        Err(Unanswered::Nobody(error)) => return failed(err, 1, &error),
    };
    let text = match options.json {
        true => serde_json::to_string_pretty(&answer).map(|json| json + "\n").unwrap_or_default(),
        false => answer.to_string(),
    };
    // Whoever reads may have seen enough (`| head`): that is no failure.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    u8::from(!answer.is_answered())
}

fn failed(err: &mut dyn Write, code: u8, error: &str) -> u8 {
    let _ = writeln!(err, "error: {error}");
    code
}

/// Where state is if the agent does not answer.
fn default_state_dir() -> PathBuf {
    std::env::var_os("LBAGENT_STATE_DIR").map_or_else(|| STATE_DIR.into(), PathBuf::from)
}
