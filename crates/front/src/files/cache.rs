//! Files that are asked for often, in memory.
//!
//! Two caches, each with half of the memory: one for small files, which are kept as they are first read, and one for large
//! files, which are loaded in the background once they have been asked for twice. An entry counts as fresh for a second;
//! then one request looks whether the file has changed, while others go on with what there is.

use std::{
    collections::HashSet,
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{Cache as QuickCache, DefaultLifecycle},
};
use tokio::sync::Semaphore;

use super::{
    open::Stamp,
    version::{Representation, Version},
};
use crate::compression::Coding;

/// How long an entry is used without a look at the file.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// What an entry takes beside its content: key, heads, places in tables.
const OVERHEAD: u64 = 2048;

/// Loads and compressions at a time. They take whole files into memory, beyond the budget.
const TASKS: usize = 2;

/// What is kept for a path, or for a coding of it.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Version(Arc<Hot>),
    Derived(Arc<Derived>),
    /// A large file has been asked for once.
    Seen,
}

/// A version, and when it was last compared with the disk.
#[derive(Debug)]
pub(super) struct Hot {
    pub(super) version: Version,
    /// Milliseconds since the cache was made.
    checked_at: AtomicU64,
}

impl Hot {
    /// A version for one request.
    pub(super) fn alone(version: Version) -> Arc<Self> {
        Arc::new(Self { version, checked_at: AtomicU64::new(0) })
    }

    /// It counts as fresh from now on.
    #[cfg(feature = "counts")]
    pub(super) fn stays(&self) {
        self.checked_at.store(u64::MAX, Relaxed);
    }
}

/// What a compression came to.
#[derive(Debug)]
pub(super) struct Derived {
    /// Of the content it was made of.
    pub(super) stamp: Stamp,
    /// `None`: it was not worth it.
    pub(super) representation: Option<Representation>,
}

/// What the cache has for a path.
#[derive(Debug)]
pub(super) enum Hit {
    Fresh(Arc<Hot>),
    /// The caller is the one who has to look at the file.
    Stale(Arc<Hot>),
    Seen,
    Nothing,
}

/// Root, path below it, and coding of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    root: u32,
    coding: Option<Coding>,
    path: Box<[u8]>,
}

/// A key that is only looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) root: u32,
    pub(super) coding: Option<Coding>,
    pub(super) path: &'a [u8],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Wanted { root: self.root, coding: self.coding, path: &self.path }.hash(state);
    }
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.root.hash(state);
        self.coding.hash(state);
        state.write(self.path);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.root == key.root && self.coding == key.coding && *self.path == *key.path
    }
}

impl Wanted<'_> {
    fn to_key(self) -> Key {
        Key { root: self.root, coding: self.coding, path: self.path.into() }
    }
}

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl Weighter<Key, Kept> for ByBytes {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        let content = match kept {
            Kept::Version(hot) => hot.version.weight(),
            Kept::Derived(derived) => derived.representation.as_ref().map_or(0, |it| it.length),
            Kept::Seen => return 128 + key.path.len() as u64,
        };
        content + OVERHEAD + key.path.len() as u64
    }
}

/// The cache of all roots.
pub(super) struct Cache {
    small: QuickCache<Key, Kept, ByBytes>,
    large: QuickCache<Key, Kept, ByBytes>,
    /// The largest file in each.
    pub(super) small_ceiling: u64,
    pub(super) large_ceiling: u64,
    begun: Instant,
    /// What is being loaded or compressed.
    busy: Mutex<HashSet<Key>>,
    tasks: Arc<Semaphore>,
}

