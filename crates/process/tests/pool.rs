//! Pools of worker processes that are written in Rust: this program again, as the test that is named `worker`.
#![cfg(test)]

use std::{num::NonZeroUsize, path::Path, process, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use stack_bridge::{
    BodyLimits, Chunk, Failure, Flow, Job, Jobs, Local, Peer, Push, Queue, Reply, Request, RequestBody, RequestId,
    ResponseHead, Scheme, WorkerId, WorkerState, exchange,
};
use stack_process::{
    ProcessPool, ProcessSettings, Program, Recycling, StartError,
    worker::{Assignment, Control},
};
use tempfile::TempDir;

/// How long a state may take to come about before a test fails.
const LIMIT: Duration = Duration::from_mins(1);

/// What a worker process does: not a test, but what this program becomes in the tests below.
#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn worker() {
    // Nobody's worker, where all ignored tests are asked for.
    let Ok(mut control) = Control::from_stdin() else { return };
    let Assignment::Serve(start) = control.receive().expect("an assignment") else { panic!("no worker") };
    let watch = control.try_clone().expect("a descriptor is left");
    thread::spawn(move || {
        watch.wait_for_end();
        leave(1)
    });
    let (kind, marks) = start.spec.split_once(' ').expect("what to do, and a directory");
    let number = start.worker.0;
    std::fs::write(Path::new(marks).join(format!("pid-{number}")), process::id().to_string()).expect("a mark");
    match (kind, number) {
        ("one-fails", 1) => {
            control.failed("no application for me").expect("a server");
            leave(1);
        }
        ("one-dies", 1) => leave(7),
        ("one-fails" | "one-dies", _) => stay(),
        _ => {}
    }
    control.ready(&format!("worker {number} is ready")).expect("a server");
    let threads: Vec<_> =
        start.lanes.into_iter().map(|mut lane| thread::spawn(move || while lane.take().map(run).is_ok() {})).collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    leave(0);
}

#[expect(clippy::exit, reason = "a worker's exit code is its own, not the test runner's")]
fn leave(code: i32) -> ! {
    process::exit(code)
}

fn stay() -> ! {
    loop {
        thread::park();
    }
}

/// What the path asks for.
fn run(job: Job) {
    let Job { request, mut responder, deadline: _, retried: _ } = job;
    let head =
        || Some((ResponseHead { status: StatusCode::OK, reason: None, headers: HeaderMap::new() }, Flow::Buffered));
    let mut send = |head, block: &[u8], last| responder.push(&mut Push { head, block, last, may_wait: true });
    match &*request.path {
        b"/die" => leave(3),
        b"/die-in-the-middle" => {
            send(head(), b"begun", false).expect("a client");
            leave(3);
        }
        b"/stay" => stay(),
        b"/length" => {
            let length = request.body.len().to_string();
            send(head(), length.as_bytes(), true).expect("a client");
        }
        b"/large" => send(head(), &vec![b'x'; 3_000_000], true).expect("a client"),
        _ => send(head(), process::id().to_string().as_bytes(), true).expect("a client"),
    }
}

fn settings(spec: &str, marks: &TempDir) -> ProcessSettings {
    ProcessSettings {
        workers: NonZeroUsize::new(2).unwrap(),
        threads: NonZeroUsize::new(2).unwrap(),
        first: WorkerId(0),
        program: Program {
            arguments: ["--exact", "worker", "--ignored", "--quiet", "--nocapture"].map(Into::into).to_vec(),
            environment: std::env::vars_os().collect(),
        },
        spec: format!("{spec} {}", marks.path().display()),
        preload: false,
        recycling: Recycling::default(),
        when_told: None,
    }
}

async fn pool(queue: &Queue) -> (ProcessPool, TempDir) {
    let marks = tempfile::tempdir().unwrap();
    (ProcessPool::start(settings("serve", &marks), queue.clone()).await.unwrap(), marks)
}

