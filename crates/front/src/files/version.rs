//! One state of a file, in all its representations: as it is, and precompressed by its neighbours.
//!
//! Each has its head ready. What is small is held in memory, the rest as open files: a head and its body are of one state,
//! whatever happens to the name meanwhile.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::{
    media_type,
    open::{self, Lookup, NotCached, Opened, Stamp},
    part::OnDisk,
    ready::Heads,
    root::Root,
};
use crate::{
    compression::{Coding, append_vary},
    file_stream::read_cached,
};

/// Two writes this close to each other may leave the same time in a file: the kernel's clock for files has ticks.
const TICK: Duration = Duration::from_millis(50);

/// One state of a file.
#[derive(Debug)]
pub(super) struct Version {
    /// The file's.
    pub(super) stamp: Stamp,
    /// Where it is, below its root.
    pub(super) name: PathBuf,
    /// In whole seconds, as HTTP dates are.
    pub(super) modified: Option<SystemTime>,
    pub(super) identity: Representation,
    /// Those that are no older than the file.
    pub(super) neighbours: Vec<Representation>,
    /// The stamps of all files with a neighbour's name, older ones too.
    neighbour_stamps: [Option<Stamp>; 3],
    /// It is of a type and a size for which there may be compressed representations.
    pub(super) is_compressible: bool,
    /// It was written just before it was read, so the next write may not show in its stamp.
    is_young: bool,
}

/// Bytes to be sent, and what is said of them.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) coding: Option<Coding>,
    pub(super) length: u64,
    pub(super) etag: HeaderValue,
    /// The head of a 200.
    pub(super) head: HeaderMap,
    pub(super) source: Source,
    /// The same head as bytes.
    pub(super) heads: Heads,
}

/// Where bytes are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Beside it the file, where that goes out sooner.
    Memory(Bytes, Option<Arc<OnDisk>>),
    File(Arc<OnDisk>),
}

/// The kernel's caches do not hold the content, or the disk failed.
pub(super) enum Unread {
    NotCached,
    Failed(io::Error),
}

impl From<NotCached> for Unread {
    fn from(NotCached: NotCached) -> Self {
        Self::NotCached
    }
}

impl Version {
    /// Makes the version of an open file. Content up to `ceiling` bytes is read.
    pub(super) fn load(root: &Root, opened: Opened, ceiling: u64, lookup: Lookup) -> Result<Self, Unread> {
        let Opened { file, name, stamp } = opened;
        let content_type = media_type::of(&name);
        let is_compressible = root.shared.policy.types.include(content_type.as_bytes());
        let mut facts = root.head(&name, &stamp, content_type.clone());
        let hashed = root.shared.cache.as_ref().map_or(0, |cache| cache.small_ceiling);
        let (mut neighbours, mut neighbour_stamps) = (Vec::new(), [None; 3]);
        if is_compressible {
            append_vary(&mut facts, "accept-encoding");
            // Who may put files there must not be able to replace another one's.
            let codings = if root.is_of_site() { &Coding::BY_SIZE[..] } else { &[] };
            for (&coding, found) in codings.iter().zip(&mut neighbour_stamps) {
                let Some(neighbour) = open::file(&root.directory, &neighbour_name(&name, coding), lookup)? else {
                    continue;
                };
                *found = Some(neighbour.stamp);
                if seconds(&neighbour.stamp) >= seconds(&stamp) {
                    let source = source(root, neighbour.file, &neighbour.stamp, ceiling, lookup)?;
                    let tag = tag(&neighbour.stamp, &source, hashed);
                    neighbours.push(Representation::new(&facts, Some(coding), neighbour.stamp.length, &tag, source));
                }
            }
        }
        let source = source(root, file, &stamp, ceiling, lookup)?;
        let tag = tag(&stamp, &source, hashed);
        Ok(Self {
            modified: modified(&stamp),
            identity: Representation::new(&facts, None, stamp.length, &tag, source),
            is_compressible: is_compressible && root.shared.policy.includes(&content_type, stamp.length),
            is_young: is_young(&stamp),
            stamp,
            name,
            neighbours,
            neighbour_stamps,
        })
    }

