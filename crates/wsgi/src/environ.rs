//! The environ dictionary (PEP 3333 "environ Variables").

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, TRANSFER_ENCODING},
};
use stack_bridge::{ClientCertificate, Local, Peer, Request, Scheme, TlsFacts};
use stack_interp::{Object, Python, Raised};

/// `Proxy:` would become `HTTP_PROXY`, which CGI-minded libraries take for their proxy ("httpoxy").
const PROXY: HeaderName = HeaderName::from_static("proxy");

/// Header names kept with their keys; past that, names that clients make up would grow the table without end.
const MAX_KEPT_NAMES: usize = 256;

/// What every environ of a thread has in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Whether other threads run the application in this interpreter.
    pub(crate) multithread: bool,
    /// Whether other interpreters or processes run it.
    pub(crate) multiprocess: bool,
}

/// Makes environs, with all that is the same in every request made once.
#[derive(Debug)]
pub(crate) struct Environs<'py> {
    template: Object<'py>,
    keys: Keys<'py>,
    empty: Object<'py>,
    values: Values<'py>,
    /// Keys by the names of fields: a map that is made for those, and is not slowed down by names that are made up to collide.
    headers: HeaderMap<Option<Object<'py>>>,
    /// Whose listener's name and port the template has.
    local: Option<Arc<Local>>,
    /// Whose address it has; `None`: that of a client without one.
    address: Option<IpAddr>,
}

macro_rules! names {
    ($struct:ident: $($field:ident = $text:literal),* $(,)?) => {
        #[derive(Debug)]
        struct $struct<'py> { $($field: Object<'py>,)* }

        impl<'py> $struct<'py> {
            fn new(py: Python<'py>) -> Result<Self, Raised<'py>> {
                Ok(Self { $($field: Object::interned(py, $text)?,)* })
            }
        }
    };
}

names!(Keys:
    request_method = "REQUEST_METHOD",
    script_name = "SCRIPT_NAME",
    path_info = "PATH_INFO",
    query_string = "QUERY_STRING",
    request_uri = "REQUEST_URI",
    raw_uri = "RAW_URI",
    content_type = "CONTENT_TYPE",
    content_length = "CONTENT_LENGTH",
    server_name = "SERVER_NAME",
    server_port = "SERVER_PORT",
    server_protocol = "SERVER_PROTOCOL",
    remote_addr = "REMOTE_ADDR",
    remote_port = "REMOTE_PORT",
    url_scheme = "wsgi.url_scheme",
    input = "wsgi.input",
    errors = "wsgi.errors",
    is_https = "HTTPS",
    ssl_protocol = "SSL_PROTOCOL",
    ssl_cipher = "SSL_CIPHER",
    ssl_server_name = "SSL_TLS_SNI",
    ssl_client_verify = "SSL_CLIENT_VERIFY",
    ssl_client_subject = "SSL_CLIENT_S_DN",
    ssl_client_issuer = "SSL_CLIENT_I_DN",
    ssl_client_serial = "SSL_CLIENT_M_SERIAL",
    ssl_client_certificate = "SSL_CLIENT_CERT",
);

names!(Values: http_1_0 = "HTTP/1.0", http_1_1 = "HTTP/1.1", http_2 = "HTTP/2", http = "http", https = "https", get = "GET", post = "POST", on = "on", none = "NONE", success = "SUCCESS");

