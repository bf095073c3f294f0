//! A job's way to a worker, and its answer's way back.

use std::{
    future::{Future, pending},
    pin::pin,
    task::{Context, Poll, Waker},
};

use stack_bridge::{Flow, Job, Push, Queue, Reply, Request, ResponseHead, WorkerId, exchange};

use crate::{
    marks::{COUNTED, WARM_UP, repeat},
    request::{BODY, limits, request, response_head},
};

/// What others make is made before.
fn exchanges() -> impl Iterator<Item = (Request, ResponseHead)> {
    let all: Vec<_> = (0..WARM_UP + COUNTED).map(|_| (request(), response_head())).collect();
    all.into_iter()
}

fn push(queue: &Queue, request: Request) -> Reply {
    let (responder, reply) = exchange(limits());
    queue
        .push(Job { request: Box::new(request), responder, deadline: None, retried: false })
        .expect("the queue has room");
    reply
}

fn answer(job: Job, head: ResponseHead) {
    let Job { request: _, mut responder, deadline: _, retried: _ } = job;
    let head = Some((head, Flow::Buffered));
    responder.push(&mut Push { head, block: BODY, last: true, may_wait: false }).expect("somebody waits for it");
}

fn read(mut reply: Reply) {
    let Poll::Ready(Ok(head)) = reply.poll_head(&mut Context::from_waker(Waker::noop())) else { panic!("no answer") };
    assert_eq!(head.headers.len(), 2);
    assert_eq!(reply.whole().as_deref(), Some(BODY));
}

/// Through the queue to a thread that comes for its next job.
pub(crate) fn dispatch() {
    let queue = Queue::new(1);
    let mut consumer = queue.consumer(WorkerId(0));
    let mut exchanges = exchanges();
    repeat(|| {
        let (request, head) = exchanges.next().expect("as many as are counted");
        let reply = push(&queue, request);
        answer(consumer.take().expect("a job waits"), head);
        read(reply);
    });
}

/// To an idle thread of another process, for which a task waits.
pub(crate) fn dispatch_to_task() {
    let queue = Queue::new(1);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let mut exchanges = exchanges();
    repeat(|| {
        let (request, head) = exchanges.next().expect("as many as are counted");
        let mut taking = pin!(consumer.take(|_| pending()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(taking.as_mut().poll(&mut context).is_pending(), "no job is there yet");
        let reply = push(&queue, request);
        let Poll::Ready(Ok(job)) = taking.poll(&mut context) else { panic!("an idle thread gets the job at once") };
        answer(job, head);
        read(reply);
    });
}
