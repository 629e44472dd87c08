//! The way of a line from a worker to its target: a queue of bounded length, and a thread that empties it.

use super::target::Target;
use crate::{dataplane::traffic::Counter, model::LogTarget};
use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// Lines that may wait: a tenth of a second of a very busy balancer, and some MiB at worst.
const MOST_LINES: usize = 8192;
/// Bytes that are written in one piece, about.
const BATCH: usize = 64 * 1024;
/// After a batch: so that under load a line finds the thread awake, and one system call writes many lines.
const GATHER: Duration = Duration::from_millis(5);

/// The near end of the queue.
pub(in crate::dataplane) struct Sink {
    queue: SyncSender<Message>,
    dropped: Arc<Counter>,
}

enum Message {
    /// Without an end.
    Line(Vec<u8>),
    /// To be answered once all that came before it has been written.
    Flush(SyncSender<()>),
}

impl Sink {
    /// Starts the thread. It ends when the last line is written after the sink was dropped.
    pub(super) fn start(target: &LogTarget, dropped: Arc<Counter>) -> io::Result<Self> {
        let (queue, messages) = sync_channel(MOST_LINES);
        let (target, count) = (Target::new(target.clone()), dropped.clone());
        thread::Builder::new().name("access-log".to_owned()).spawn(move || write_out(&messages, target, &count))?;
        Ok(Self { queue, dropped })
    }

    /// Puts `line` into the queue, or drops it. Never waits.
    pub(super) fn line(&self, line: Vec<u8>) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.dropped.add(1);
        }
    }

    /// Waits until all that is in the queue now has been written, but no longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(limit);
        }
    }
}

fn write_out(messages: &Receiver<Message>, mut target: Target, dropped: &Counter) {
    while let Ok(first) = messages.recv() {
        let mut batch = Vec::new();
        let mut waiting = Vec::new();
        let mut bytes = 0;
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Line(line) => {
                    bytes += line.len();
                    batch.push(line);
                }
                Message::Flush(done) => waiting.push(done),
            }
            if bytes >= BATCH || !waiting.is_empty() {
                break;
            }
        }
        dropped.add(target.write(&batch));
        let asked = !waiting.is_empty();
        for done in waiting {
            let _ = done.try_send(());
        }
        if bytes < BATCH && !asked {
            thread::sleep(GATHER);
        }
    }
}
