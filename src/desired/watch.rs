//! Following the state directory while the agent runs.
//!
//! Events are hints: whatever they say, the whole directory is read again, once it has been quiet for a moment. A
//! slow rescan finds what no event told of, and where there can be no watch at all it scans faster. What is watched is
//! the directory itself, every symlink on the way to it, the directories that symlinked files are in, and, while it is
//! missing, the nearest directory above it that is there. The watches are set anew before each reading, so that it does
//! not matter what has become of the old ones.

use super::keeper::{Keeper, Snapshot};
use arc_swap::ArcSwap;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

/// After the last event, before the directory is read.
const SETTLE: Duration = Duration::from_millis(50);

/// After the first event, whatever follows.
const SETTLE_AT_MOST: Duration = Duration::from_millis(150);

/// Between two looks at the directory, with a watch and without.
const RESCAN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));

/// More directories than these are left to the rescan.
const MOST_WATCHES: usize = 32;

/// Where state is, and who may ask for it to be read again.
#[derive(Debug, Clone)]
pub struct StateOptions {
    /// The state directory.
    pub dir: PathBuf,
    /// Where last good objects are kept: outside of `dir`.
    pub last_good_dir: PathBuf,
    /// Notified when the directory is to be read at once (SIGHUP).
    pub rescan: Arc<Notify>,
}

/// Reads the state, then follows it until nobody receives any more. The first snapshot is there when this returns;
/// the receiver is only woken by snapshots that differ from the one before.
pub async fn start(options: StateOptions) -> (watch::Receiver<Arc<Snapshot>>, JoinHandle<()>) {
    let events = Arc::new(Notify::new());
    let mut eyes = Eyes::new(options.dir.clone(), events.clone());
    let (dir, last_good_dir) = (options.dir.clone(), options.last_good_dir.clone());
    let (eyes, keeper) = blocking((), move |()| {
        eyes.open();
        (eyes, Keeper::open(dir, &last_good_dir))
    })
    .await;
    let (publish, receiver) = watch::channel(keeper.snapshot());
    let follower = Follower { eyes, keeper, events, rescan: options.rescan, publish };
    (receiver, tokio::spawn(follower.run()))
}

