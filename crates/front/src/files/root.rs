//! A directory whose files are served, and how a path finds its file: in the cache, in the kernel's, on the disk.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::{
    cache::{Cache, Derived, FRESH, Hit, Hot, Wanted},
    cache_control::Rules,
    open::{self, Found, INDEX, Lookup, OpenDirectory, Stamp},
    ready::AtHand,
    version::{self, Source, Unread, Version},
};
use crate::{
    compression::{Coding, Effort, Policy, compress},
    path::{self, FilePath},
};

/// The policy for what users have uploaded.
const FOR_UPLOADS: &str =
    "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'";

/// With less memory no file of a sensible size would be kept.
const LEAST_MEMORY: u64 = 64 * 1024;

/// From here on sendfile takes less than a copy from memory does, though it needs a call of its own and two looks at the file:
/// on one machine a file of 16 KB took as much either way, one of 32 KB three quarters, one of 100 KB two thirds.
const SENT_FROM_DISK: u64 = 32 * 1024;

/// Files in memory that are kept open beside, at most. Their number is that of descriptors, which connections need too.
const MOST_OPEN: usize = 256;

/// What all roots share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) policy: Policy,
    pub(super) rules: Rules,
    /// `None` where no memory is given to it.
    pub(super) cache: Option<Arc<Cache>>,
    /// Files in memory that may be kept open beside.
    places: Arc<Semaphore>,
    next_root: AtomicU32,
}

impl Shared {
    pub(crate) fn new(config: &stack_config::Files, policy: Policy) -> Self {
        Self {
            policy,
            rules: Rules::new(&config.cache_rules),
            cache: (config.cache_memory >= LEAST_MEMORY).then(|| Arc::new(Cache::new(config.cache_memory))),
            places: Arc::new(Semaphore::new(MOST_OPEN)),
            next_root: AtomicU32::new(0),
        }
    }

    /// A place among the files that are kept open, for one of so many bytes that is in memory as well; `None` where there is none
    /// left, or memory serves it better.
    pub(super) fn place_for(&self, length: u64) -> Option<OwnedSemaphorePermit> {
        let ceiling = self.cache.as_ref()?.small_ceiling;
        let is_of_size = (SENT_FROM_DISK..=ceiling).contains(&length);
        is_of_size.then(|| Arc::clone(&self.places).try_acquire_owned().ok()).flatten()
    }
}

/// Whose files a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The site's own.
    Site,
    /// Its users': a page or a picture with a script in it must not act in the site's name.
    Uploads,
    /// The application's, which says itself what is sent with them.
    Internal,
}

/// A directory.
#[derive(Debug)]
pub(super) struct Root {
    id: u32,
    /// What paths of its files begin with in the site: `/static`, or nothing.
    prefix: String,
    pub(super) directory: PathBuf,
    origin: Origin,
    pub(super) shared: Arc<Shared>,
    /// The directory and when it was opened, where somebody looked for what is not there.
    kept: Mutex<Option<(Arc<OpenDirectory>, Instant)>>,
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Served {
    File(Arc<Hot>),
    /// A directory, asked for without its slash.
    Directory,
    /// A directory without an index, asked for without its slash or with it.
    Bare {
        has_slash: bool,
        name: PathBuf,
    },
    Nothing,
    Forbidden(io::Error),
}

impl Root {
    /// Whether only who makes the site puts files there.
    pub(super) fn is_of_site(&self) -> bool {
        matches!(self.origin, Origin::Site)
    }

    pub(super) fn is_of_users(&self) -> bool {
        matches!(self.origin, Origin::Uploads)
    }

    pub(super) fn new(prefix: &str, directory: PathBuf, origin: Origin, shared: &Arc<Shared>) -> Arc<Self> {
        let id = shared.next_root.fetch_add(1, Relaxed);
        Arc::new(Self {
            id,
            prefix: prefix.to_owned(),
            directory,
            origin,
            shared: Arc::clone(shared),
            kept: Mutex::default(),
        })
    }

    pub(super) fn is_document_root(&self) -> bool {
        self.prefix.is_empty()
    }

    /// What a decoded path, from its leading `/`, names in this directory.
    pub(super) async fn find(self: &Arc<Self>, decoded: &[u8]) -> io::Result<Served> {
        let Some(cache) = &self.shared.cache else { return self.load(decoded, 0).await };
        let wanted = self.wanted(decoded, None);
        let hit = cache.version(wanted);
        match hit {
            Hit::Fresh(hot) => return Ok(Served::File(hot)),
            Hit::Stale(hot) if self.is_current(&hot).await? => return Ok(Served::File(hot)),
            Hit::Stale(_) => cache.forget(wanted),
            Hit::Seen | Hit::Nothing => {}
        }
        let served = self.load(decoded, cache.small_ceiling).await?;
        if let Served::File(hot) = &served
            && hot.version.identity.length > cache.small_ceiling
        {
            match hit {
                Hit::Seen if self.keeps(hot.version.identity.length) => {
                    self.load_in_background(cache, decoded, &hot.version);
                }
                Hit::Seen => {}
                _ => cache.note(wanted),
            }
        }
        Ok(served)
    }

