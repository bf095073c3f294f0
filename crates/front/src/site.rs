//! Sites: which one a request is for, and what it gets there.
//!
//! The order is nginx's: the host chooses the site; its canonical host, returns and redirects answer at once; a rewrite gives
//! the request another path, once; then the longest prefix of a static root or a mounted application has it, then a file in
//! a document root, then the application at the root.

mod fields;
pub(crate) mod host;
mod pages;
mod patterns;
mod prefixes;
mod rules;
mod target;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header, request::Parts};
use stack_bridge::RequestId;
use stack_config::{Host, Layout, StaticRoot};

use self::{
    fields::Fields,
    host::LONGEST,
    pages::{Pages, Whose},
    prefixes::{Prefixes, Reach},
    rules::Rules,
};
use crate::{
    application::Application,
    compression,
    development::MayReload,
    error::{Error, IsError},
    files::{self, AtHand, DocumentRoot, FileService, Internal, OwnedPrefix},
    path,
    request::Context,
};

/// All sites.
#[derive(Debug)]
pub(crate) struct Sites {
    all: Vec<Site>,
    exact: HashMap<Box<[u8]>, usize>,
    /// By what is behind `*.`.
    below: HashMap<Box<[u8]>, usize>,
    default: Option<usize>,
    /// Whether a path may name a file anywhere, without a rule that would have to be asked first.
    may_have_content: bool,
    /// For errors that no site is there for.
    dress: Dress,
}

/// What every response of a site gets at last.
#[derive(Debug)]
pub(crate) struct Dress {
    fields: Fields,
    pages: Pages,
}

/// One site.
#[derive(Debug)]
pub(crate) struct Site {
    rules: Option<Box<Rules>>,
    prefixes: Prefixes<Owner>,
    document_roots: Vec<DocumentRoot>,
    application: Option<Arc<Application>>,
    files: FileService,
    dress: Dress,
}

/// Who has everything below a prefix.
#[derive(Debug)]
enum Owner {
    Files(OwnedPrefix),
    Application { mount: Bytes, application: Arc<Application> },
}

impl Owner {
    fn is_files(&self) -> bool {
        matches!(self, Self::Files(_))
    }
}

/// Where a path leads on its site.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// To the files of a static root that owns its prefix.
    Files(&'a OwnedPrefix),
    /// To an application below a prefix, which is its `SCRIPT_NAME`.
    Mount(&'a Bytes, &'a Application),
    /// To the document roots and the application at the root.
    Root,
}

/// How a request came to its application, where that is not as it was sent. An extension of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routed {
    /// The target as it was sent, where its path has been rewritten since.
    pub(crate) original: Option<Uri>,
    /// The prefix of the application, decoded.
    pub(crate) mount: Bytes,
}

impl Sites {
    /// Sites with these applications, in the order of the layout.
    pub(crate) fn new(layout: Layout, applications: &[Arc<Application>], files: &FileService) -> Self {
        let mut sites = Self {
            all: Vec::new(),
            exact: HashMap::new(),
            below: HashMap::new(),
            default: None,
            may_have_content: false,
            dress: Dress::new(&layout.rules),
        };
        for site in layout.sites {
            let place = sites.all.len();
            for host in &site.hosts {
                match host {
                    Host::Exact(name) => sites.exact.insert(name.as_bytes().into(), place),
                    Host::Below(name) => sites.below.insert(name.as_bytes().into(), place),
                };
            }
            if site.is_default {
                sites.default.get_or_insert(place);
            }
            let site = Site::new(site, applications, files);
            sites.may_have_content |= site.may_have_content();
            sites.all.push(site);
        }
        sites
    }

    /// The site of a host: by its exact name, then by the longest `*.NAME` that it is below, then the default one.
    pub(crate) fn find(&self, host: Option<&[u8]>) -> Option<&Site> {
        let named = host.filter(|_| !self.exact.is_empty() || !self.below.is_empty()).and_then(|host| {
            let mut buffer = [0; LONGEST];
            self.find_lowered(host::lowered(host, &mut buffer)?)
        });
        Some(&self.all[named.or(self.default)?])
    }

    /// Whether a site has exactly this name.
    pub(crate) fn are_named(&self, host: &[u8]) -> bool {
        let mut buffer = [0; LONGEST];
        host::lowered(host, &mut buffer).is_some_and(|host| self.exact.contains_key(host))
    }

    fn find_lowered(&self, host: &[u8]) -> Option<usize> {
        if let Some(&place) = self.exact.get(host) {
            return Some(place);
        }
        if self.below.is_empty() {
            return None;
        }
        let dots = host.iter().enumerate().filter(|(at, byte)| **byte == b'.' && *at > 0);
        dots.map(|(at, _)| &host[at + 1..]).find_map(|parent| self.below.get(parent).copied())
    }

