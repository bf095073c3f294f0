//! One connection without a network, for the fuzz target and the differential test: bytes in, and out comes what the
//! application was asked and what the client was answered.
//!
//! All of it runs on one thread, and its clock jumps to the next deadline when nothing else is left to do. So a
//! conversation ends as soon as the server waits for bytes that do not come, and the same bytes always come to the same.

use std::{io::Read, path::PathBuf, sync::Arc};

use http::{HeaderMap, HeaderValue, StatusCode, Version, header::CONTENT_LENGTH};
use stack_bridge::{Flow, Job, Local, Peer, Push, Queue, ResponseHead, Scheme, WorkerId};
use stack_config::{Config, Inputs};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex, split},
    task::yield_now,
    time::sleep,
};

use crate::{
    connection::{self, Connection, Origin},
    server::Server,
    transport::{Plain, memory::Memory},
};

/// A request as it came out of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As sent.
    pub method: Vec<u8>,
    /// As sent.
    pub target: Vec<u8>,
    /// HTTP/1.0 or HTTP/1.1.
    pub minor: u8,
    /// Those of one name in the order of arrival.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// How a conversation went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What the application was asked, in order.
    pub asked: Vec<Asked>,
    /// The statuses of the responses, interim ones included, in order.
    pub statuses: Vec<u16>,
}

/// A front to talk to.
#[derive(Debug)]
pub struct Talk {
    config: Config,
}

impl Talk {
    /// `flags` as `stack serve` takes them, a key and its value each.
    pub fn new(flags: &[(&str, &str)]) -> Self {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]));
        let inputs = Inputs { flags: flags.collect(), environment: Vec::new(), current_dir: PathBuf::from("/") };
        let loaded = stack_config::load(inputs).expect("flags that are right");
        Self { config: loaded.config }
    }

    /// Sends the pieces one after the other, each when the server has taken the one before, and listens to the end.
    pub fn converse(&self, pieces: &[&[u8]]) -> Heard {
        // A new one each time: its clock begins with the system's, which connections look at as well.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(converse(&self.config, pieces))
    }
}

/// Bytes on their way in either direction.
const PIPE: usize = 4096;

async fn converse(config: &Config, pieces: &[&[u8]]) -> Heard {
    let queue = Queue::new(64);
    let mut consumer = queue.task_consumer(WorkerId(1));
    let server = Arc::new(Server::new(config, vec![queue.clone()], None));
    let (ours, theirs) = duplex(PIPE);
    let local = Arc::new(Local { name: "localhost".into(), port: "80".into() });
    let origin =
        Origin { scheme: Scheme::Http, peer: Peer::Unix, local, redirect_to: None, is_proxy: false, is_direct: true };
    let connection = Arc::new(Connection::new(origin));
    let serving = tokio::spawn(connection::serve(server, Plain::Memory(Memory::new(theirs)), connection));
    let application = tokio::spawn(async move {
        let mut asked = Vec::new();
        while let Ok(job) = consumer.take(sleep).await {
            asked.push(answer(job));
        }
        asked
    });
    let (mut reading, mut writing) = split(ours);
    let listening = tokio::spawn(async move {
        let mut received = Vec::new();
        let _ = reading.read_to_end(&mut received).await;
        received
    });
    for piece in pieces {
        // A server that has refused does not read on.
        if writing.write_all(piece).await.is_err() {
            break;
        }
        for _ in 0..4 {
            yield_now().await;
        }
    }
    serving.await.expect("a connection does not panic");
    queue.close();
    let asked = application.await.expect("the application only takes notes");
    let received = listening.await.expect("it only reads");
    drop(writing);
    Heard { asked, statuses: statuses(&received) }
}

/// Takes note of what is asked, and answers with 200 and nothing.
fn answer(job: Job) -> Asked {
    let Job { request, mut responder, deadline: _, retried: _ } = job;
    let mut body = Vec::new();
    request.body.into_reader().read_to_end(&mut body).expect("the body is in memory");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let head = ResponseHead { status: StatusCode::OK, reason: None, headers };
    // A client that has left hears nothing, which it does not hear.
    let _ = responder.push(&mut Push { head: Some((head, Flow::Buffered)), block: b"", last: true, may_wait: false });
    let fields = request.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    Asked {
        method: request.method.as_str().as_bytes().to_vec(),
        target: request.target.to_vec(),
        minor: u8::from(request.version == Version::HTTP_11),
        fields: fields.collect(),
        body,
    }
}

/// Those of the response heads. Nothing else here begins like one: the application's bodies are empty, the front's are texts.
fn statuses(received: &[u8]) -> Vec<u16> {
    let starts = received.windows("HTTP/1.1 200".len()).filter_map(|window| match window {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', status @ ..] => Some(status),
        _ => None,
    });
    starts.filter_map(|status| std::str::from_utf8(status).ok()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
