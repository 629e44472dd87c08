//! The log, which must never stall the agent: whoever reads stderr may be slow, stopped or gone, and a full pipe would
//! block any thread that writes to it, the one that sends heartbeats too.
//!
//! A line is put into a bounded queue, which takes no longer than to copy it; one thread of its own writes the queue
//! out. What finds the queue full is dropped and counted, and when there is room again the log itself says how much is
//! missing.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// Lines that may wait: some seconds of a very talkative agent.
const MOST_LINES: usize = 1024;
/// Bytes of a line that are kept: together with [`MOST_LINES`] it bounds the memory of a log that nobody reads.
const LONGEST_LINE: usize = 8192;

/// Of this process, for [`dropped`]. A process has one stderr.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines that this process has dropped from its log since it started.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The way to a log. Clones share it.
#[derive(Clone)]
pub struct Log {
    queue: SyncSender<Vec<u8>>,
    progress: Arc<Progress>,
}

/// How far the thread has come.
#[derive(Default)]
struct Progress {
    accepted: AtomicU64,
    dropped: AtomicU64,
    written: Mutex<u64>,
    moved: Condvar,
}

impl Log {
    /// A log that `out` gets, through a thread of its own.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = sync_channel(MOST_LINES);
        let progress = Arc::<Progress>::default();
        let log = Self { queue, progress: progress.clone() };
        thread::Builder::new().name("log".to_owned()).spawn(move || write_out(&lines, out, &progress))?;
        Ok(log)
    }

    /// Puts `line` into the queue, or drops it. Never waits.
    pub fn line(&self, line: &[u8]) {
        let mut line = line[..line.len().min(LONGEST_LINE)].to_vec();
        if line.last().is_some_and(|last| *last != b'\n') {
            line.push(b'\n');
        }
        self.progress.accepted.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(line).is_err() {
            self.progress.accepted.fetch_sub(1, Ordering::AcqRel);
            self.progress.dropped.fetch_add(1, Ordering::AcqRel);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that is in the queue now has been written, but no longer than `limit`. Whether it has.
    pub fn flush(&self, limit: Duration) -> bool {
        let wanted = self.progress.accepted.load(Ordering::Acquire);
        let written = self.progress.written.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.progress.moved.wait_timeout_while(written, limit, |written| *written < wanted);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// For `tracing_subscriber::fmt`, which writes each event in one piece.
    pub fn writer(&self) -> LineWriter {
        LineWriter(self.clone())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// Takes each write for a line of the [`Log`].
#[derive(Debug)]
pub struct LineWriter(Log);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Until the last [`Log`] is gone. Errors of `out` are nobody's business: there is nowhere left to tell them.
fn write_out(lines: &Receiver<Vec<u8>>, mut out: impl Write, progress: &Progress) {
    let mut told = 0;
    for line in lines {
        let dropped = progress.dropped.load(Ordering::Acquire);
        if dropped > told {
            let _ = writeln!(out, "{} lines of the log were lost here: its reader was too slow", dropped - told);
            told = dropped;
        }
        let _ = out.write_all(&line).and_then(|()| out.flush());
        *progress.written.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        progress.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader},
        os::unix::net::UnixStream,
    };

    /// Well beyond what a socket's buffers and the queue hold together.
    const FLOOD: u64 = 20_000;
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (read, write) = UnixStream::pair().unwrap();
        let log = Log::start(write).unwrap();
        log.writer().write_all(b"one\n").unwrap();
        log.line(b"two");
        log.line(&[b'x'; LONGEST_LINE + 1]);
        assert!(log.flush(PATIENCE));
        drop(log);
        let lines: Vec<_> = BufReader::new(read).lines().map(Result::unwrap).collect();
        assert_eq!((lines.len(), lines[0].as_str(), lines[1].as_str()), (3, "one", "two"));
        assert_eq!(lines[2].len(), LONGEST_LINE);
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
        let (read, write) = UnixStream::pair().unwrap();
        let log = Log::start(write).unwrap();
        let line = [b'x'; 1000];
        // This would never end if it waited for the reader.
        (0..FLOOD).for_each(|_| log.line(&line));
        let dropped = log.progress.dropped.load(Ordering::Relaxed);
        assert!(dropped > 0 && dropped < FLOOD, "{dropped}");
        assert!(super::dropped() >= dropped);
        assert!(!log.flush(Duration::from_millis(10)), "nor does the end of the agent wait for ever");

        let reader = thread::spawn(move || BufReader::new(read).lines().map(Result::unwrap).collect::<Vec<_>>());
        assert!(log.flush(PATIENCE), "what was queued is written as soon as somebody reads");
        log.line(b"the last");
        assert!(log.flush(PATIENCE));
        drop(log);
        let lines = reader.join().unwrap();
        let lost = |line: &String| line.split_once(" lines of the log were lost here").map(|(n, _)| n.parse().unwrap());
        let lost: Vec<u64> = lines.iter().filter_map(lost).collect();
        assert_eq!(lost.iter().sum::<u64>(), dropped);
        assert_eq!((lines.len() - lost.len()) as u64, FLOOD - dropped + 1);
        assert_eq!(lines.last().unwrap(), "the last");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_trouble() {
        let (read, write) = UnixStream::pair().unwrap();
        drop(read);
        let log = Log::start(write).unwrap();
        log.line(b"to nobody");
        assert!(log.flush(PATIENCE));
    }
}