    /// Whether the files are still as they were when this version was made.
    pub(super) fn is_current(&self, root: &Root, lookup: Lookup) -> Result<bool, NotCached> {
        if self.is_young || open::stamp(&root.directory, &self.name, lookup)? != Some(self.stamp) {
            return Ok(false);
        }
        // A file whose type has no neighbours has none that could change.
        if !root.is_of_site() || !self.identity.head.contains_key(header::VARY) {
            return Ok(true);
        }
        for (coding, stamp) in Coding::BY_SIZE.into_iter().zip(self.neighbour_stamps) {
            if open::stamp(&root.directory, &neighbour_name(&self.name, coding), lookup)? != stamp {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether no open file is held.
    pub(super) fn is_in_memory(&self) -> bool {
        self.all().all(|representation| matches!(representation.source, Source::Memory(..)))
    }

    /// Bytes of content.
    pub(super) fn weight(&self) -> u64 {
        self.all().map(|representation| representation.length).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Representation> {
        self.neighbours.iter().chain([&self.identity])
    }

    pub(super) fn neighbour(&self, coding: Coding) -> Option<&Representation> {
        self.neighbours.iter().find(|neighbour| neighbour.coding == Some(coding))
    }

    /// The entity tag of what this server makes of it in a coding.
    pub(super) fn derived_etag(&self, coding: Coding) -> HeaderValue {
        let tag = self.identity.etag.to_str().unwrap_or_default().trim_matches('"');
        quoted(&format!("{tag}~{}", coding.name()))
    }

    /// A representation that this server has made.
    pub(super) fn derived(&self, coding: Coding, content: Bytes) -> Representation {
        let mut head = self.identity.head.clone();
        head.insert(header::CONTENT_ENCODING, coding.field_value());
        head.insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
        let etag = self.derived_etag(coding);
        head.insert(header::ETAG, etag.clone());
        // It may have been made anew, with other bytes, by the time somebody asks for the rest of it.
        head.remove(header::ACCEPT_RANGES);
        let length = content.len() as u64;
        Representation {
            coding: Some(coding),
            length,
            etag,
            head,
            source: Source::Memory(content, None),
            heads: Heads::default(),
        }
    }
}

impl Representation {
    fn new(facts: &HeaderMap, coding: Option<Coding>, length: u64, tag: &str, source: Source) -> Self {
        let mut head = facts.clone();
        let etag = match coding {
            Some(coding) => quoted(&format!("{tag}-{}", coding.name())),
            None => quoted(tag),
        };
        head.insert(header::ETAG, etag.clone());
        head.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(coding) = coding {
            head.insert(header::CONTENT_ENCODING, coding.field_value());
        }
        Self { coding, length, etag, head, source, heads: Heads::default() }
    }
}

/// What names a state of a file, on every server that has it (RFC 9110 §8.8.3): of one with up to `hashed` bytes, which is
/// read whole before it is first sent, half of a SHA-256 of its content; of a larger one time and size, as whether it is
/// in memory changes from request to request.
fn tag(stamp: &Stamp, source: &Source, hashed: u64) -> String {
    match source {
        Source::Memory(content, _) if stamp.length <= hashed => {
            let half =
                digest(&SHA256, content).as_ref().iter().take(16).fold(0, |half, &byte| half << 8 | u128::from(byte));
            format!("{half:032x}")
        }
        Source::Memory(..) | Source::File(_) => format!("{:x}-{:x}", age(stamp).as_nanos(), stamp.length),
    }
}

fn quoted(tag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{tag}\"")).expect("hexadecimal digits, names of codings and quotes")
}

/// Since 1970.
fn age(stamp: &Stamp) -> Duration {
    stamp.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default()
}

fn seconds(stamp: &Stamp) -> u64 {
    age(stamp).as_secs()
}

/// Whether the next write may leave the same stamp.
pub(super) fn is_young(stamp: &Stamp) -> bool {
    stamp.modified.is_none_or(|time| time + TICK > SystemTime::now())
}

pub(super) fn modified(stamp: &Stamp) -> Option<SystemTime> {
    stamp.modified.map(|_| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds(stamp)))
}

fn neighbour_name(name: &Path, coding: Coding) -> PathBuf {
    let mut name = name.as_os_str().to_owned();
    name.push(coding.suffix());
    name.into()
}

fn source(root: &Root, file: File, stamp: &Stamp, ceiling: u64, lookup: Lookup) -> Result<Source, Unread> {
    let on_disk = |file| Source::File(OnDisk::new(file, *stamp, None));
    let length = usize::try_from(stamp.length).ok().filter(|_| stamp.length <= ceiling);
    let Some(length) = length else { return Ok(on_disk(file)) };
    let content = match (length, lookup) {
        (0, _) => Bytes::new(),
        (_, Lookup::Cached) => {
            read_cached(&file, 0, length).filter(|content| content.len() == length).ok_or(Unread::NotCached)?
        }
        (_, Lookup::Complete) => match read(&file, length).map_err(Unread::Failed)? {
            Some(content) => content,
            None => return Ok(on_disk(file)),
        },
    };
    // A writer that came between the head and the content would make a mixture of them.
    let is_same = file.metadata().is_ok_and(|now| Stamp::of(&now) == *stamp);
    if !is_same {
        return Ok(on_disk(file));
    }
    let place = root.shared.place_for(stamp.length);
    Ok(Source::Memory(content, place.map(|place| OnDisk::new(file, *stamp, Some(place)))))
}

/// `None` where the file has become shorter meanwhile: sending it will tell.
pub(super) fn read(file: &File, length: usize) -> io::Result<Option<Bytes>> {
    let mut content = vec![0; length];
    match file.read_exact_at(&mut content, 0) {
        Ok(()) => Ok(Some(content.into())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