    /// The file of a decoded path, if it is in memory and known to be as it is on the disk; or, where files may go out without
    /// being read, if it is a large one and opening it waits for nothing.
    pub(super) fn at_hand<'a>(self: &'a Arc<Self>, path: Cow<'a, [u8]>, sends_files: bool) -> Option<AtHand<'a>> {
        let hot = match &self.shared.cache {
            Some(cache) => match cache.glance(self.wanted(&path, None)) {
                Hit::Fresh(hot) => hot,
                Hit::Seen if sends_files => self.open(&path, cache.small_ceiling)?,
                _ => return None,
            },
            // Most requests for a document root are for the application.
            None if sends_files && !self.is_document_root() => self.open(&path, 0)?,
            None => return None,
        };
        Some(AtHand { root: self, hot, path })
    }

    fn open(&self, decoded: &[u8], ceiling: u64) -> Option<Arc<Hot>> {
        match self.look_up(decoded, &path::file_path(decoded)?, ceiling, Lookup::Cached) {
            Ok(Served::File(hot)) => Some(hot),
            _ => None,
        }
    }

    /// Whether a file of so many bytes is taken into memory when it is asked for often.
    pub(super) fn keeps(&self, length: u64) -> bool {
        self.shared.cache.as_ref().is_some_and(|cache| length <= cache.large_ceiling)
    }

    /// Whether the kernel's caches tell that no file is at a decoded path, nor anything else that would be shown.
    pub(super) fn is_empty_at(&self, decoded: &[u8], is_listed: bool) -> bool {
        if self.shared.cache.as_ref().is_some_and(|cache| cache.knows(self.wanted(decoded, None))) {
            return false;
        }
        let Some(path) = path::file_path(decoded) else { return true };
        // Most requests end here. Of the directory itself only the index counts.
        let is_root = path.relative.as_os_str().is_empty();
        let name = if is_root { Path::new(INDEX) } else { &path.relative };
        if !(is_root && is_listed) && self.kept().is_some_and(|directory| directory.has_nothing_at(name)) {
            return true;
        }
        match open::find(&self.directory, &path, Lookup::Cached) {
            Ok(Ok(Found::Nothing)) => true,
            Ok(Ok(Found::Bare)) => !is_listed,
            Ok(Ok(Found::Forbidden(_))) => self.is_document_root(),
            Ok(Ok(Found::File(_) | Found::Directory) | Err(_)) | Err(_) => false,
        }
    }

    /// The directory, open for a second at most.
    fn kept(&self) -> Option<Arc<OpenDirectory>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((directory, opened_at)) = &*kept
            && now.saturating_duration_since(*opened_at) < FRESH
        {
            return Some(Arc::clone(directory));
        }
        let directory = Arc::new(OpenDirectory::open(&self.directory)?);
        *kept = Some((Arc::clone(&directory), now));
        Some(directory)
    }

