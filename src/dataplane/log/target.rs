//! Where lines end: standard output, a file, or a local syslog.
//!
//! A file that was renamed or removed, as by logrotate, is made anew within a second; no signal is needed. A target that
//! fails is said once, tried again each second, and said again when it works; lines that come meanwhile are lost, and
//! counted.

use super::date::Date;
use crate::model::LogTarget;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::{
        fs::{MetadataExt, OpenOptionsExt},
        net::UnixDatagram,
    },
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// Between two looks at a file's name, and between two attempts at a target that fails.
const INTERVAL: Duration = Duration::from_secs(1);
/// RFC 3164: facility local0, severity info.
const PRIORITY: u8 = 16 * 8 + 6;
/// Of a line, in bytes; longer ones are cut. Most syslogs cut at 8 KiB or below.
const LONGEST: usize = 8 * 1024;

/// A target, and what is known of it.
pub(super) struct Target {
    to: LogTarget,
    out: Option<Out>,
    /// When it was last looked at or tried.
    looked: Option<Instant>,
    /// Since it began to fail; 0: it works.
    lost: u64,
}

enum Out {
    Stdout,
    File(File),
    Syslog(UnixDatagram),
}

impl Target {
    /// Opened when there is something to write.
    pub(super) fn new(to: LogTarget) -> Self {
        Self { to, out: None, looked: None, lost: 0 }
    }

    /// Writes the lines, and says how many of them are lost.
    #[expect(clippy::disallowed_methods, reason = "the shell that says when a file's name is looked at")]
    pub(super) fn write(&mut self, lines: &[Vec<u8>]) -> u64 {
        if lines.is_empty() {
            return 0;
        }
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now.duration_since(looked) >= INTERVAL) {
            self.looked = Some(now);
            self.look();
        }
        let before = self.lost;
        let (written, error) = self.try_write(lines);
        let lost = (lines.len() - written) as u64;
        self.account(lost, error);
        self.lost.saturating_sub(before)
    }

    /// Opens what is not open, or is not any more what its name stands for.
    fn look(&mut self) {
        let stale = match (&self.out, &self.to) {
            (Some(Out::File(file)), LogTarget::File(path)) => !is_same(file, path),
            (Some(_), _) => false,
            (None, _) => true,
        };
        if stale {
            match self.open() {
                Ok(out) => self.out = Some(out),
                // A file that is gone and cannot be made again still takes lines.
                Err(error) if self.out.is_none() => self.fails(&error),
                Err(_) => {}
            }
        }
    }

    fn open(&self) -> io::Result<Out> {
        match &self.to {
            LogTarget::Stdout => Ok(Out::Stdout),
            LogTarget::File(path) => OpenOptions::new().append(true).create(true).mode(0o640).open(path).map(Out::File),
            LogTarget::Syslog(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Out::Syslog(socket))
            }
        }
    }

    /// How many lines it took, and why no more.
    fn try_write(&mut self, lines: &[Vec<u8>]) -> (usize, Option<io::Error>) {
        let result = match &mut self.out {
            None => return (0, None),
            Some(Out::Stdout) => write_lines(&mut io::stdout().lock(), lines),
            Some(Out::File(file)) => write_lines(file, lines),
            Some(Out::Syslog(_)) => return self.send(lines),
        };
        match result {
            Ok(()) => (lines.len(), None),
            Err(error) => {
                self.out = None;
                (0, Some(error))
            }
        }
    }

    /// A syslog that was started anew is found again at once.
    fn send(&mut self, lines: &[Vec<u8>]) -> (usize, Option<io::Error>) {
        for (sent, line) in lines.iter().enumerate() {
            let datagram = datagram(line);
            let mut result = self.send_one(&datagram);
            if result.is_err() {
                self.out = self.open().ok();
                result = self.send_one(&datagram);
            }
            if let Err(error) = result {
                self.out = None;
                return (sent, Some(error));
            }
        }
        (lines.len(), None)
    }

    fn send_one(&self, datagram: &[u8]) -> io::Result<()> {
        match &self.out {
            Some(Out::Syslog(socket)) => socket.send(datagram).map(drop),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn account(&mut self, lost: u64, error: Option<io::Error>) {
        if let Some(error) = error {
            self.fails(&error);
        }
        if lost > 0 {
            self.lost += lost;
        } else if self.lost > 0 {
            tracing::info!(to = %self.name(), lost = self.lost, "the access log is written again");
            self.lost = 0;
        }
    }

    fn fails(&self, error: &io::Error) {
        if self.lost == 0 {
            tracing::warn!(to = %self.name(), %error, "the access log cannot be written; trying again each second");
        }
    }

    fn name(&self) -> String {
        match &self.to {
            LogTarget::Stdout => "stdout".to_owned(),
            LogTarget::File(path) | LogTarget::Syslog(path) => path.display().to_string(),
        }
    }
}

fn write_lines(out: &mut impl Write, lines: &[Vec<u8>]) -> io::Result<()> {
    let mut text = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        text.extend_from_slice(&line[..line.len().min(LONGEST)]);
        text.push(b'\n');
    }
    out.write_all(&text)?;
    out.flush()
}

/// As `/dev/log` wants it: no host name, no end of line.
#[expect(clippy::disallowed_methods, reason = "a syslog wants to know when it was told")]
fn datagram(line: &[u8]) -> Vec<u8> {
    let date = Date::of(SystemTime::now()).rfc3164();
    let mut datagram = format!("<{PRIORITY}>{date} lbagent[{}]: ", std::process::id()).into_bytes();
    datagram.extend_from_slice(&line[..line.len().min(LONGEST)]);
    datagram
}

fn is_same(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), path.metadata()) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}
