//! Jobs that are sent several at once: who has them when they are claimed, taken back, or left behind.

use std::{
    io::{Read, Write},
    thread,
};

use http::Method;
use stack_bridge::{Consumer, Depth, Jobs, Push, Queue, Reply, WorkerId};
use tokio::task::JoinHandle;

use super::{
    tests::{body, frame, head, job},
    *,
};
use crate::worker;

const NEVER: Duration = Duration::from_hours(1);
/// For a worker that does not begin. Long enough for the test to claim what it wants to before.
const SOON: Duration = Duration::from_millis(300);

/// A lane whose worker is the test, and its queue.
struct Peer {
    jobs: UnixStream,
    answers: UnixStream,
    claims: Claims,
    lane: JoinHandle<Result<(), Box<Lost>>>,
    queue: Queue,
    replies: Vec<Reply>,
}

impl Peer {
    /// Jobs 1 to `count` wait when the lane begins, which may send `window` of them at once.
    fn new(count: u64, window: usize, ahead_time: Duration) -> Self {
        let (jobs, our_jobs) = UnixStream::pair().unwrap();
        let (answers, our_answers) = UnixStream::pair().unwrap();
        our_jobs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let claims = Claims::new().unwrap();
        let ours = Claims::from(claims.descriptor().try_clone().unwrap());
        let queue = Queue::new(64);
        let mut lane = ServerLane::new(jobs, answers, claims).unwrap();
        (lane.window, lane.ahead_time) = (window, ahead_time);
        let mut peer =
            Self { jobs: our_jobs, answers: our_answers, claims: ours, lane: todo(), queue, replies: Vec::new() };
        (1..=count).for_each(|id| peer.push(id));
        peer.lane = tokio::spawn(lane.run(peer.queue.task_consumer(WorkerId(0)), Arc::default()));
        peer
    }

    fn push(&mut self, id: u64) {
        let (mut job, reply) = job(Method::POST);
        job.request.id = RequestId(id);
        self.queue.push(job).unwrap();
        self.replies.push(reply);
    }

