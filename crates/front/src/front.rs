//! Serving, from the first accept to the end of the drain.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use stack_bridge::{Peer, Queue, Scheme};
use stack_config::Config;
use stack_listen::ListenSocket;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    access_log::{AccessLogError, ReopenLog, Writer},
    admin::Admin,
    admission::arrival,
    connection::{self, Connection, Order, Origin, registry::Registry},
    development::Development,
    listen::{GivenUp, Listener, Listeners},
    metrics::Metrics,
    server::Server,
    tls::{self, Tls},
    transport::Plain,
};

/// How long an acceptor rests when the system has no descriptor or memory for it.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How long one complaint of an acceptor stands for all that follow.
const QUIET: Duration = Duration::from_secs(10);

/// How long the end of serving waits for the access log: nobody may be reading it any more.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How long connections that wait in a backlog are taken over before its listener closes: in all, and between two.
const LAST_ACCEPTS: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(10);

/// How long a connection that was used, or opened, may be used once more after the server was told to stop. Its client knows
/// nothing of that yet, and may be sending already what a close would lose.
const LAST_USE: Duration = Duration::from_secs(1);

/// What the server is to do. It only ever moves down this list; a sender that is gone counts as draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Accept and answer.
    Serving,
    /// The same, but tell those who ask for the server's health that it will stop.
    Leaving,
    /// As draining, but another process accepts on the same sockets: what waits there is left to it.
    HandedOver,
    /// Accept nothing, close idle connections, finish what is in flight within the grace period.
    Draining,
    /// Cut off what is in flight.
    Aborting,
}

/// How the drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Requests that were in flight at the end of the grace period, or when the drain was aborted.
    pub cut_off: usize,
}

/// A front that is ready to serve.
#[derive(Debug)]
pub struct Front {
    /// Shared as soon as there is a connection.
    pub(crate) server: Arc<Server>,
    access_log: Option<Writer>,
    admin: Admin,
    grace_period: Duration,
}

impl Front {
    /// Makes a front that sends requests to the queues of their applications, which are in the order of the configuration's
    /// [layout](Config::layout). Opens the access log and starts its thread.
    ///
    /// # Panics
    ///
    /// If an application has no queue.
    pub fn new(config: &Config, queues: Vec<Queue>) -> Result<Self, AccessLogError> {
        let (access_log, log) = Writer::start(&config.log.access, config.log.format)?.unzip();
        let server = Arc::new(Server::new(config, queues, log));
        let path = config.clients.health.path.as_deref();
        let admin = Admin::new(path, Arc::clone(&server.health), Arc::clone(&server.metrics));
        Ok(Self { server, access_log, admin, grace_period: config.timeouts.grace_period })
    }

    /// What answers on the admin listeners, if there are any. It does so from now on, until long after [`Self::serve`].
    pub fn admin(&self) -> Admin {
        self.admin.clone()
    }

