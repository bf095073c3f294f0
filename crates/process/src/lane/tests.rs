//! The server's end of a lane against a worker that ends, or errs, at any byte.

use std::{
    borrow::Cow,
    io::{IoSlice, Read, Write},
    path::Path,
    time::Instant,
};

use http::{HeaderMap, HeaderValue, Method, Version};
use rustix::event::{PollFd, PollFlags, poll};
use stack_bridge::{BodyLimits, Local, Queue, Reply, RequestBody, Scheme, WorkerId, exchange};
use tokio::task::JoinHandle;

use super::*;

/// A lane whose worker is the test.
struct Peer {
    jobs: UnixStream,
    answers: UnixStream,
    lane: JoinHandle<Result<(), Box<Lost>>>,
    reply: Reply,
    queue: Queue,
}

pub(super) fn job(method: Method) -> (Job, Reply) {
    let request = Request {
        id: RequestId(7),
        method,
        target: Bytes::from_static(b"/a?b"),
        path: Bytes::from_static(b"/a"),
        script_name: Bytes::new(),
        query: Bytes::from_static(b"b"),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        scheme: Scheme::Http,
        tls: None,
        peer: stack_bridge::Peer::Unix,
        local: Arc::new(Local { name: "localhost".into(), port: "80".into() }),
        body: RequestBody::Memory(Bytes::from_static(b"body")),
        connection: None,
        received_at: Instant::now(),
        details: None,
    };
    let (responder, reply) = exchange(BodyLimits { memory: 1 << 20, spill: 0, directory: Path::new("/tmp").into() });
    (Job { request: Box::new(request), responder, deadline: None, retried: false }, reply)
}

impl Peer {
    /// A lane that has sent a job, which the test has read.
    fn with_job() -> Self {
        let (jobs, our_jobs) = UnixStream::pair().unwrap();
        let (answers, our_answers) = UnixStream::pair().unwrap();
        let queue = Queue::new(1);
        let lane = ServerLane::new(jobs, answers, Claims::new().unwrap()).unwrap();
        let lane = tokio::spawn(lane.run(queue.task_consumer(WorkerId(0)), Arc::default()));
        let (job, reply) = job(Method::POST);
        queue.push(job).unwrap();
        Self { jobs: our_jobs, answers: our_answers, lane, reply, queue }
    }