    /// Serves a directory that an application of the site at this place has named.
    pub(crate) fn add_directory(&mut self, site: usize, prefix: &str, directory: PathBuf, is_of_users: bool) {
        let Site { files, prefixes, .. } = &mut self.all[site];
        let owned = files.of_application(prefix, directory, is_of_users);
        prefixes.insert(prefix, Owner::Files(owned));
        self.may_have_content |= self.all[site].may_have_content();
    }

    /// Whether [`Site::at_hand`] gives anything for any path of any site.
    pub(crate) fn may_have_content(&self) -> bool {
        self.may_have_content
    }

    /// What a response of the site gets at last; without one, what those of the default site do, or else of the top level.
    pub(crate) fn dress<'a>(&'a self, site: Option<&'a Site>) -> &'a Dress {
        site.or_else(|| self.find(None)).map_or(&self.dress, |site| &site.dress)
    }

    /// Has the site answer, or refuses a host that none serves (RFC 9110 §15.5.20).
    pub(crate) async fn respond(&self, site: Option<&Site>, request: Request<Body>) -> Response {
        match site {
            Some(site) => site.respond(request).await,
            None => Error::Misdirected.respond(id(request.extensions())),
        }
    }
}

impl Site {
    fn new(site: stack_config::Site, applications: &[Arc<Application>], files: &FileService) -> Self {
        let mut prefixes = Prefixes::default();
        let mut document_roots = Vec::new();
        for StaticRoot { prefix, directory } in site.statics {
            match prefix {
                Some(prefix) => {
                    let owned = files.owned(prefix.clone(), directory);
                    prefixes.insert(&prefix, Owner::Files(owned));
                }
                None => document_roots.push(files.document_root(directory)),
            }
        }
        for (prefix, place) in site.mounts {
            let application = Arc::clone(&applications[place]);
            let mount = Bytes::copy_from_slice(prefix.as_bytes());
            prefixes.insert(&prefix, Owner::Application { mount, application });
        }
        Self {
            dress: Dress::new(&site.rules),
            rules: Rules::new(site.rules).map(Box::new),
            prefixes,
            document_roots,
            application: site.application.map(|place| Arc::clone(&applications[place])),
            files: files.clone(),
        }
    }

    /// Where a decoded path leads: for each path the same as for what of it the application gets.
    pub(crate) fn route(&self, decoded: &[u8]) -> Route<'_> {
        if self.prefixes.is_empty() {
            return Route::Root;
        }
        match self.prefixes.find(&path::merged(decoded), Reach::WithItself) {
            Some((Owner::Files(owned), _)) => Route::Files(owned),
            Some((Owner::Application { mount, application }, _)) => Route::Mount(mount, application),
            None => Route::Root,
        }
    }

    fn may_have_content(&self) -> bool {
        self.rules.is_none() && (!self.document_roots.is_empty() || self.prefixes.values().any(Owner::is_files))
    }

    /// The file that a path names and that is at hand, where nothing but a file can be meant: in its normal form, on a site without
    /// rules, in the first place that is looked at.
    pub(crate) fn at_hand<'a>(&'a self, path: &'a str, sends_files: bool) -> Option<AtHand<'a>> {
        if self.rules.is_some() {
            return None;
        }
        let decoded = path::decode(path.as_bytes());
        match self.route(&decoded) {
            Route::Files(owned) => owned.at_hand(decoded, sends_files),
            Route::Mount(..) => None,
            Route::Root => {
                let root = self.document_roots.first().filter(|_| !self.files.is_internal(path))?;
                root.at_hand(decoded, sends_files)
            }
        }
    }

    /// The application that a path leads to, and its prefix, where nothing comes before it: the path in its normal form, on a site
    /// without rules, which has no date of its own, and without a file for it.
    pub(crate) fn application_of(&self, method: &Method, path: &str) -> Option<(Bytes, &Application)> {
        if self.rules.is_some() || self.dress.fields.change(&header::DATE) {
            return None;
        }
        let decoded = path::decode(path.as_bytes());
        match self.route(&decoded) {
            Route::Files(_) => None,
            Route::Mount(mount, application) => Some((mount.clone(), application)),
            Route::Root => {
                let application = self.application.as_deref()?;
                let may_be_a_file = |root: &DocumentRoot| root.may_have(method, &decoded);
                if self.document_roots.iter().any(may_be_a_file) && !self.files.is_internal(path) {
                    return None;
                }
                Some((Bytes::new(), application))
            }
        }
    }

    /// What of an application's responses is compressed.
    pub(crate) fn compression(&self) -> &compression::Policy {
        &self.files.compression
    }

    async fn respond(&self, request: Request<Body>) -> Response {
        let (mut parts, body) = request.into_parts();
        let prepared = normalise(&mut parts).map_err(Error::Path).and_then(|()| match &self.rules {
            Some(rules) => rules.apply(&mut parts),
            None => Ok(None),
        });
        match prepared {
            Ok(None) => {}
            Ok(Some(response)) => return response,
            Err(error) => return error.respond(id(&parts.extensions)),
        }
        let decoded = path::decode(parts.uri.path().as_bytes());
        match self.route(&decoded) {
            // In boxes: what a file takes is not to be part of every request.
            Route::Files(owned) => Box::pin(owned.respond(&parts)).await,
            Route::Mount(mount, application) => {
                let mount = mount.clone();
                drop(decoded);
                parts.extensions.get_or_insert_default::<Routed>().mount = mount;
                run(application, &self.files, parts, body).await
            }
            Route::Root => {
                drop(decoded);
                self.at_root(parts, body).await
            }
        }
    }

    async fn at_root(&self, parts: Parts, body: Body) -> Response {
        if !self.document_roots.is_empty() && !self.files.is_internal(parts.uri.path()) {
            for root in &self.document_roots {
                if let Some(response) = Box::pin(root.respond(&parts)).await {
                    return response;
                }
            }
            for root in &self.document_roots {
                if let Some(response) = Box::pin(root.fall_back(&parts)).await {
                    return response;
                }
            }
        }
        match &self.application {
            Some(application) => run(application, &self.files, parts, body).await,
            None => Error::NothingThere.respond(id(&parts.extensions)),
        }
    }
}

