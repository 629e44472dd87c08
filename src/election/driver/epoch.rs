//! The highest epoch of any claim, across restarts: an agent that forgot it could come back with a lower one than a
//! paused owner has, and lose to it.
//!
//! The disk may be slow or hang, and nothing waits for it: a thread of its own reads and writes. What is not on disk
//! yet when the machine loses power is made up for by the wall clock, from which new epochs are taken as well.

use crate::model::Problem;
use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, Thread},
    time::Duration,
};

/// How long the start waits for the file to be read.
const READ_LIMIT: Duration = Duration::from_secs(1);
/// The pause after a write that failed; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Longer than any number.
const LONGEST: u64 = 64;

pub(super) struct EpochFile {
    shared: Arc<Shared>,
    thread: Thread,
    /// The highest one that the thread was told, or has read.
    told: u64,
}

struct Shared {
    path: PathBuf,
    wanted: AtomicU64,
    closed: AtomicBool,
    problem: Mutex<Option<Problem>>,
}

impl EpochFile {
    /// Opens the file at `path`, which need not be there. What cannot be read counts as 0, with a problem.
    pub(super) fn open(path: PathBuf) -> io::Result<(Self, u64)> {
        let shared =
            Shared { path, wanted: AtomicU64::new(0), closed: AtomicBool::new(false), problem: Mutex::default() };
        let shared = Arc::new(shared);
        let (read, is_read) = mpsc::sync_channel(1);
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("epoch".to_owned()).spawn(move || keep(&theirs, &read))?;
        let outcome = is_read.recv_timeout(READ_LIMIT).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let epoch = outcome.unwrap_or_else(|error| {
            let message = format!(
                "cannot read the highest epoch from {}: {error}; going by the clock alone, which is enough unless it was \
                 set back",
                shared.path.display()
            );
            shared.tell(Some(Problem::warning("EpochForgotten", message)));
            0
        });
        Ok((Self { shared, thread: thread.thread().clone(), told: epoch }, epoch))
    }

    /// Has `epoch` written if it is higher than any before. Never waits.
    pub(super) fn keep(&mut self, epoch: u64) {
        if epoch > self.told {
            self.told = epoch;
            self.shared.wanted.fetch_max(epoch, Relaxed);
            self.thread.unpark();
        }
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for EpochFile {
    /// The thread writes what it has not written yet, and ends.
    fn drop(&mut self) {
        self.shared.closed.store(true, Relaxed);
        self.thread.unpark();
    }
}

impl Shared {
    fn tell(&self, problem: Option<Problem>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// The thread's body.
fn keep(shared: &Shared, read: &mpsc::SyncSender<io::Result<u64>>) {
    let mut kept = 0;
    let content = load(&shared.path);
    if let Ok(epoch) = content {
        kept = epoch;
    }
    // Nobody waits any more if it took too long.
    let _ = read.send(content);
    let mut pause = FIRST_RETRY;
    loop {
        let closed = shared.closed.load(Relaxed);
        let wanted = shared.wanted.load(Relaxed);
        if wanted <= kept {
            if closed {
                return;
            }
            thread::park();
            continue;
        }
        match store(&shared.path, wanted) {
            Ok(()) => {
                (kept, pause) = (wanted, FIRST_RETRY);
                shared.tell(None);
            }
            Err(_) if closed => return,
            Err(error) => {
                let message =
                    format!("cannot keep the highest epoch in {}: {error}; trying again", shared.path.display());
                shared.tell(Some(Problem::warning("EpochNotKept", message)));
                thread::park_timeout(pause);
                pause = (pause * 2).min(LAST_RETRY);
            }
        }
    }
}

/// 0 if there is no file.
fn load(path: &Path) -> io::Result<u64> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let text = io::read_to_string(io::Read::take(file, LONGEST))?;
    let garbled = |_| io::Error::new(io::ErrorKind::InvalidData, "it does not hold one whole number");
    text.trim_end().parse().map_err(garbled)
}

/// At no moment is there a file with half a number in it.
fn store(path: &Path, epoch: u64) -> io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
    writeln!(file, "{epoch}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(path: &Path, epoch: u64) {
        for _ in 0..4000 {
            if load(path).is_ok_and(|found| found == epoch) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{:?} instead of {epoch}", fs::read_to_string(path));
    }

    #[test]
    fn the_highest_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not/there/yet/epoch");
        let (mut file, epoch) = EpochFile::open(path.clone()).unwrap();
        assert_eq!((epoch, file.problem()), (0, None), "a first start is no problem");
        for epoch in [7, 1_790_000_000_000, 5] {
            file.keep(epoch);
        }
        drop(file);
        reads(&path, 1_790_000_000_000);
        let (mut file, epoch) = EpochFile::open(path.clone()).unwrap();
        assert_eq!(epoch, 1_790_000_000_000);
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        file.keep(epoch);
        file.keep(epoch + 1);
        reads(&path, epoch + 1);
        assert!(fs::metadata(&path).unwrap().modified().unwrap() >= written);
    }

    #[test]
    fn a_garbled_file_counts_as_none_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epoch");
        for garbage in ["", "12x", "-1", "99999999999999999999999", &"1".repeat(100)] {
            fs::write(&path, garbage).unwrap();
            let (mut file, epoch) = EpochFile::open(path.clone()).unwrap();
            assert_eq!(epoch, 0, "{garbage:?}");
            let problem = file.problem().unwrap();
            assert!(problem.to_string().contains("epoch"), "{problem}");
            file.keep(3);
            reads(&path, 3);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("directory/epoch");
        fs::write(dir.path().join("directory"), "in the way").unwrap();
        let (mut file, _) = EpochFile::open(path.clone()).unwrap();
        file.keep(3);
        for _ in 0..4000 {
            if file.problem().is_some_and(|problem| problem.reason == "EpochNotKept") {
                fs::remove_file(dir.path().join("directory")).unwrap();
                file.keep(4);
                reads(&path, 4);
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("nothing was told");
    }
}