    /// Waits for the job; gives its frame.
    async fn read_job(&self) -> Vec<u8> {
        let mut jobs = self.jobs.try_clone().unwrap();
        let read = move || {
            let mut length = [0; 4];
            jobs.read_exact(&mut length).unwrap();
            let mut frame = vec![0; u32::from_le_bytes(length) as usize];
            jobs.read_exact(&mut frame).unwrap();
            frame
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// Answers with these bytes and is gone. What became of the job, and the response as its reader has it.
    async fn answer_and_leave(mut self, bytes: &[u8]) -> (Result<(), Box<Lost>>, Option<Result<Vec<u8>, Failure>>) {
        self.read_job().await;
        self.answers.write_all(bytes).unwrap();
        drop((self.jobs, self.answers));
        // A lane that is whole waits for the next job.
        self.queue.close();
        let outcome = self.lane.await.unwrap();
        let response = match &outcome {
            Err(lost) if matches!(lost.job, LostJob::Unsent(_) | LostJob::Unanswered(_)) => None,
            _ => Some(body(&mut self.reply).await),
        };
        (outcome, response)
    }
}

/// The whole body, or why it is not whole.
pub(super) async fn body(reply: &mut Reply) -> Result<Vec<u8>, Failure> {
    use stack_bridge::Chunk;
    reply.head().await?;
    let mut body = Vec::new();
    while let Some(chunk) = std::future::poll_fn(|context| reply.poll_chunk(context)).await {
        match chunk? {
            Chunk::Memory(bytes) => body.extend(bytes),
            other => panic!("not in memory: {other:?}"),
        }
    }
    Ok(body)
}

pub(super) fn frame(message: &ToServer<'_>, rest: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::begin_frame(&mut frame, message).unwrap();
    wire::end_frame(&mut frame, 0, rest.len()).unwrap();
    frame.extend(rest);
    frame
}

pub(super) fn head(status: u16) -> Head<'static> {
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
    Head { status, reason: None, headers: Cow::Owned(headers), streamed: false }
}

#[tokio::test]
async fn an_answer_that_ends_at_any_byte_is_whole_or_known_as_not_whole() {
    let first = frame(&ToServer::Block { head: Some(head(200)), last: false }, b"first ");
    let last = frame(&ToServer::Block { head: None, last: true }, b"last");
    let done = frame(&ToServer::Done { was_short: false }, b"");
    let begun = first.len();
    let complete = begun + last.len();
    let all = [first, last, done].concat();
    for cut in 0..=all.len() {
        let (outcome, response) = Peer::with_job().answer_and_leave(&all[..cut]).await;
        match (&outcome, response) {
            (Ok(()), Some(Ok(body))) => assert!(cut == all.len() && body == b"first last", "cut at {cut}"),
            (Err(lost), None) => {
                assert!(cut < begun && matches!(lost.job, LostJob::Unanswered(_)), "cut at {cut}: {lost:?}");
            }
            (Err(lost), Some(Err(Failure::WorkerGone))) => {
                assert!((begun..complete).contains(&cut), "cut at {cut}");
                assert!(matches!(lost.job, LostJob::Begun(_)), "cut at {cut}: {lost:?}");
            }
            (Err(lost), Some(Ok(body))) => {
                assert!(cut >= complete && cut < all.len() && body == b"first last", "cut at {cut}");
                assert!(matches!(lost.job, LostJob::Begun(_)), "cut at {cut}: {lost:?}");
            }
            (_, response) => panic!("cut at {cut}: {outcome:?}, {response:?}"),
        }
        if let Err(lost) = outcome {
            let is_between = [0, begun, complete].contains(&cut);
            let expected = if is_between { "the connection is closed" } else { "the connection ended in the middle" };
            assert!(lost.error.to_string().starts_with(expected), "cut at {cut}: {}", lost.error);
        }
    }
}

#[tokio::test]
async fn what_a_client_is_to_see_of_a_failure_crosses_with_it() {
    for (rest, expected) in [(&b"<p>why"[..], Some(&b"<p>why"[..])), (b"", None)] {
        let mut peer = Peer::with_job();
        peer.read_job().await;
        let failed = frame(&ToServer::Failed(FailureKind::Application), rest);
        peer.answers.write_all(&[failed, frame(&ToServer::Done { was_short: false }, b"")].concat()).unwrap();
        assert_eq!(peer.reply.head().await, Err(Failure::Application));
        assert_eq!(peer.reply.take_details().as_deref(), expected);
    }
}

#[tokio::test]
async fn garbage_ends_the_lane_and_answers_nothing() {
    let without_file = ToServer::FileBlock { head: Some(head(200)), offset: 0, length: 9, last: true };
    for (name, bytes) in [
        ("too long", vec![0xff; 100]),
        ("no message of ours", [vec![3, 0, 0, 0], vec![0xee; 3]].concat()),
        ("an empty frame", vec![0; 4]),
        ("text", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("a file without its descriptor", frame(&without_file, b"")),
        ("a tail without its descriptor", frame(&ToServer::FileTail { head: None, offset: 0, length: 9 }, b"")),
        ("no status", frame(&ToServer::Block { head: Some(head(99)), last: true }, b"")),
    ] {
        let (outcome, response) = Peer::with_job().answer_and_leave(&bytes).await;
        let lost = outcome.expect_err(name);
        assert!(matches!(lost.job, LostJob::Unanswered(_)), "{name}: {lost:?}");
        assert!(response.is_none(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_was_not_read_is_told_from_one_that_was() {
    for is_read in [false, true] {
        let peer = Peer::with_job();
        let frame = if is_read { peer.read_job().await } else { Vec::new() };
        assert_eq!(frame.ends_with(b"body"), is_read);
        if !is_read {
            // There it is, unread.
            poll(&mut [PollFd::new(&peer.jobs, PollFlags::IN)], None).unwrap();
        }
        drop((peer.jobs, peer.answers));
        let lost = peer.lane.await.unwrap().unwrap_err();
        assert!(matches!(lost.job, LostJob::Unanswered(_)), "{lost:?}");
        assert_eq!(lost.was_unread(), !is_read);
    }
}

#[tokio::test]
async fn a_job_for_a_worker_that_is_gone_was_never_sent() {
    let (jobs, our_jobs) = UnixStream::pair().unwrap();
    let (answers, our_answers) = UnixStream::pair().unwrap();
    let queue = Queue::new(1);
    let lane = tokio::spawn(
        ServerLane::new(jobs, answers, Claims::new().unwrap())
            .unwrap()
            .run(queue.task_consumer(WorkerId(0)), Arc::default()),
    );
    drop((our_jobs, our_answers));
    let (job, _reply) = job(Method::POST);
    queue.push(job).unwrap();
    let lost = lane.await.unwrap().unwrap_err();
    assert!(matches!(lost.job, LostJob::Unsent(_)), "{lost:?}");
}

#[tokio::test]
async fn a_connection_that_is_hung_up_gives_what_came_before_and_waits_for_no_more() {
    let (server, ours) = UnixStream::pair().unwrap();
    let mut link = Link::new(server).unwrap();
    link::send(ours.as_fd(), &[IoSlice::new(&frame(&ToServer::Done { was_short: false }, b""))], &[], true).unwrap();
    link.hang_up_handle().hang_up();
    link.receive().await.unwrap();
    assert!(matches!(link.receive().await, Err(LinkError::Closed)));
    drop(ours);
}