    /// The same with TLS, which listeners that speak it need.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.not_shared_yet().tls = tls.map(Arc::new);
        self
    }

    /// Serves a directory that an application has named, below `prefix` of the site at this place of the layout. What users
    /// have put there is sent so that it can not act in the site's name. Whether the prefix is free is for the caller to know
    /// ([`leaves_free`](stack_config::Site::leaves_free)).
    pub fn serve_directory(&mut self, site: usize, prefix: &str, directory: PathBuf, is_of_users: bool) {
        self.not_shared_yet().sites.add_directory(site, prefix, directory, is_of_users);
    }

    /// The same for somebody who writes the application.
    #[must_use]
    pub fn with_development(mut self, development: Option<Development>) -> Self {
        self.not_shared_yet().development = development;
        self
    }

    fn not_shared_yet(&mut self) -> &mut Server {
        Arc::get_mut(&mut self.server).expect("a front is set up before it has connections")
    }

    /// A way to have the access log opened again, if there is one.
    pub fn reopen_log(&self) -> Option<ReopenLog> {
        self.access_log.as_ref().map(Writer::reopen)
    }

    /// The counters. They stay readable after the end of [`Self::serve`].
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.server.metrics)
    }

    /// Serves until `stop` says otherwise, then drains. On return every connection and listener is closed and the access
    /// log is written. The queues are left open: whoever owns them closes them.
    ///
    /// Runs on a tokio runtime with time and I/O enabled.
    pub async fn serve(self, listeners: Listeners, mut stop: watch::Receiver<Stop>) -> Drained {
        let Self { server, access_log, admin: _, grace_period } = self;
        server.health.start(stop.clone());
        // A browser must not get the old code once more, and what it would lose by a close it asks for again.
        let last_use = if server.development.is_some() { Duration::ZERO } else { LAST_USE };
        let left = server.development.as_ref().map(|development| development.start(stop.clone()));
        let registry = Arc::new(Registry::new(server.limits.max_connections.get(), Arc::clone(&server.metrics)));
        let (cut_off, cut_offs) = mpsc::unbounded_channel();

        let following = server.tls.as_ref().map(|tls| AbortOnDrop(tokio::spawn(tls::follow(Arc::clone(tls)))));
        let redirect_to = listeners.tls_port().filter(|_| server.https_redirect);
        let mut acceptors = JoinSet::new();
        let (given_up, open) = (listeners.given_up(), listeners.open);
        for (place, listener) in listeners.all.into_iter().enumerate() {
            let acceptor = Acceptor {
                place,
                given_up: given_up.clone(),
                server: Arc::clone(&server),
                registry: Arc::clone(&registry),
                stop: stop.clone(),
                cut_off: cut_off.clone(),
                redirect_to,
                _open: open.clone(),
            };
            acceptors.spawn(acceptor.run(listener));
        }
        drop((cut_off, open));
        // An acceptor may be waiting for a place, which only the drain makes.
        tokio::select! {
            () = join(&mut acceptors) => {}
            () = until(&mut stop, Stop::HandedOver) => {}
        }

        drop(following);
        // A process without a working listener has nothing to wait for: it drains as well.
        let deadline = Instant::now() + grace_period;
        registry.leave(last_use);
        let all_done = async {
            join(&mut acceptors).await;
            // Those that were taken over from the backlog.
            registry.leave(last_use);
            if timeout(last_use, registry.empty()).await.is_err() {
                registry.command(Order::Drain);
                if let Some(left) = &left {
                    left.send_replace(true);
                }
                registry.empty().await;
            }
        };
        tokio::select! {
            () = all_done => {}
            () = until(&mut stop, Stop::Aborting) => {}
            () = sleep_until(deadline) => {}
        }
        acceptors.shutdown().await;
        registry.command(Order::Abort);
        let drained = Drained { cut_off: count(cut_offs).await };
        if drained.cut_off > 0 {
            tracing::warn!(code = "STACK0311", cut_off = drained.cut_off, "requests cut off");
        }
        drop(server);
        if let Some(writer) = access_log {
            let _ = timeout(LAST_LINES, spawn_blocking(|| writer.join())).await;
        }
        drained
    }
}

/// Waits until every acceptor has ended.
async fn join(acceptors: &mut JoinSet<()>) {
    while let Some(ended) = acceptors.join_next().await {
        if let Err(error) = ended {
            tracing::error!(code = "STACK0305", %error, "acceptor ended");
        }
    }
}

/// A task that ends with this.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for every connection to end.
async fn count(mut cut_offs: mpsc::UnboundedReceiver<usize>) -> usize {
    let mut count = 0;
    while let Some(cut_off) = cut_offs.recv().await {
        count += cut_off;
    }
    count
}

async fn until(stop: &mut watch::Receiver<Stop>, wanted: Stop) {
    let gone = stop.wait_for(|stop| *stop >= wanted).await.is_err();
    if gone && wanted == Stop::Aborting {
        // Nobody is left who could abort.
        std::future::pending::<()>().await;
    }
}

