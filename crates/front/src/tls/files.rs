//! The files that certificates and keys are in: what they hold, and whether that has changed.

use std::{
    fs::{File, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use stack_config::{CertificateFiles, SettingFile, Tls, TlsMode};

use super::{
    TlsError,
    certificate::{Certificate, Facts},
    error::FileReason,
};

/// A file whose last change is older than this has a time of change that the next one can not have too, whatever the
/// file system's clock.
const SETTLED: Duration = Duration::from_secs(5);

/// No certificate with its chain is larger; what is, was named by mistake.
const LARGEST: u64 = 1 << 20;

/// The files of the configuration.
#[derive(Debug)]
pub(super) struct Files {
    pairs: Vec<CertificateFiles>,
    client_ca: Option<SettingFile>,
}

/// What all files held at one time.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    states: Vec<State>,
}

impl PartialEq for Snapshot {
    /// Whether the same could be read. The files themselves may be others.
    fn eq(&self, other: &Self) -> bool {
        let hashes = |snapshot: &Self| snapshot.states.iter().map(|state| state.hash).collect::<Vec<_>>();
        hashes(self) == hashes(other)
    }
}

#[derive(Clone, Debug)]
struct State {
    identity: Option<Identity>,
    /// Of the content, or of the error.
    hash: u64,
    content: Arc<Result<Vec<u8>, io::Error>>,
}

/// What changes with a file's content, as far as its file system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    pub(super) fn new(tls: &Tls) -> Self {
        let pairs = if tls.mode == TlsMode::On { tls.certificates.clone() } else { Vec::new() };
        Self { pairs, client_ca: tls.client_ca.clone() }
    }

    /// Reads all files, but those that have not changed since the last look.
    pub(super) fn look(&self, last: Option<&Snapshot>) -> Snapshot {
        let now = SystemTime::now();
        let states = self.all().enumerate().map(|(index, file)| {
            let last = last.and_then(|last| last.states.get(index));
            State::look(file, last, now)
        });
        Snapshot { states: states.collect() }
    }

    /// The server's certificates, the default one first.
    pub(super) fn certificates(&self, snapshot: &Snapshot) -> Result<Vec<Certificate>, TlsError> {
        self.pairs.iter().map(|pair| self.certificate(pair, snapshot)).collect()
    }

    /// The certificates that clients' ones have to descend from, and the file they are in.
    pub(super) fn client_roots(
        &self,
        snapshot: &Snapshot,
    ) -> Result<Option<(&SettingFile, Vec<CertificateDer<'static>>)>, TlsError> {
        let Some(file) = &self.client_ca else { return Ok(None) };
        let roots = self.pem(file, snapshot).and_then(certificates).map_err(|reason| refused(file, reason))?;
        Ok(Some((file, roots)))
    }

    /// Whether the authorities of clients are the same in both.
    pub(super) fn same_clients(&self, one: &Snapshot, other: &Snapshot) -> bool {
        let hash = |snapshot: &Snapshot| self.client_ca.as_ref().map(|file| self.state(file, snapshot).hash);
        hash(one) == hash(other)
    }

    fn certificate(&self, pair: &CertificateFiles, snapshot: &Snapshot) -> Result<Certificate, TlsError> {
        let CertificateFiles { certificate: file, key: key_file } = pair;
        let chain = self.pem(file, snapshot).and_then(certificates).map_err(|reason| refused(file, reason))?;
        let facts =
            Facts::read(&chain[0]).map_err(|message| refused(file, FileReason::Certificate { number: 1, message }))?;
        let key_file = key_file.as_ref().unwrap_or(file);
        let key = self.pem(key_file, snapshot).and_then(private_key);
        let key = key.and_then(|key| certified(chain, key, file)).map_err(|reason| refused(key_file, reason))?;
        Ok(Certificate { key: Arc::new(key), facts, path: Some(file.path.clone()) })
    }

    fn pem<'a>(&self, file: &SettingFile, snapshot: &'a Snapshot) -> Result<&'a [u8], FileReason> {
        let content = self.state(file, snapshot).content.as_ref();
        let content = content.as_ref().map_err(|error| FileReason::Unreadable(copy(error)))?;
        let begins = content.windows(11).any(|window| window == b"-----BEGIN ");
        match content.first() {
            None => Err(FileReason::Empty),
            // A SEQUENCE with a long length, as every certificate and key begins.
            Some(0x30) if !begins => Err(FileReason::Der),
            Some(_) if !begins => Err(FileReason::NotPem),
            Some(_) => Ok(content),
        }
    }

    fn state<'a>(&self, file: &SettingFile, snapshot: &'a Snapshot) -> &'a State {
        let index = self.all().position(|known| std::ptr::eq(known, file));
        &snapshot.states[index.expect("a file of ours")]
    }

    fn all(&self) -> impl Iterator<Item = &SettingFile> {
        let certificates = self.pairs.iter().map(|pair| &pair.certificate);
        certificates.chain(self.pairs.iter().filter_map(|pair| pair.key.as_ref())).chain(&self.client_ca)
    }
}

impl State {
    fn look(file: &SettingFile, last: Option<&Self>, now: SystemTime) -> Self {
        // Opening it makes a network's file system ask its server.
        let opened = File::open(&file.path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return Self::new(None, Err(error)),
        };
        let identity = Identity::of(&metadata);
        match last {
            Some(last) if last.identity == Some(identity) && is_settled(&metadata, now) => last.clone(),
            _ => {
                let mut content = Vec::new();
                let read = file.take(LARGEST).read_to_end(&mut content);
                Self::new(Some(identity), read.map(|_| content))
            }
        }
    }

    fn new(identity: Option<Identity>, content: io::Result<Vec<u8>>) -> Self {
        let mut hasher = DefaultHasher::new();
        match &content {
            Ok(content) => content.hash(&mut hasher),
            Err(error) => error.raw_os_error().hash(&mut hasher),
        }
        Self { identity, hash: hasher.finish(), content: Arc::new(content) }
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn is_settled(metadata: &Metadata, now: SystemTime) -> bool {
    let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
    age.is_some_and(|age| age > SETTLED)
}

fn refused(file: &SettingFile, reason: FileReason) -> TlsError {
    TlsError::File { file: Box::new(file.clone()), reason }
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileReason> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| damaged(&error))?;
    if found.is_empty() { Err(FileReason::NoCertificate) } else { Ok(found) }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, FileReason> {
    let has = |text: &str| pem.windows(text.len()).any(|window| window == text.as_bytes());
    // The second is how OpenSSL 0.9 wrote it.
    if has("-----BEGIN ENCRYPTED PRIVATE KEY-----") || has("Proc-Type: 4,ENCRYPTED") {
        return Err(FileReason::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => FileReason::NoKey,
        error => damaged(&error),
    })
}

fn damaged(error: &pem::Error) -> FileReason {
    FileReason::Damaged(error.to_string())
}

/// Puts a chain and a key together that belong to each other.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    file: &SettingFile,
) -> Result<CertifiedKey, FileReason> {
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).map_err(FileReason::Key)?;
    let fits = |chain: Vec<CertificateDer<'static>>| {
        let certified = CertifiedKey::new(chain, Arc::clone(&key));
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(error) => Err(error),
        }
    };
    let others: Vec<_> = chain.iter().skip(1).cloned().collect();
    match fits(chain) {
        Ok(certified) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            let place = others.into_iter().position(|other| fits(vec![other]).is_ok());
            Err(place.map_or_else(|| FileReason::Mismatch(file.path.clone()), |place| FileReason::Order(place + 2)))
        }
        Err(error) => Err(FileReason::Certificate { number: 1, message: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
