//! The access log: one line for each HTTP request or TCP connection that has come to its end.
//!
//! An exchange whose listener has a log carries an [`Entry`], which gathers what happens to it; in its end that is a
//! [`Line`], written in HAProxy's words ([`haproxy`]) or as JSON ([`json`]). The worker hands the finished text to a
//! [`Sink`] and goes on: a queue of bounded length leads to a thread of the sink's own, which writes what has gathered
//! in one piece ([`target`]). Who finds the queue full drops the line, and that is counted: a slow disk or a syslog that
//! hangs costs lines and never time.
//!
//! All listeners that name the same target share its sink. Without a log nothing of this exists, and no time is taken.

mod date;
mod entry;
mod haproxy;
mod json;
mod line;
mod sink;
mod target;
#[cfg(test)]
mod tests;

pub(super) use entry::{End, Entry, note};
pub(super) use sink::Sink;

use super::{
    traffic::{Counter, ListenerShard, Sharded},
    worker::WorkerShared,
};
use crate::model::{LogFormat, LogTarget};
use line::Line;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// The sinks that are open.
#[derive(Default)]
pub(super) struct Sinks {
    open: BTreeMap<LogTarget, Arc<Sink>>,
    /// Lines that never reached their target, of all sinks that are or were.
    dropped: Arc<Counter>,
}

impl Sinks {
    /// The one of `target`. `None` if there is no thread to be had; it is tried again at the next call.
    pub(super) fn open(&mut self, target: &LogTarget) -> Option<Arc<Sink>> {
        if let Some(sink) = self.open.get(target) {
            return Some(sink.clone());
        }
        match Sink::start(target, self.dropped.clone()) {
            Ok(sink) => Some(self.open.entry(target.clone()).or_insert(Arc::new(sink)).clone()),
            Err(error) => {
                tracing::error!(%error, "cannot start a thread for the access log");
                None
            }
        }
    }

    /// Lets go of those that nobody else holds.
    pub(super) fn close_unused(&mut self) {
        self.open.retain(|_, sink| Arc::strong_count(sink) > 1);
    }

    /// Waits until what is in the queues has been written, but for each no longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        self.open.values().for_each(|sink| sink.flush(limit));
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

/// The log of one listening address.
pub(super) struct AccessLog {
    pub(super) format: LogFormat,
    pub(super) sink: Arc<Sink>,
    /// As HAProxy names a frontend: the Vip and the port.
    pub(super) listener: String,
    pub(super) address: SocketAddr,
    pub(super) counters: Arc<Sharded<ListenerShard>>,
    pub(super) workers: Box<[Arc<WorkerShared>]>,
}

impl AccessLog {
    fn write(&self, line: &Line<'_>) {
        let mut text = Vec::with_capacity(256);
        match self.format {
            LogFormat::Haproxy => haproxy::write(line, &mut text),
            LogFormat::Json => json::write(line, &mut text),
        }
        self.sink.line(text);
    }
}
