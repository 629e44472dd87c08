//! The log of `lbagent run`: to stderr, at `info` unless `LBAGENT_LOG` says otherwise, in `tracing`'s words (`debug`,
//! `lbagent::election=trace`), and without ever making the agent wait for whoever reads it.

use crate::status::log::Log;
use std::{
    io::{self, IsTerminal},
    time::Duration,
};
use tracing_subscriber::EnvFilter;

/// How long the end of the process waits for the last lines to be written.
pub(super) const LAST_LINES: Duration = Duration::from_secs(1);
/// The same for a thread that panics, and perhaps takes the process with it.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Makes everything that is logged, and the words of panics, go to stderr through a [`Log`].
pub(super) fn init() -> io::Result<Log> {
    let log = Log::start(io::stderr())?;
    let lines = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("LBAGENT_LOG").unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(move || lines.writer())
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    // The default hook writes to stderr itself, and waits for its reader.
    let lines = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("a bug: {panic}");
        lines.flush(LAST_WORDS);
    }));
    Ok(log)
}