    /// The next job's request, and whether it is to be claimed.
    async fn read(&self) -> (u64, bool) {
        let mut jobs = self.jobs.try_clone().unwrap();
        let read = move || {
            let mut length = [0; 4];
            jobs.read_exact(&mut length).unwrap();
            let mut frame = vec![0; u32::from_le_bytes(length) as usize];
            jobs.read_exact(&mut frame).unwrap();
            let (ToWorker::Job(head), rest) = wire::read::<ToWorker<'_>>(&frame).unwrap() else { panic!("no job") };
            assert_eq!(rest, b"body");
            (head.id, head.to_claim)
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    async fn read_several(&self, count: usize) -> Vec<(u64, bool)> {
        let mut jobs = Vec::new();
        for _ in 0..count {
            jobs.push(self.read().await);
        }
        jobs
    }

    fn say(&mut self, message: &ToServer<'_>, rest: &[u8]) {
        self.answers.write_all(&frame(message, rest)).unwrap();
    }

    /// Answers the job that runs, and is done with it in a short time.
    fn answer(&mut self, id: u64) {
        self.answer_after(id, true);
    }

    fn answer_after(&mut self, id: u64, was_short: bool) {
        let answer = frame(&ToServer::Block { head: Some(head(200)), last: true }, id.to_string().as_bytes());
        self.answers.write_all(&[answer, frame(&ToServer::Done { was_short }, b"")].concat()).unwrap();
    }

    async fn is_answered(&mut self, id: u64) {
        let index = usize::try_from(id).unwrap() - 1;
        assert_eq!(body(&mut self.replies[index]).await.unwrap(), id.to_string().as_bytes());
    }

    async fn reaches(&self, depth: Depth) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.queue.depth() != depth {
            assert!(Instant::now() < deadline, "stuck at {:?}", self.queue.depth());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Stands where the lane comes.
fn todo() -> JoinHandle<Result<(), Box<Lost>>> {
    tokio::spawn(std::future::ready(Ok(())))
}

/// The jobs that another thread finds.
async fn found_by_another(mut consumer: Consumer, count: usize) -> Vec<u64> {
    let (found, ids) = tokio::sync::oneshot::channel();
    // A thread of its own, because one of the runtime's would have to end before the test can fail.
    thread::spawn(move || found.send((0..count).map(|_| consumer.take().unwrap().request.id.0).collect()));
    tokio::time::timeout(Duration::from_secs(10), ids).await.expect("they come back").unwrap()
}

#[tokio::test]
async fn while_jobs_are_short_more_and_more_are_sent_at_once() {
    let mut peer = Peer::new(16, 1, NEVER);
    assert_eq!(peer.read().await, (1, false));
    assert_eq!(peer.queue.depth(), Depth { queued: 15, running: 1, idle: 0 });
    peer.answer(1);
    for batch in [2..=3, 4..=7, 8..=15] {
        let expected: Vec<_> = batch.clone().map(|id| (id, true)).collect();
        assert_eq!(peer.read_several(expected.len()).await, expected);
        for id in batch {
            // The one before has been answered, and this is the one that runs.
            let queued = 16 - usize::try_from(id).unwrap();
            peer.reaches(Depth { queued, running: 1, idle: 0 }).await;
            assert!(peer.claims.claim().unwrap());
            peer.answer(id);
            peer.is_answered(id).await;
        }
    }
    assert_eq!(peer.read().await, (16, false), "there is none to go with it");
    peer.answer(16);
    peer.is_answered(16).await;
    peer.queue.close();
    peer.lane.await.unwrap().unwrap();
}

#[tokio::test]
async fn after_a_job_that_was_not_short_the_next_is_sent_alone() {
    let mut peer = Peer::new(9, 2, NEVER);
    assert_eq!(peer.read_several(2).await, [(1, true), (2, true)]);
    assert!(peer.claims.claim().unwrap() && peer.claims.claim().unwrap());
    peer.answer_after(1, false);
    peer.answer(2);
    assert_eq!(peer.read().await, (3, false));
    peer.answer_after(3, false);
    assert_eq!(peer.read().await, (4, false));
    peer.answer(4);
    assert_eq!(peer.read_several(2).await, [(5, true), (6, true)]);
    peer.queue.clear();
}

#[tokio::test]
async fn jobs_behind_one_that_takes_long_are_run_by_others() {
    let mut peer = Peer::new(4, 4, SOON);
    assert_eq!(peer.read_several(4).await, [(1, true), (2, true), (3, true), (4, true)]);
    assert!(peer.claims.claim().unwrap());
    let others = found_by_another(peer.queue.consumer(WorkerId(1)), 3).await;
    assert_eq!(others, [2, 3, 4], "in their order");
    assert!(!peer.claims.claim().unwrap(), "they are not the worker's any more");
    peer.answer(1);
    peer.is_answered(1).await;
    // It has not come to those that it is to skip.
    (5..=7).for_each(|id| peer.push(id));
    assert_eq!(peer.read().await, (5, false));
    (0..3).for_each(|_| peer.say(&ToServer::Skipped, b""));
    peer.answer(5);
    peer.is_answered(5).await;
    peer.queue.close();
}

#[tokio::test]
async fn a_worker_that_begins_with_nothing_keeps_nothing() {
    let mut peer = Peer::new(3, 4, SOON);
    peer.read_several(3).await;
    peer.queue.close();
    // This lane takes the first again: the server stops, and nobody else is left.
    assert_eq!(peer.read().await, (1, false));
    (0..3).for_each(|_| peer.say(&ToServer::Skipped, b""));
    for id in 1..=3 {
        peer.answer(id);
        peer.is_answered(id).await;
        if id < 3 {
            assert_eq!(peer.read().await.0, id + 1);
        }
    }
    peer.lane.await.unwrap().unwrap();
}

#[tokio::test]
async fn of_a_worker_that_dies_only_the_job_it_had_claimed_is_in_doubt() {
    for is_claimed in [false, true] {
        let mut peer = Peer::new(4, 4, NEVER);
        peer.read_several(4).await;
        assert!(peer.claims.claim().unwrap());
        peer.answer(1);
        peer.is_answered(1).await;
        if is_claimed {
            assert!(peer.claims.claim().unwrap());
        }
        drop((peer.jobs, peer.answers));
        let lost = peer.lane.await.unwrap().unwrap_err();
        assert_eq!(lost.job.request().unwrap().id, RequestId(2));
        assert_eq!(matches!(lost.job, LostJob::Unanswered(_)), is_claimed, "{lost:?}");
        assert_eq!(matches!(lost.job, LostJob::Unsent(_)), !is_claimed, "{lost:?}");
        assert!(!lost.was_unread(), "what the kernel says is of the whole batch");
        assert_eq!(lost.ahead.iter().map(|job| job.request.id.0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(peer.queue.depth(), Depth { queued: 0, running: 0, idle: 0 });
    }
}

#[tokio::test]
async fn what_can_not_be_understood_has_nothing_run_twice() {
    let mut peer = Peer::new(3, 4, NEVER);
    peer.read_several(3).await;
    // The worker runs the second already.
    assert!(peer.claims.claim().unwrap() && peer.claims.claim().unwrap());
    peer.say(&ToServer::Block { head: Some(head(99)), last: true }, b"");
    let lost = peer.lane.await.unwrap().unwrap_err();
    assert!(matches!(&lost.job, LostJob::Unanswered(job) if job.request.id == RequestId(1)), "{lost:?}");
    assert_eq!(body(&mut peer.replies[1]).await, Err(Failure::WorkerGone));
    assert_eq!(lost.ahead.iter().map(|job| job.request.id.0).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn jobs_behind_a_response_of_several_blocks_are_run_by_others_at_once() {
    let mut peer = Peer::new(4, 4, NEVER);
    peer.read_several(4).await;
    assert!(peer.claims.claim().unwrap());
    peer.say(&ToServer::Block { head: Some(head(200)), last: false }, b"1");
    assert_eq!(found_by_another(peer.queue.consumer(WorkerId(1)), 3).await, [2, 3, 4]);
    peer.queue.close();
}

#[tokio::test]
async fn a_worker_that_never_stops_talking_keeps_no_jobs() {
    let peer = Peer::new(2, 2, SOON);
    peer.read_several(2).await;
    assert!(peer.claims.claim().unwrap());
    let (mut answers, queue) = (peer.answers.try_clone().unwrap(), peer.queue.clone());
    let talking = thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(10);
        while queue.depth().queued > 0 && Instant::now() < deadline {
            answers.write_all(&frame(&ToServer::CloseConnection, b"")).unwrap();
        }
    });
    assert_eq!(found_by_another(peer.queue.consumer(WorkerId(1)), 1).await, [2]);
    talking.join().unwrap();
    peer.queue.close();
}

#[tokio::test]
async fn what_a_worker_leaves_is_run_by_others() {
    let mut peer = Peer::new(4, 4, NEVER);
    peer.read_several(4).await;
    assert!(peer.claims.claim().unwrap());
    let left = peer.claims.take_back(8).unwrap();
    peer.say(&ToServer::Left { jobs: left }, b"");
    assert_eq!(found_by_another(peer.queue.consumer(WorkerId(1)), 3).await, [2, 3, 4]);
    peer.answer(1);
    peer.is_answered(1).await;
    peer.say(&ToServer::Skipped, b"");
    peer.queue.close();
}

#[tokio::test]
async fn more_than_was_sent_can_not_be_left() {
    let mut peer = Peer::new(2, 2, NEVER);
    peer.read_several(2).await;
    peer.say(&ToServer::Left { jobs: 3 }, b"");
    assert!(matches!(peer.lane.await.unwrap().unwrap_err().error, LaneError::Link(_)));
}

#[tokio::test]
async fn a_job_with_much_before_its_body_is_sent_alone() {
    let (jobs, our_jobs) = UnixStream::pair().unwrap();
    let (answers, _our_answers) = UnixStream::pair().unwrap();
    our_jobs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let queue = Queue::new(64);
    let mut lane = ServerLane::new(jobs, answers, Claims::new().unwrap()).unwrap();
    (lane.window, lane.ahead_time) = (4, NEVER);
    let mut replies = Vec::new();
    for length in [10, 10, 300_000, 10] {
        let (mut job, reply) = job(Method::POST);
        job.request.headers.insert("x-long", "a".repeat(length).parse().unwrap());
        queue.push(job).unwrap();
        replies.push(reply);
    }
    tokio::spawn(lane.run(queue.task_consumer(WorkerId(0)), Arc::default()));
    let deadline = Instant::now() + Duration::from_secs(10);
    while queue.depth() != (Depth { queued: 3, running: 1, idle: 0 }) {
        assert!(Instant::now() < deadline, "stuck at {:?}", queue.depth());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // All that was sent is there, and it is two jobs.
    let mut received = vec![0; 1 << 20];
    let mut our_jobs = our_jobs;
    let length = our_jobs.read(&mut received).unwrap();
    assert!(length < 1000, "{length} bytes at once");
}

/// A worker that answers with the request's number.
fn answering(mut lane: worker::Lane) {
    while let Ok(mut job) = lane.take() {
        let answer = job.request.id.0.to_string();
        let head = Some((response_head(head(200)).unwrap().0, Flow::Buffered));
        let (first, rest) = answer.split_at(if job.request.id.0 % 7 == 0 { 1 } else { answer.len() });
        let last = rest.is_empty();
        job.responder.push(&mut Push { head, block: first.as_bytes(), last, may_wait: true }).unwrap();
        if !last {
            job.responder.push(&mut Push { head: None, block: rest.as_bytes(), last: true, may_wait: true }).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_jobs_is_answered_once_whoever_has_it() {
    let (queue, mut lanes, mut threads) = (Queue::new(4096), Vec::new(), Vec::new());
    for _ in 0..3 {
        let (jobs, their_jobs) = UnixStream::pair().unwrap();
        let (answers, their_answers) = UnixStream::pair().unwrap();
        let claims = Claims::new().unwrap();
        let theirs = Claims::from(claims.descriptor().try_clone().unwrap());
        let mut lane = ServerLane::new(jobs, answers, claims).unwrap();
        // Some batches are done in that time and some are not.
        lane.ahead_time = Duration::from_micros(100);
        lanes.push(tokio::spawn(lane.run(queue.task_consumer(WorkerId(0)), Arc::default())));
        threads.push(thread::spawn(|| answering(worker::Lane::new(their_jobs, their_answers, theirs))));
    }
    let mut replies = Vec::new();
    for id in 1..=3000 {
        let (mut job, reply) = job(Method::POST);
        job.request.id = RequestId(id);
        queue.push(job).unwrap();
        replies.push((id, reply));
    }
    queue.close();
    for (id, mut reply) in replies {
        assert_eq!(body(&mut reply).await.unwrap(), id.to_string().as_bytes());
    }
    for lane in lanes {
        lane.await.unwrap().unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(queue.depth(), Depth::default());
}

#[test]
fn a_worker_leaves_what_is_behind_a_response_of_several_blocks() {
    let (mut jobs, their_jobs) = UnixStream::pair().unwrap();
    let (mut answers, their_answers) = UnixStream::pair().unwrap();
    answers.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let claims = Claims::new().unwrap();
    let mut lane = worker::Lane::new(their_jobs, their_answers, Claims::from(claims.descriptor().try_clone().unwrap()));
    let mut sent = Vec::new();
    for (id, to_claim) in [(1, true), (2, true), (3, true), (4, false)] {
        let (mut job, _reply) = job(Method::POST);
        job.request.id = RequestId(id);
        let head = sending::job_head(&job.request, wire::BodyPlace::Nowhere, to_claim, None, Instant::now());
        let start = sent.len();
        wire::begin_frame(&mut sent, &ToWorker::Job(Box::new(head))).unwrap();
        wire::end_frame(&mut sent, start, 0).unwrap();
    }
    claims.offer(3).unwrap();
    jobs.write_all(&sent).unwrap();
    let mut first = lane.take().unwrap();
    let head = Some((response_head(head(200)).unwrap().0, Flow::Buffered));
    first.responder.push(&mut Push { head, block: b"1", last: false, may_wait: true }).unwrap();
    first.responder.push(&mut Push { head: None, block: b"2", last: true, may_wait: true }).unwrap();
    drop(first);
    assert_eq!(lane.take().unwrap().request.id, RequestId(4));
    let mut said = Vec::new();
    while said.last() != Some(&"skipped") || said.len() < 6 {
        let mut length = [0; 4];
        answers.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_le_bytes(length) as usize];
        answers.read_exact(&mut frame).unwrap();
        said.push(match wire::read::<ToServer<'_>>(&frame).unwrap().0 {
            ToServer::Block { .. } => "block",
            ToServer::Left { jobs: 2 } => "left two",
            ToServer::Done { .. } => "done",
            ToServer::Skipped => "skipped",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(said, ["block", "block", "left two", "done", "skipped", "skipped"]);
}

#[test]
fn a_worker_hears_of_a_client_behind_jobs_that_were_sent_ahead() {
    let (mut jobs, their_jobs) = UnixStream::pair().unwrap();
    let (_answers, their_answers) = UnixStream::pair().unwrap();
    let claims = Claims::new().unwrap();
    let mut lane = worker::Lane::new(their_jobs, their_answers, Claims::from(claims.descriptor().try_clone().unwrap()));
    let mut sent = Vec::new();
    for (id, is_claimed, header) in [(1, true, "a"), (2, true, "b"), (3, true, "c"), (4, false, "d")] {
        let (mut job, _reply) = job(Method::POST);
        job.request.id = RequestId(id);
        // More than the worker has room for at first.
        job.request.headers.insert("x-long", header.repeat(9000).parse().unwrap());
        let head = sending::job_head(&job.request, wire::BodyPlace::Nowhere, is_claimed, None, Instant::now());
        let start = sent.len();
        wire::begin_frame(&mut sent, &ToWorker::Job(Box::new(head))).unwrap();
        wire::end_frame(&mut sent, start, 0).unwrap();
    }
    let start = sent.len();
    wire::begin_frame(&mut sent, &ToWorker::ClientGone { id: 1 }).unwrap();
    wire::end_frame(&mut sent, start, 0).unwrap();
    claims.offer(2).unwrap();
    jobs.write_all(&sent).unwrap();
    let first = lane.take().unwrap();
    assert!(first.responder.is_client_gone());
    drop(first);
    for (id, header) in [(2, "b"), (4, "d")] {
        let next = lane.take().unwrap();
        assert_eq!(
            (next.request.id.0, next.request.headers["x-long"].as_bytes()),
            (id, header.repeat(9000).as_bytes())
        );
        assert!(!next.responder.is_client_gone());
    }
}