impl Dress {
    fn new(rules: &stack_config::Rules) -> Self {
        let pages = Pages::new(&rules.error_pages, rules.error_pages_for_application);
        Self { fields: Fields::new(&rules.fields), pages }
    }

    /// The page of an error, in the place of what it has.
    pub(crate) fn put_page(&self, response: &mut Response, id: RequestId, accept: Option<&HeaderValue>) {
        if is_failure(response) {
            self.pages.dress(response, id, accept);
        }
    }

    /// The site's own fields.
    pub(crate) fn put_fields(&self, response: &mut Response) {
        self.fields.apply(response.headers_mut());
        // A field of the site's must not let an upload act in the site's name.
        files::protect(response);
    }
}

fn is_failure(response: &Response) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

/// Has the application answer; what it sends is a file's content in its place, or compressed.
async fn run(application: &Application, files: &FileService, parts: Parts, body: Body) -> Response {
    let id = id(&parts.extensions);
    let (facts, kept) = (compression::Facts::of(&parts.method, &parts.headers), files.internal.keep(&parts));
    let mut response = application.respond(Request::from_parts(parts, body)).await;
    response.extensions_mut().insert(MayReload);
    if response.extensions().get::<IsError>().is_some() {
        return response;
    }
    let names_a_file = Internal::is_wished_for(&response);
    if names_a_file {
        response = Box::pin(files.internal.apply(kept, id, response)).await;
    }
    if is_failure(&response) && response.extensions().get::<IsError>().is_none() {
        response.extensions_mut().insert(Whose::Application);
    }
    if names_a_file {
        response.extensions_mut().remove::<MayReload>();
    }
    // A file has its representations already, and may be larger than memory.
    if names_a_file { response } else { compression::apply(&files.compression, &facts, response).await }
}

/// Gives the request the normal form of its path.
fn normalise(parts: &mut Parts) -> Result<(), path::BadPath> {
    if let Some(normal) = path::normalise(parts.uri.path())? {
        let target = match parts.uri.query() {
            Some(query) => format!("{normal}?{query}"),
            None => normal,
        };
        retarget(parts, &target)?;
    }
    Ok(())
}

/// Gives the request another target, and keeps the one that was sent. One that is too long is none.
fn retarget(parts: &mut Parts, target: &str) -> Result<(), path::BadPath> {
    let uri = target.parse::<Uri>().map_err(|_| path::BadPath::NoTarget)?;
    let original = std::mem::replace(&mut parts.uri, uri);
    parts.extensions.get_or_insert_default::<Routed>().original.get_or_insert(original);
    Ok(())
}

fn id(extensions: &http::Extensions) -> RequestId {
    extensions.get::<Context>().expect("every request gets one before its route").id
}

#[cfg(test)]
mod tests;