/// Runs `f` where it may block. A panic goes on in the caller, as if there were no other thread.
async fn blocking<T: Send + 'static, R: Send + 'static>(value: T, f: impl FnOnce(T) -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(move || f(value)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Why the directory is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Something happened, or somebody asked.
    Event,
    /// Time has passed.
    Rescan,
}

struct Follower {
    eyes: Eyes,
    keeper: Keeper,
    events: Arc<Notify>,
    rescan: Arc<Notify>,
    publish: watch::Sender<Arc<Snapshot>>,
}

impl Follower {
    async fn run(mut self) {
        // The store is written after the first snapshot is out, as after every other.
        self = blocking(self, |mut this| {
            this.keeper.save();
            this
        })
        .await;
        self.send();
        while let Some(reason) = self.wait().await {
            self = blocking(self, move |mut this| {
                this.look(reason);
                this
            })
            .await;
        }
    }

    /// Until there is reason to look; `None` once nobody receives any more.
    async fn wait(&self) -> Option<Reason> {
        let rescan = if self.eyes.open { RESCAN.0 } else { RESCAN.1 };
        tokio::select! {
            () = self.publish.closed() => None,
            () = self.rescan.notified() => Some(Reason::Event),
            () = sleep(rescan) => Some(Reason::Rescan),
            () = self.events.notified() => {
                self.settle().await;
                Some(Reason::Event)
            }
        }
    }

    /// Until the directory is quiet: whoever changes several files means them together.
    async fn settle(&self) {
        let limit = Instant::now() + SETTLE_AT_MOST;
        while timeout_at(limit.min(Instant::now() + SETTLE), self.events.notified()).await.is_ok() {
            if Instant::now() >= limit {
                return;
            }
        }
    }

    fn look(&mut self, reason: Reason) {
        self.eyes.open();
        match reason {
            Reason::Event => self.keeper.reload(),
            Reason::Rescan => self.keeper.reload_if_changed(),
        }
        self.send();
        self.keeper.save();
        self.send();
    }

    fn send(&self) {
        let snapshot = self.keeper.snapshot();
        self.publish.send_if_modified(|published| {
            let modified = **published != *snapshot;
            *published = snapshot;
            modified
        });
    }
}

/// The watches.
struct Eyes {
    dir: PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Events below any of these count.
    interest: Arc<ArcSwap<Vec<PathBuf>>>,
    events: Arc<Notify>,
    /// Whether the directory, or what stands for it, is watched.
    open: bool,
}

impl Eyes {
    fn new(dir: PathBuf, events: Arc<Notify>) -> Self {
        let interest = Arc::new(ArcSwap::from_pointee(Vec::new()));
        Self { dir, watcher: None, watched: BTreeSet::new(), interest, events, open: false }
    }

    /// Sets every watch anew, as the directory and the way to it are now.
    fn open(&mut self) {
        let places = Places::of(&self.dir);
        // First, so that no event is taken for one that does not count.
        self.interest.store(Arc::new(places.interest));
        if self.watcher.is_none() {
            self.watcher = watcher(self.interest.clone(), self.events.clone());
            self.watched.clear();
        }
        let Some(watcher) = &mut self.watcher else {
            self.open = false;
            return;
        };
        for path in std::mem::take(&mut self.watched) {
            // It fails for what is gone.
            _ = watcher.unwatch(&path);
        }
        let watch = |path: &&PathBuf| watcher.watch(path, RecursiveMode::NonRecursive).is_ok();
        self.watched = places.watch.iter().filter(watch).cloned().collect();
        self.open = !self.watched.is_empty() && self.watched.len() == places.watch.len();
        if !self.open {
            tracing::debug!(dir = %self.dir.display(), "the state directory cannot be watched; it is scanned each second");
            self.watcher = None;
        }
    }
}

/// A watcher that notifies `events` of what happens below `interest`; `None` if the kernel grants none.
fn watcher(interest: Arc<ArcSwap<Vec<PathBuf>>>, events: Arc<Notify>) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<Event>| {
        // An error or an overflow may hide anything.
        if event.is_err() || event.is_ok_and(|event| counts(&event, &interest.load())) {
            events.notify_one();
        }
    };
    notify::recommended_watcher(handler).ok()
}

/// Whether `event` may mean a change: reading is none, and other files above the directory are not the state's.
fn counts(event: &Event, interest: &[PathBuf]) -> bool {
    let read = matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    let near = |path: &PathBuf| interest.iter().any(|place| path.starts_with(place));
    event.need_rescan() || (!read && (event.paths.is_empty() || event.paths.iter().any(near)))
}

/// What is to be watched for a directory, and which of the events there count.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    watch: BTreeSet<PathBuf>,
    interest: Vec<PathBuf>,
}

impl Places {
    fn of(dir: &Path) -> Self {
        let mut places = Self::default();
        places.follow(std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()));
        if let Ok(real) = dir.canonicalize() {
            places.add_linked(&real);
            places.watch.insert(real.clone());
            places.interest.push(real);
        }
        places
    }

    /// Every symlink on the way from `path`, or the first part of it that is missing.
    fn follow(&mut self, mut path: PathBuf) {
        // As many as the kernel follows.
        for _ in 0..40 {
            let Some(parent) = path.parent() else { return };
            let Ok(parent) = parent.canonicalize() else {
                path = parent.to_owned();
                continue;
            };
            let Some(name) = path.file_name() else { return };
            let link = parent.join(name);
            self.interest.push(link.clone());
            self.watch.insert(parent.clone());
            let Ok(target) = std::fs::read_link(&link) else { return };
            path = parent.join(target);
        }
    }

    /// The directories that symlinked files are in.
    fn add_linked(&mut self, dir: &Path) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        let links = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
        for link in links {
            if self.watch.len() >= MOST_WATCHES {
                return;
            }
            let target = link.path().canonicalize().ok().filter(|target| target.is_file());
            if let Some(parent) = target.as_deref().and_then(Path::parent).filter(|parent| *parent != dir) {
                self.watch.insert(parent.to_owned());
                self.interest.push(parent.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests;