/// Accepts on one listener.
struct Acceptor {
    /// Among all listeners.
    place: usize,
    given_up: GivenUp,
    server: Arc<Server>,
    registry: Arc<Registry>,
    stop: watch::Receiver<Stop>,
    /// Takes the number of requests that each connection had cut off; its clones are what the end of the drain waits for.
    cut_off: mpsc::UnboundedSender<usize>,
    /// The port of TLS that plain TCP connections are sent to, where they are.
    redirect_to: Option<u16>,
    /// Says that it accepts, to those who wait for its end.
    _open: Option<watch::Receiver<()>>,
}

impl Acceptor {
    async fn run(mut self, listener: Listener) {
        let Listener { socket, local, address, is_tls, file } = listener;
        let is_tcp = matches!(socket, ListenSocket::Tcp(_));
        let socket = match Accepting::new(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(code = "STACK0309", listener = address, %error, "listener not registered with the runtime");
                return;
            }
        };
        let (scheme, redirect_to) = match (is_tls, is_tcp) {
            (true, _) => (Scheme::Https, None),
            (false, true) => (Scheme::Http, self.redirect_to),
            // Who connects there is another server, and knows what it does.
            (false, false) => (Scheme::Http, None),
        };
        let server = Arc::clone(&self.server);
        let origin = |peer| {
            let is_proxy = server.admission.trust.is_proxy(&peer);
            Origin { scheme, peer, local: Arc::clone(&local), redirect_to, is_proxy, is_direct: true }
        };
        let mut complained_at: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = until(&mut self.stop, Stop::HandedOver) => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => self.admit(socket, origin(peer)).await,
                Err(error) => rest_after(&error, &mut complained_at).await,
            }
        }
        let is_shared = *self.stop.borrow() == Stop::HandedOver && !self.given_up.contains(self.place);
        // For their clients these are connected already: closing the listener would reset them.
        let deadline = Instant::now() + LAST_ACCEPTS;
        while !is_shared
            && let Ok(Ok((accepted, peer))) = timeout_at(deadline.min(Instant::now() + PAUSE), socket.accept()).await
        {
            self.admit(accepted, origin(peer)).await;
        }
        drop(socket);
        drop(file);
        tracing::debug!(listener = address, "listener closed");
    }

    /// Starts a connection's task. Over the limit it waits here, and the next in the kernel's backlog.
    async fn admit(&self, mut socket: Plain, origin: Origin) {
        let Ok(held) = self.server.admission.connection(&origin) else { return };
        let permit = self.registry.room().await;
        let connection = Arc::new(Connection::new(origin));
        let place = self.registry.enter(&connection, permit);
        let (server, cut_off) = (Arc::clone(&self.server), self.cut_off.clone());
        tokio::spawn(async move {
            if let Some((connection, told)) = arrival::complete(&server, &mut socket, connection, &place).await {
                let requests = connection::serve(server, socket, connection).await;
                if requests > 0 {
                    let _ = cut_off.send(requests);
                }
                drop(told);
            }
            drop((place, held));
        });
    }
}

/// Lets an acceptor rest after an error of the system's, and says so, but not each time.
pub(crate) async fn rest_after(error: &io::Error, complained_at: &mut Option<Instant>) {
    if is_of_the_connection(error) {
        return;
    }
    if complained_at.is_none_or(|at| at.elapsed() > QUIET) {
        *complained_at = Some(Instant::now());
        tracing::error!(code = "STACK0309", %error, "connections wait: none can be accepted");
    }
    sleep(BACK_OFF).await;
}

/// The client gave up while it waited to be accepted; the next one may be well.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

pub(crate) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    pub(crate) fn new(socket: ListenSocket) -> io::Result<Self> {
        Ok(match socket {
            ListenSocket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
            ListenSocket::Unix(socket) => Self::Unix(UnixListener::from_std(socket)?),
        })
    }

    pub(crate) async fn accept(&self) -> io::Result<(Plain, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A response is written in as few pieces as possible already; waiting for more only delays its end.
                let _ = stream.set_nodelay(true);
                // An IPv4 client of an IPv6 listener is an IPv4 client.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                Ok((Plain::Tcp(stream), Peer::Tcp(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Plain::Unix(stream), Peer::Unix))
            }
        }
    }
}
