//! The steps of a request through the front, one by one, for those who count their instructions. Each is the gate's own, on
//! the thread that asks for it; nothing waits for a socket.

use std::{
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use axum::response::Response;
use http::Request;
use stack_bridge::{Local, Peer, Queue, Scheme};
use stack_config::Inputs;
use tokio::runtime::Builder;

use crate::{
    compression::Accepted,
    connection::{Connection, Origin, Phase},
    direct::{self, UnderWay},
    files::AtHand,
    ready::{self, Answer},
    request,
    server::Server,
    site::{Route, Site},
    strict::head::{HeadReader, Progress},
    timer::LazyTimer,
};

/// A front with one connection, which has no socket: heads come as bytes, and of an answer its length is told.
#[derive(Debug)]
pub struct Front {
    server: Server,
    connection: Arc<Connection>,
}

/// A request that is with its application.
#[derive(Debug)]
pub struct Asked<'a> {
    front: &'a Front,
    head: &'a [u8],
    under_way: UnderWay<'a>,
}

impl Front {
    /// `flags` as `stack serve` takes them, a key and its value each. The application's jobs go to `queue`.
    pub fn new(flags: &[(&str, &str)], queue: Queue) -> Self {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]));
        let inputs = Inputs { flags: flags.collect(), environment: Vec::new(), current_dir: PathBuf::from("/") };
        let loaded = stack_config::load(inputs).expect("flags that are right");
        let server = Server::new(&loaded.config, vec![queue], None);
        let local = Arc::new(Local { name: "127.0.0.1".into(), port: "8000".into() });
        let peer = Peer::Tcp(([127, 0, 0, 1], 40_000).into());
        let origin = Origin { scheme: Scheme::Http, peer, local, redirect_to: None, is_proxy: false, is_direct: true };
        assert!(direct::is_possible(&server, &origin), "the short way to the application is open");
        Self { server, connection: Arc::new(Connection::new(origin)) }
    }

    /// The strict checks of a whole head: its length, where it passes.
    pub fn check(&self, head: &[u8]) -> Option<usize> {
        match HeadReader::new(self.server.head_limits).advance(head) {
            Ok(Progress::Complete { length, framing: _ }) => Some(length),
            Ok(Progress::Partial) | Err(_) => None,
        }
    }

    /// Reads a head that has passed for the application: the number of its fields, where that may have it as it is.
    pub fn read(head: &[u8]) -> Option<usize> {
        direct::fields_of(head)
    }

    /// Takes the small file that a path names into memory, where it stays without another look at the disk.
    pub fn load(&self, path: &str) {
        let (request, ()) = Request::get(path).body(()).expect("a path").into_parts();
        let Route::Files(owned) = self.site().route(path.as_bytes()) else { panic!("{path} is no file's") };
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(owned.respond(&request));
        self.file(path).stays();
    }

    /// Makes the head of the response with a file in memory, which is done once for all requests: its length.
    pub fn make_head(&self, path: &str) -> Option<usize> {
        let (site, scheme) = (self.site(), self.connection.origin.scheme);
        let dress = |response: &mut Response| request::dress(&self.server, Some(site), scheme, response);
        Some(self.file(path).make_head(|| Accepted::of_values([].into_iter()), dress)?.len())
    }

    /// The answer to a request for a file in memory.
    pub fn answer(&self, head: &[u8]) -> Option<usize> {
        let answer = ready::answer(&self.server, &self.connection, head, false)?;
        Some(self.send(answer))
    }

    /// Hands a request without a body to its application.
    pub fn ask<'a>(&'a self, head: &'a [u8]) -> Option<Asked<'a>> {
        let under_way = direct::ask(&self.server, &self.connection, head, b"")?;
        Some(Asked { front: self, head, under_way })
    }

    /// Sends an answer in one write.
    fn send(&self, mut answer: Answer) -> usize {
        self.connection.enter(Phase::Answering);
        let length = answer.rest().iter().map(|part| part.len()).sum();
        answer.advance(length);
        assert!(answer.has_sent_memory() && answer.file().is_none(), "all of it is out");
        self.connection.await_flush(answer.into_entry());
        self.connection.flushed(Instant::now());
        length
    }

    fn site(&self) -> &Site {
        self.server.sites.find(None).expect("there is a default site")
    }

    fn file<'a>(&'a self, path: &'a str) -> AtHand<'a> {
        self.site().at_hand(path, false).expect("it was loaded")
    }
}

impl Asked<'_> {
    /// The answer, where the application has given it already and it is simple.
    pub fn answer(self) -> Option<usize> {
        let Self { front, head: asked, mut under_way } = self;
        let head = under_way.poll_head(&mut LazyTimer::default(), &mut Context::from_waker(Waker::noop()));
        if head == Poll::Pending {
            return None;
        }
        under_way.into_answer(&front.server, &front.connection, asked).ok().map(|answer| front.send(answer))
    }
}