impl Cache {
    /// A cache of so many bytes.
    pub(super) fn new(memory: u64) -> Self {
        let half = memory / 2;
        let small_ceiling = (memory / 256).min(1 << 20);
        Self {
            // An entry must fit into its shard with room for others.
            small: cache(half, 4096, usize::try_from(half / (8 * small_ceiling).max(1)).unwrap_or(1).clamp(1, 16)),
            large: cache(half, 64, 1),
            small_ceiling,
            large_ceiling: memory / 4,
            begun: Instant::now(),
            busy: Mutex::default(),
            tasks: Arc::new(Semaphore::new(TASKS)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What there is for a path.
    pub(super) fn version(&self, wanted: Wanted<'_>) -> Hit {
        let hot = match self.small.get(&wanted) {
            Some(Kept::Version(hot)) => hot,
            // A large file has its mark in one cache and may be in the other.
            Some(Kept::Seen) => match self.large.get(&wanted) {
                Some(Kept::Version(hot)) => hot,
                _ => return Hit::Seen,
            },
            Some(Kept::Derived(_)) | None => return Hit::Nothing,
        };
        let (now, checked_at) = (self.now(), hot.checked_at.load(Relaxed));
        if is_fresh(now, checked_at) || hot.checked_at.compare_exchange(checked_at, now, Relaxed, Relaxed).is_err() {
            Hit::Fresh(hot)
        } else {
            Hit::Stale(hot)
        }
    }

    /// Whether there has been a file at a path.
    pub(super) fn knows(&self, wanted: Wanted<'_>) -> bool {
        self.small.contains_key(&wanted)
    }

    /// What needs no look at the file: a small one that has just been looked at, or the mark of a large one.
    pub(super) fn glance(&self, wanted: Wanted<'_>) -> Hit {
        match self.small.get(&wanted) {
            Some(Kept::Version(hot)) if is_fresh(self.now(), hot.checked_at.load(Relaxed)) => Hit::Fresh(hot),
            Some(Kept::Seen) => Hit::Seen,
            _ => Hit::Nothing,
        }
    }

    /// Keeps a version that is in memory as a whole; gives what is to be used in its place.
    pub(super) fn keep(&self, wanted: Wanted<'_>, version: Version) -> Arc<Hot> {
        let (is_small, is_in_memory) = (version.identity.length <= self.small_ceiling, version.is_in_memory());
        let hot = Arc::new(Hot { version, checked_at: AtomicU64::new(self.now()) });
        if is_in_memory && is_small {
            self.small.insert(wanted.to_key(), Kept::Version(Arc::clone(&hot)));
        } else if is_in_memory {
            self.large.insert(wanted.to_key(), Kept::Version(Arc::clone(&hot)));
        }
        hot
    }

    /// Remembers that a large file was asked for.
    pub(super) fn note(&self, wanted: Wanted<'_>) {
        self.small.insert(wanted.to_key(), Kept::Seen);
    }

    /// Forgets a path: the file is another one, or none.
    pub(super) fn forget(&self, wanted: Wanted<'_>) {
        self.small.remove(&wanted);
        self.large.remove(&wanted);
    }

    /// What the compression of this state of a file came to, if there was one.
    pub(super) fn derived(&self, wanted: Wanted<'_>, stamp: Stamp) -> Option<Arc<Derived>> {
        let kept = self.small.get(&wanted).or_else(|| self.large.get(&wanted));
        match kept {
            Some(Kept::Derived(derived)) if derived.stamp == stamp => Some(derived),
            _ => None,
        }
    }

    pub(super) fn keep_derived(&self, wanted: Wanted<'_>, derived: Derived) {
        let is_small = derived.representation.as_ref().is_none_or(|it| it.length <= self.small_ceiling);
        let cache = if is_small { &self.small } else { &self.large };
        cache.insert(wanted.to_key(), Kept::Derived(Arc::new(derived)));
    }

    /// Runs `work` on a thread that may take its time, unless it is under way already or too much is.
    pub(super) fn in_background(self: &Arc<Self>, wanted: Wanted<'_>, work: impl FnOnce(&Self) + Send + 'static) {
        let Ok(permit) = Arc::clone(&self.tasks).try_acquire_owned() else { return };
        let key = wanted.to_key();
        if !self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
            return;
        }
        let busy = Busy { cache: Arc::clone(self), key };
        tokio::task::spawn_blocking(move || {
            work(&busy.cache);
            drop(busy);
            drop(permit);
        });
    }
}

/// Whether what was looked at then needs no look now; both in milliseconds.
pub(super) fn is_fresh(now: u64, checked_at: u64) -> bool {
    now < checked_at.saturating_add(u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX))
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("small", &self.small.weight())
            .field("large", &self.large.weight())
            .finish_non_exhaustive()
    }
}