    fn wanted<'a>(&self, path: &'a [u8], coding: Option<Coding>) -> Wanted<'a> {
        Wanted { root: self.id, coding, path }
    }

    /// Looks in the kernel's caches first: that takes microseconds, and a thread more.
    async fn is_current(self: &Arc<Self>, hot: &Arc<Hot>) -> io::Result<bool> {
        if let Ok(is_current) = hot.version.is_current(self, Lookup::Cached) {
            return Ok(is_current);
        }
        let (root, hot) = (Arc::clone(self), Arc::clone(hot));
        let look = move || hot.version.is_current(&root, Lookup::Complete).unwrap_or(false);
        spawn_blocking(look).await.map_err(io::Error::other)
    }

    /// Most requests for a document root are for the application, and must not pay for a thread.
    async fn load(self: &Arc<Self>, decoded: &[u8], ceiling: u64) -> io::Result<Served> {
        let Some(path) = path::file_path(decoded) else { return Ok(Served::Nothing) };
        match self.look_up(decoded, &path, ceiling, Lookup::Cached) {
            Err(Unread::NotCached) => {}
            Err(Unread::Failed(error)) => return Err(error),
            Ok(served) => return Ok(served),
        }
        let (root, decoded) = (Arc::clone(self), decoded.to_vec());
        let look_up = move || root.look_up(&decoded, &path, ceiling, Lookup::Complete);
        match spawn_blocking(look_up).await.map_err(io::Error::other)? {
            Ok(served) => Ok(served),
            Err(Unread::Failed(error)) => Err(error),
            // A complete lookup asks nothing of the caches.
            Err(Unread::NotCached) => Ok(Served::Nothing),
        }
    }

    fn look_up(&self, decoded: &[u8], path: &FilePath, ceiling: u64, lookup: Lookup) -> Result<Served, Unread> {
        Ok(match open::find(&self.directory, path, lookup)?.map_err(Unread::Failed)? {
            Found::File(opened) => {
                let version = Version::load(self, opened, ceiling, lookup)?;
                Served::File(match &self.shared.cache {
                    Some(cache) => cache.keep(self.wanted(decoded, None), version),
                    None => Hot::alone(version),
                })
            }
            Found::Directory => Served::Directory,
            Found::Bare => Served::Bare { has_slash: path.directory, name: path.relative.clone() },
            Found::Nothing => Served::Nothing,
            Found::Forbidden(error) => Served::Forbidden(error),
        })
    }

    /// Takes a large file into memory. The requests that come meanwhile read it from the disk.
    fn load_in_background(self: &Arc<Self>, cache: &Arc<Cache>, decoded: &[u8], version: &Version) {
        let (root, key, name) = (Arc::clone(self), decoded.to_vec(), version.name.clone());
        cache.in_background(self.wanted(decoded, None), move |cache| {
            let Ok(Some(opened)) = open::file(&root.directory, &name, Lookup::Complete) else { return };
            if opened.stamp.length > cache.large_ceiling {
                return;
            }
            if let Ok(version) = Version::load(&root, opened, cache.large_ceiling, Lookup::Complete) {
                cache.keep(root.wanted(&key, None), version);
            }
        });
    }

    /// What this server has made of a version in a coding. If nothing yet, it begins to; the first who ask do not wait.
    pub(super) fn derived(self: &Arc<Self>, decoded: &[u8], hot: &Arc<Hot>, coding: Coding) -> Option<Arc<Derived>> {
        let cache = self.shared.cache.as_ref()?;
        let wanted = self.wanted(decoded, Some(coding));
        let version = &hot.version;
        if let Some(derived) = cache.derived(wanted, version.stamp) {
            return derived.representation.is_some().then_some(derived);
        }
        let Source::Memory(content, _) = &version.identity.source else { return None };
        let (root, key, hot, content) = (Arc::clone(self), decoded.to_vec(), Arc::clone(hot), content.clone());
        cache.in_background(wanted, move |cache| {
            let compressed = compress(coding, Effort::Kept, &content).ok();
            // Less than a twentieth is not worth a decoder's work.
            let compressed = compressed.filter(|it| it.len() + it.len() / 20 < content.len());
            let representation = compressed.map(|content| hot.version.derived(coding, content));
            let derived = Derived { stamp: hot.version.stamp, representation };
            cache.keep_derived(root.wanted(&key, Some(coding)), derived);
        });
        None
    }

    /// What is said of a file in all its representations.
    pub(super) fn head(&self, name: &Path, stamp: &Stamp, content_type: HeaderValue) -> HeaderMap {
        let mut head = HeaderMap::with_capacity(12);
        head.insert(header::CONTENT_TYPE, content_type);
        if let Some(date) = version::modified(stamp).and_then(|time| httpdate::fmt_http_date(time).try_into().ok()) {
            head.insert(header::LAST_MODIFIED, date);
        }
        let path = || Path::new(if self.prefix.is_empty() { "/" } else { &self.prefix }).join(name);
        match self.origin {
            Origin::Internal => {}
            Origin::Site => {
                head.insert(header::CACHE_CONTROL, self.shared.rules.value(&path()));
            }
            Origin::Uploads => {
                head.insert(header::CACHE_CONTROL, self.shared.rules.value_for_uploads(&path()));
                head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                // A page or a picture is shown, but runs nothing and reads no cookie: it has an origin of its own. Other
                // types can not run anything, and browsers show no PDF in a sandbox.
                if is_markup(&head) {
                    head.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FOR_UPLOADS));
                }
            }
        }
        head
    }
}

/// A response with what a user has put there.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfUsers {
    is_markup: bool,
}

impl OfUsers {
    pub(super) fn of(head: &HeaderMap) -> Self {
        Self { is_markup: head.contains_key(header::CONTENT_SECURITY_POLICY) }
    }
}

/// Sees to it that what users have put there acts in nobody's name, whatever fields the site sets.
pub(crate) fn protect(response: &mut Response) {
    let Some(OfUsers { is_markup }) = response.extensions().get().copied() else { return };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Of several policies all hold.
    let is_there = headers.get_all(header::CONTENT_SECURITY_POLICY).iter().any(|policy| policy == FOR_UPLOADS);
    if is_markup && !is_there {
        headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FOR_UPLOADS));
    }
}

/// Whether a browser would run scripts in it: HTML, and XML of any kind.
fn is_markup(head: &HeaderMap) -> bool {
    let content_type = head.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    matches!(essence, "text/html" | "text/xml" | "application/xml" | "message/rfc822") || essence.ends_with("+xml")
}
