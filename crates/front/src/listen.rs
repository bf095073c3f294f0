//! Listeners: sockets, and what is spoken on them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use stack_bridge::Local;
use stack_config::{Bind, Endpoint, Transport};
use stack_listen::{BindError, Bound, ListenSocket, SocketFile, Sockets};
use tokio::sync::watch;

/// Every listener of the server. Dropping it closes them and removes the files of Unix sockets.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) all: Vec<Listener>,
    given_up: GivenUp,
    /// Every acceptor keeps one of these for as long as it accepts.
    pub(crate) open: Option<watch::Receiver<()>>,
}

/// Listeners that nobody accepts on when another server takes over, by their places. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct GivenUp(Arc<Mutex<Vec<usize>>>);

impl GivenUp {
    /// Notes some, before the front is told.
    pub fn add(&self, places: &[usize]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(places);
    }

    pub(crate) fn contains(&self, place: usize) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }
}

/// Knows when nobody accepts on the listeners any more.
#[derive(Debug)]
pub struct Closing(watch::Sender<()>);

impl Closing {
    /// Waits until then.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// One bound socket, not blocking.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: ListenSocket,
    /// What requests on it get as `SERVER_NAME` and `SERVER_PORT`.
    pub(crate) local: Arc<Local>,
    pub(crate) address: String,
    /// Whether its connections begin with a handshake.
    pub(crate) is_tls: bool,
    /// Removes the file of a Unix socket that is ours.
    pub(crate) file: Option<SocketFile>,
}

impl Listeners {
    /// Binds everything, or nothing. `backlog` is the kernel's accept queue of each listener.
    pub fn bind(endpoints: &[Endpoint], backlog: u32) -> Result<Self, BindError> {
        let binds: Vec<Bind> = endpoints.iter().map(|endpoint| endpoint.bind.clone()).collect();
        let mut sockets = Sockets::default();
        let groups = sockets.listen(&binds, backlog)?;
        let groups = groups.into_iter().map(|ids| ids.into_iter().filter_map(|id| sockets.take(id)).collect());
        Ok(Self::new(endpoints, groups.collect()))
    }

    /// Listeners on sockets that are there already: for each endpoint those that its address has come to.
    pub fn new(endpoints: &[Endpoint], sockets: Vec<Vec<Bound>>) -> Self {
        let listeners = endpoints.iter().zip(sockets).flat_map(|(endpoint, sockets)| {
            sockets.into_iter().map(|bound| Listener::new(bound).with_transport(endpoint.transport))
        });
        Self { all: listeners.collect(), given_up: GivenUp::default(), open: None }
    }

    /// Where to note listeners that nobody will accept on any more.
    pub fn given_up(&self) -> GivenUp {
        self.given_up.clone()
    }

    /// Where to wait until they are accepted on no more.
    pub fn closing(&mut self) -> Closing {
        let (sender, receiver) = watch::channel(());
        self.open = Some(receiver);
        Closing(sender)
    }

    /// The port of the first TCP listener that speaks TLS.
    pub(crate) fn tls_port(&self) -> Option<u16> {
        let encrypted = self.all.iter().filter(|listener| listener.is_tls);
        encrypted.filter_map(|listener| listener.socket.tcp_address()).map(|address| address.port()).next()
    }

    /// Where the server can be reached: `http://127.0.0.1:8000`, with the real port where 0 was asked for.
    pub fn describe(&self) -> Vec<String> {
        self.all.iter().map(|listener| listener.address.clone()).collect()
    }

    /// The TCP addresses that are bound, in the order they were asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.all.iter().filter_map(|listener| listener.socket.tcp_address()).collect()
    }
}

impl Listener {
    fn new(bound: Bound) -> Self {
        let Bound { socket, file } = bound;
        let (local, address) = match (&socket, socket.tcp_address()) {
            (_, Some(address)) => {
                let local = Local { name: address.ip().to_string(), port: address.port().to_string() };
                (local, format!("http://{address}"))
            }
            (ListenSocket::Unix(socket), None) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                (unix(), path.map_or_else(|| "unix:".to_owned(), |path| format!("unix:{}", path.display())))
            }
            // The system does not tell, which it always does of a socket that listens.
            (ListenSocket::Tcp(_), None) => (unix(), "http://localhost".to_owned()),
        };
        Self { socket, local: Arc::new(local), address, is_tls: false, file }
    }

    fn with_transport(self, transport: Transport) -> Self {
        let is_tcp = matches!(self.socket, ListenSocket::Tcp(_));
        match transport {
            Transport::Tls => {}
            Transport::TlsOnTcp if is_tcp => {}
            Transport::Plain | Transport::TlsOnTcp => return self,
        }
        let Self { socket, local, address, is_tls: _, file } = self;
        let (local, address) = match address.strip_prefix("http://") {
            Some(address) => (local, format!("https://{address}")),
            None => {
                (Arc::new(Local { name: local.name.clone(), port: "443".to_owned() }), format!("https://{address}"))
            }
        };
        Self { socket, local, address, is_tls: true, file }
    }
}

/// Neither may be empty (PEP 3333 "environ Variables"), and a path is neither.
fn unix() -> Local {
    Local { name: "localhost".to_owned(), port: "80".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_described_as_what_it_speaks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let tcp = || Bind::Tcp { written: "127.0.0.1:0".into(), addresses: vec!["127.0.0.1:0".parse().unwrap()] };
        let endpoint = |bind, transport| Endpoint { bind, transport };
        let endpoints = [
            endpoint(tcp(), Transport::Plain),
            endpoint(tcp(), Transport::Tls),
            endpoint(tcp(), Transport::TlsOnTcp),
            endpoint(Bind::Unix(path.clone()), Transport::TlsOnTcp),
        ];
        let listeners = Listeners::bind(&endpoints, 16).unwrap();
        let ports: Vec<_> = listeners.addresses().iter().map(SocketAddr::port).collect();
        let expected = [
            format!("http://127.0.0.1:{}", ports[0]),
            format!("https://127.0.0.1:{}", ports[1]),
            format!("https://127.0.0.1:{}", ports[2]),
            format!("unix:{}", path.display()),
        ];
        assert_eq!(listeners.describe(), expected);
        assert_eq!(listeners.tls_port(), Some(ports[1]));
        drop(listeners);
        let encrypted = Listeners::bind(&[endpoint(Bind::Unix(path.clone()), Transport::Tls)], 16).unwrap();
        assert_eq!(encrypted.describe(), [format!("https://unix:{}", path.display())]);
        assert_eq!(encrypted.all[0].local.port, "443");
        assert_eq!(encrypted.tls_port(), None);
    }
}