/// A mark that goes also where the work panics.
struct Busy {
    cache: Arc<Cache>,
    key: Key,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.cache.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

fn cache(weight: u64, items: usize, shards: usize) -> QuickCache<Key, Kept, ByBytes> {
    let options = OptionsBuilder::new()
        .weight_capacity(weight)
        .estimated_items_capacity(items)
        .shards(shards)
        .build()
        .expect("both capacities are there");
    QuickCache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{
        compression::Policy,
        files::root::{Origin, Root, Shared},
    };

    fn config(memory: u64) -> stack_config::Files {
        let compression =
            stack_config::Compression { mode: stack_config::CompressionMode::Safe, min_size: 1, types: Vec::new() };
        stack_config::Files {
            fallbacks: Vec::new(),
            cache_rules: Vec::new(),
            cache_memory: memory,
            listings: Vec::new(),
            internal: Vec::new(),
            sendfile: Vec::new(),
            django: false,
            compression,
        }
    }

    fn cache_with_files(memory: u64, files: usize, size: usize) -> (Arc<Cache>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let config = config(memory);
        let shared = Arc::new(Shared::new(&config, Policy::new(&config.compression)));
        let root = Root::new("", folder.path().into(), Origin::Site, &shared);
        let cache = Arc::clone(shared.cache.as_ref().unwrap());
        for number in 0..files {
            let (name, path) = (format!("{number}.bin"), format!("/{number}.bin"));
            std::fs::write(folder.path().join(&name), vec![0; size]).unwrap();
            let opened =
                crate::files::open::file(folder.path(), name.as_ref(), crate::files::open::Lookup::Complete).unwrap();
            let version =
                Version::load(&root, opened.unwrap(), cache.large_ceiling, crate::files::open::Lookup::Complete);
            cache.keep(Wanted { root: 0, coding: None, path: path.as_bytes() }, version.ok().unwrap());
        }
        let weight = cache.small.weight() + cache.large.weight();
        (cache, weight)
    }

    #[test]
    fn no_more_is_kept_than_there_is_memory_for() {
        let memory = 4 << 20;
        for size in [1000, 15_000, 900_000] {
            let (cache, weight) = cache_with_files(memory, 400_000_usize.div_ceil(size) + 300, size);
            assert!(weight <= memory, "{size}: {weight}");
            assert!(weight > memory / 8, "{size}: {weight}");
            drop(cache);
        }
    }

    #[test]
    fn one_request_a_second_looks_at_the_file() {
        let (cache, _) = cache_with_files(4 << 20, 1, 10);
        let wanted = Wanted { root: 0, coding: None, path: b"/0.bin" };
        let Hit::Fresh(hot) = cache.version(wanted) else { panic!("just kept") };
        let long_ago = cache.now();
        hot.checked_at.store(0, Relaxed);
        // As if the cache were older than it is.
        let cache = Cache { begun: cache.begun.checked_sub(2 * FRESH).unwrap(), ..Cache::new(4 << 20) };
        cache.small.insert(wanted.to_key(), Kept::Version(hot));
        assert!(matches!(cache.version(wanted), Hit::Stale(_)), "after {long_ago} ms");
        assert!(matches!(cache.version(wanted), Hit::Fresh(_)), "the others go on meanwhile");
        assert!(matches!(cache.version(Wanted { path: b"/1.bin", ..wanted }), Hit::Nothing));
    }

    #[tokio::test]
    async fn the_same_work_is_not_done_twice_at_a_time() {
        let cache = Arc::new(Cache::new(4 << 20));
        let wanted = Wanted { root: 0, coding: Some(Coding::Gzip), path: b"/x" };
        let (begun, beginnings) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for _ in 0..10 {
            let (begun, wait) = (begun.clone(), Arc::clone(&wait));
            cache.in_background(wanted, move |_| {
                begun.send(()).unwrap();
                wait.lock().unwrap().recv().unwrap();
            });
        }
        drop(begun);
        go.send(()).unwrap();
        assert_eq!(tokio::task::spawn_blocking(move || beginnings.iter().count()).await.unwrap(), 1);
        // The mark goes when the work is over, which is after its last message.
        let done = async {
            while !cache.busy.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), done).await.unwrap();
    }
}