fn push(queue: &Queue, method: Method, path: &'static str, body: RequestBody) -> Reply {
    let request = Request {
        id: RequestId(1),
        method,
        target: Bytes::from_static(path.as_bytes()),
        path: Bytes::from_static(path.as_bytes()),
        script_name: Bytes::new(),
        query: Bytes::new(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        scheme: Scheme::Http,
        tls: None,
        peer: Peer::Unix,
        local: Arc::new(Local { name: "localhost".into(), port: "80".into() }),
        body,
        connection: None,
        received_at: std::time::Instant::now(),
        details: None,
    };
    let (responder, reply) = exchange(BodyLimits { memory: 1 << 24, spill: 0, directory: Path::new("/tmp").into() });
    queue
        .push(Job { request: Box::new(request), responder, deadline: None, retried: false })
        .expect("room in the queue");
    reply
}

/// The whole body, or why it is not whole.
async fn body(mut reply: Reply) -> Result<Vec<u8>, Failure> {
    let read = async {
        reply.head().await?;
        let mut body = Vec::new();
        while let Some(chunk) = std::future::poll_fn(|context| reply.poll_chunk(context)).await {
            match chunk? {
                Chunk::Memory(bytes) => body.extend(bytes),
                other => panic!("not in memory: {other:?}"),
            }
        }
        Ok(body)
    };
    tokio::time::timeout(LIMIT, read).await.expect("an answer in time")
}

async fn get(queue: &Queue, path: &'static str) -> Result<Vec<u8>, Failure> {
    body(push(queue, Method::GET, path, RequestBody::Empty)).await
}

async fn pid(queue: &Queue) -> u32 {
    String::from_utf8(get(queue, "/pid").await.unwrap()).unwrap().parse().unwrap()
}

#[tokio::test]
async fn workers_answer_and_leave_when_the_pool_stops() {
    let queue = Queue::new(16);
    let (pool, marks) = pool(&queue).await;
    assert_eq!(pool.reports().len(), 2);
    let replies: Vec<_> = (0..16).map(|_| push(&queue, Method::POST, "/pid", RequestBody::Empty)).collect();
    for reply in replies {
        body(reply).await.unwrap();
    }
    assert!(get(&queue, "/large").await.unwrap() == vec![b'x'; 3_000_000]);
    assert_eq!(pool.states(), [WorkerState::Ready; 2]);
    assert_eq!(pool.stop(LIMIT).await.stuck, 0);
    for number in 0..2 {
        assert!(!runs(mark(&marks, number)), "worker {number} is left");
    }
}

#[tokio::test]
async fn a_body_of_every_size_crosses() {
    let queue = Queue::new(16);
    let (pool, _marks) = pool(&queue).await;
    for length in [0, 1, 100_000, 5_000_000] {
        let sent = RequestBody::Memory(vec![b'x'; length].into());
        assert_eq!(body(push(&queue, Method::POST, "/length", sent)).await.unwrap(), length.to_string().as_bytes());
    }
    pool.stop(LIMIT).await;
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_fails_its_response_and_is_replaced() {
    let queue = Queue::new(16);
    let (pool, _marks) = pool(&queue).await;
    for _ in 0..2 {
        assert_eq!(get(&queue, "/die-in-the-middle").await, Err(Failure::WorkerGone));
    }
    let post = push(&queue, Method::POST, "/die", RequestBody::Empty);
    assert_eq!(body(post).await, Err(Failure::WorkerGone));
    // A GET kills a second worker, and no third.
    assert_eq!(get(&queue, "/die").await, Err(Failure::WorkerGone));
    pid(&queue).await;
    assert_eq!(pool.stop(LIMIT).await.stuck, 0);
}

#[tokio::test]
async fn one_worker_that_fails_or_dies_at_the_start_ends_the_start_and_the_others() {
    for (kind, expected) in [("one-fails", "no application for me"), ("one-dies", "exit code 7")] {
        let marks = tempfile::tempdir().unwrap();
        let error = ProcessPool::start(settings(kind, &marks), Queue::new(1)).await.unwrap_err();
        assert!(matches!(error, StartError::Failed(_) | StartError::Died { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        // The other one may not have come as far as its mark.
        eventually("the others are gone", || !marks.path().join("pid-0").exists() || !runs(mark(&marks, 0))).await;
    }
}

#[tokio::test]
async fn a_worker_that_does_not_come_to_its_end_is_counted_and_killed() {
    let queue = Queue::new(16);
    let (pool, marks) = pool(&queue).await;
    let stuck = push(&queue, Method::POST, "/stay", RequestBody::Empty);
    eventually("a thread has it", || queue.depth().running == 1).await;
    assert_eq!(pool.stop(Duration::from_secs(2)).await.stuck, 1);
    assert_eq!(body(stuck).await, Err(Failure::Dropped));
    for number in 0..2 {
        eventually("the process is gone", || !runs(mark(&marks, number))).await;
    }
}

#[tokio::test]
async fn a_pool_that_is_dropped_leaves_no_process() {
    let queue = Queue::new(16);
    let (pool, marks) = pool(&queue).await;
    drop(pool);
    for number in 0..2 {
        eventually("the process is gone", || !runs(mark(&marks, number))).await;
    }
}

fn mark(marks: &TempDir, number: u16) -> u32 {
    std::fs::read_to_string(marks.path().join(format!("pid-{number}"))).unwrap().parse().unwrap_or_default()
}

/// Whether a process runs: one that is dead and has not been waited for does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let wait = async {
        while !look() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("never seen: {what}"));
}