impl<'py> Environs<'py> {
    pub(crate) fn new(py: Python<'py>, facts: Facts, file_wrapper: &Object<'py>) -> Result<Self, Raised<'py>> {
        let template = Object::dict(py)?;
        let version = Object::tuple(py, vec![Object::int(py, 1)?, Object::int(py, 0)?])?;
        let software = Object::interned(py, concat!("stack/", env!("CARGO_PKG_VERSION")))?;
        let entries = [
            ("wsgi.version", version),
            ("wsgi.multithread", Object::bool(py, facts.multithread)),
            ("wsgi.multiprocess", Object::bool(py, facts.multiprocess)),
            ("wsgi.run_once", Object::bool(py, false)),
            // The input ends where the body ends, whatever CONTENT_LENGTH says: it is read completely before.
            ("wsgi.input_terminated", Object::bool(py, true)),
            ("wsgi.file_wrapper", file_wrapper.clone()),
            ("SERVER_SOFTWARE", software),
        ];
        for (key, value) in entries {
            template.set_item(py, &Object::interned(py, key)?, &value)?;
        }
        let (keys, values, empty) = (Keys::new(py)?, Values::new(py)?, Object::str(py, "")?);
        fill(py, &template, &keys, &values, &empty)?;
        let headers = HeaderMap::default();
        Ok(Self { template, keys, empty, values, headers, local: None, address: None })
    }

    /// The environ of one request, whose body of `body_length` bytes has been taken out of it.
    pub(crate) fn make(
        &mut self,
        py: Python<'py>,
        request: &Request,
        body_length: u64,
        input: &Object<'py>,
        errors: &Object<'py>,
    ) -> Result<Object<'py>, Raised<'py>> {
        self.put_listener(py, &request.local)?;
        self.put_address(py, request.peer)?;
        let environ = self.template.copy_dict(py)?;
        let (keys, values) = (&self.keys, &self.values);
        let set = |key: &Object<'py>, value: &Object<'py>| environ.set_item(py, key, value);
        let latin1 = |bytes: &[u8]| if bytes.is_empty() { Ok(self.empty.clone()) } else { Object::latin1(py, bytes) };

        // What is not set here is in the template: see `fill`.
        match request.method.as_str() {
            "GET" => {}
            "POST" => set(&keys.request_method, &values.post)?,
            method => set(&keys.request_method, &latin1(method.as_bytes())?)?,
        }
        if !request.script_name.is_empty() {
            set(&keys.script_name, &latin1(&request.script_name)?)?;
        }
        let target = latin1(&request.target)?;
        if request.path == request.target {
            set(&keys.path_info, &target)?;
        } else {
            set(&keys.path_info, &latin1(&request.path)?)?;
        }
        if !request.query.is_empty() {
            set(&keys.query_string, &latin1(&request.query)?)?;
        }
        set(&keys.request_uri, &target)?;
        set(&keys.raw_uri, &target)?;
        match request.version {
            Version::HTTP_10 => set(&keys.server_protocol, &values.http_1_0)?,
            Version::HTTP_2 => set(&keys.server_protocol, &values.http_2)?,
            _ => {}
        }
        if request.scheme == Scheme::Https {
            set(&keys.url_scheme, &values.https)?;
            set(&keys.is_https, &values.on)?;
        }
        if let Some(facts) = &request.tls {
            self.set_tls(py, &environ, facts)?;
        }
        // A proxy seldom tells the port.
        if let Peer::Tcp(address) = request.peer
            && address.port() != 0
        {
            set(&keys.remote_port, &latin1(itoa::Buffer::new().format(address.port()).as_bytes())?)?;
        }
        set(&keys.input, input)?;
        set(&keys.errors, errors)?;
        self.set_headers(py, &environ, &request.headers, body_length)?;
        Ok(environ)
    }

    /// In the words of `mod_ssl`, which applications know. A client can not forge them: its fields begin with `HTTP_`.
    fn set_tls(&self, py: Python<'py>, environ: &Object<'py>, facts: &TlsFacts) -> Result<(), Raised<'py>> {
        let (keys, values) = (&self.keys, &self.values);
        let set = |key: &Object<'py>, value: &str| environ.set_item(py, key, &Object::latin1(py, value.as_bytes())?);
        set(&keys.ssl_protocol, &facts.protocol)?;
        set(&keys.ssl_cipher, &facts.cipher)?;
        if let Some(name) = &facts.server_name {
            set(&keys.ssl_server_name, name)?;
        }
        let Some(ClientCertificate { subject, issuer, serial, pem }) = &facts.client else {
            return environ.set_item(py, &keys.ssl_client_verify, &values.none);
        };
        environ.set_item(py, &keys.ssl_client_verify, &values.success)?;
        set(&keys.ssl_client_subject, subject)?;
        set(&keys.ssl_client_issuer, issuer)?;
        set(&keys.ssl_client_serial, serial)?;
        set(&keys.ssl_client_certificate, pem)
    }

    /// Puts the listener's name and port into the template. Most requests come in on the one of the request before.
    fn put_listener(&mut self, py: Python<'py>, local: &Arc<Local>) -> Result<(), Raised<'py>> {
        if self.local.as_ref().is_some_and(|known| Arc::ptr_eq(known, local)) {
            return Ok(());
        }
        self.local = None;
        self.template.set_item(py, &self.keys.server_name, &Object::str(py, &local.name)?)?;
        self.template.set_item(py, &self.keys.server_port, &Object::str(py, &local.port)?)?;
        self.local = Some(Arc::clone(local));
        Ok(())
    }

    /// Puts the client's address into the template. Behind a proxy that is the same for long.
    fn put_address(&mut self, py: Python<'py>, peer: Peer) -> Result<(), Raised<'py>> {
        let address = match peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Unix => None,
        };
        if self.address != address {
            let text = address.map_or(String::new(), |address| address.to_string());
            self.template.set_item(py, &self.keys.remote_addr, &Object::str(py, &text)?)?;
            self.address = address;
        }
        Ok(())
    }

    fn set_headers(
        &mut self,
        py: Python<'py>,
        environ: &Object<'py>,
        headers: &HeaderMap,
        body_length: u64,
    ) -> Result<(), Raised<'py>> {
        // The values of a name come one after the other.
        let mut fields = headers.iter().peekable();
        while let Some((name, value)) = fields.next() {
            let mut value = Cow::Borrowed(value.as_bytes());
            while let Some((_, further)) = fields.next_if(|(next, _)| *next == name) {
                join(name, value.to_mut(), further);
            }
            let key = match *name {
                CONTENT_TYPE => self.keys.content_type.clone(),
                CONTENT_LENGTH => self.keys.content_length.clone(),
                // Decoded on the way in; what is left of it for the application is the body's length.
                TRANSFER_ENCODING => {
                    let length = Object::str(py, &body_length.to_string())?;
                    environ.set_item(py, &self.keys.content_length, &length)?;
                    continue;
                }
                _ => match header_key(py, &mut self.headers, name)? {
                    Some(key) => key,
                    None => continue,
                },
            };
            environ.set_item(py, &key, &Object::latin1(py, &value)?)?;
        }
        // Framed by the protocol itself, as in HTTP/2.
        if body_length > 0 && !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
            environ.set_item(py, &self.keys.content_length, &Object::str(py, &body_length.to_string())?)?;
        }
        Ok(())
    }
}

