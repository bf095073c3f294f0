//! The environ dictionary (PEP 3333 "environ Variables").

use std::{borrow::Cow, sync::Arc};

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
    local: Option<(Arc<Local>, Object<'py>, Object<'py>)>,
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
        let (keys, empty) = (Keys::new(py)?, Object::str(py, "")?);
        reserve(py, &template, &keys, &empty)?;
        Ok(Self { template, keys, empty, values: Values::new(py)?, headers: HeaderMap::default(), local: None })
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
        let environ = self.template.copy_dict(py)?;
        self.set_local(py, &environ, &request.local)?;
        let (keys, values) = (&self.keys, &self.values);
        let set = |key: &Object<'py>, value: &Object<'py>| environ.set_item(py, key, value);
        let latin1 = |bytes: &[u8]| if bytes.is_empty() { Ok(self.empty.clone()) } else { Object::latin1(py, bytes) };

        match request.method.as_str() {
            "GET" => set(&keys.request_method, &values.get)?,
            "POST" => set(&keys.request_method, &values.post)?,
            method => set(&keys.request_method, &latin1(method.as_bytes())?)?,
        }
        set(&keys.script_name, &latin1(&request.script_name)?)?;
        set(&keys.path_info, &latin1(&request.path)?)?;
        set(&keys.query_string, &latin1(&request.query)?)?;
        let target = latin1(&request.target)?;
        set(&keys.request_uri, &target)?;
        set(&keys.raw_uri, &target)?;
        let protocol = match request.version {
            Version::HTTP_10 => &values.http_1_0,
            Version::HTTP_2 => &values.http_2,
            _ => &values.http_1_1,
        };
        set(&keys.server_protocol, protocol)?;
        let scheme = if request.scheme == Scheme::Https { &values.https } else { &values.http };
        set(&keys.url_scheme, scheme)?;
        if request.scheme == Scheme::Https {
            set(&keys.is_https, &values.on)?;
        }
        if let Some(facts) = &request.tls {
            self.set_tls(py, &environ, facts)?;
        }
        match request.peer {
            Peer::Tcp(address) => {
                set(&keys.remote_addr, &Object::str(py, &address.ip().to_canonical().to_string())?)?;
                // A proxy seldom tells the port.
                if address.port() != 0 {
                    set(&keys.remote_port, &Object::str(py, &address.port().to_string())?)?;
                }
            }
            Peer::Unix => set(&keys.remote_addr, &self.empty)?,
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

    fn set_local(&mut self, py: Python<'py>, environ: &Object<'py>, local: &Arc<Local>) -> Result<(), Raised<'py>> {
        if !self.local.as_ref().is_some_and(|(known, _, _)| Arc::ptr_eq(known, local)) {
            let (name, port) = (Object::str(py, &local.name)?, Object::str(py, &local.port)?);
            self.local = Some((Arc::clone(local), name, port));
        }
        let (_, name, port) = self.local.as_ref().expect("set above");
        environ.set_item(py, &self.keys.server_name, name)?;
        environ.set_item(py, &self.keys.server_port, port)
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

/// Gives the template the keys that every environ has, and room for those of a browser's fields: a dictionary that grows is made
/// anew, twice for such a request.
fn reserve<'py>(
    py: Python<'py>,
    template: &Object<'py>,
    keys: &Keys<'py>,
    value: &Object<'py>,
) -> Result<(), Raised<'py>> {
    let always = [
        &keys.request_method,
        &keys.script_name,
        &keys.path_info,
        &keys.query_string,
        &keys.request_uri,
        &keys.raw_uri,
        &keys.server_name,
        &keys.server_port,
        &keys.server_protocol,
        &keys.remote_addr,
        &keys.url_scheme,
        &keys.input,
        &keys.errors,
    ];
    for key in always {
        template.set_item(py, key, value)?;
    }
    // A copy has as much room as its original, even where that has lost some.
    let others: Vec<_> = (0..4).map(|number| Object::str(py, &format!("room {number}"))).collect::<Result<_, _>>()?;
    others.iter().try_for_each(|key| template.set_item(py, key, value))?;
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