/// Gives the template what a plain `GET` has, the keys that every environ has besides, and room for those of a browser's fields:
/// a dictionary that grows is made anew, twice for such a request.
fn fill<'py>(
    py: Python<'py>,
    template: &Object<'py>,
    keys: &Keys<'py>,
    values: &Values<'py>,
    empty: &Object<'py>,
) -> Result<(), Raised<'py>> {
    let entries = [
        (&keys.request_method, &values.get),
        (&keys.script_name, empty),
        (&keys.path_info, empty),
        (&keys.query_string, empty),
        (&keys.request_uri, empty),
        (&keys.raw_uri, empty),
        (&keys.server_name, empty),
        (&keys.server_port, empty),
        (&keys.server_protocol, &values.http_1_1),
        (&keys.remote_addr, empty),
        (&keys.url_scheme, &values.http),
        (&keys.input, empty),
        (&keys.errors, empty),
    ];
    entries.iter().try_for_each(|(key, value)| template.set_item(py, key, value))?;
    // A copy has as much room as its original, even where that has lost some.
    let others: Vec<_> = (0..4).map(|number| Object::str(py, &format!("room {number}"))).collect::<Result<_, _>>()?;
    others.iter().try_for_each(|key| template.set_item(py, key, empty))?;
    others.iter().try_for_each(|key| template.delete_item(py, key))
}

/// Joins the values of a field as RFC 9110 §5.3 allows; those of Cookie by `; ` (RFC 6265 §5.4).
fn join(name: &HeaderName, value: &mut Vec<u8>, further: &HeaderValue) {
    value.extend_from_slice(if *name == COOKIE { b"; " } else { b"," });
    value.extend_from_slice(further.as_bytes());
}

/// `HTTP_` and the name in capitals. A name with an underscore has none: it could not be told from one with a hyphen,
/// and a client could so forge a field that a proxy in front sets.
fn header_key<'py>(
    py: Python<'py>,
    known: &mut HeaderMap<Option<Object<'py>>>,
    name: &HeaderName,
) -> Result<Option<Object<'py>>, Raised<'py>> {
    if let Some(key) = known.get(name) {
        return Ok(key.clone());
    }
    if known.len() >= MAX_KEPT_NAMES {
        known.clear();
    }
    let dropped = name.as_str().contains('_') || *name == PROXY;
    let key = format!("HTTP_{}", name.as_str().to_ascii_uppercase().replace('-', "_"));
    // Not interned: interned strings live as long as the interpreter, and clients make up names.
    let key = if dropped { None } else { Some(Object::str(py, &key)?) };
    known.insert(name.clone(), key.clone());
    Ok(key)
}
