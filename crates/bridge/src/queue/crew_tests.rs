#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Failure, testing};

fn push(queue: &Queue) -> crate::Reply {
    let (job, reply) = testing::job();
    queue.push(job).unwrap();
    reply
}

#[test]
fn a_successor_serves_beside_the_one_that_ends_under_the_same_number() {
    let queue = Queue::new(8);
    let (old, new) = (queue.crew(WorkerId(3)), queue.crew(WorkerId(3)));
    let (mut ending, mut beginning) = (old.consumer(), new.consumer());
    let _first = push(&queue);
    let running = ending.take().unwrap();
    assert_eq!(queue.workers(), 2);
    old.retire();
    assert_eq!((queue.workers(), old.is_retired(), new.is_retired()), (1, true, false));
    let _second = push(&queue);
    beginning.take().unwrap().responder.fail(Failure::Application);
    running.responder.fail(Failure::Application);
    assert!(ending.take().is_err(), "the old one is done");
    drop(ending);
    assert!(!new.is_retired());
}

#[test]
fn a_worker_that_is_held_gets_no_job_until_it_is_released() {
    let queue = Queue::new(8);
    let (held, free) = (queue.crew(WorkerId(0)), queue.crew(WorkerId(1)));
    let (mut first, mut second) = (held.consumer(), free.consumer());
    held.hold();
    let _replies = [push(&queue), push(&queue)];
    second.take().unwrap().responder.fail(Failure::Application);
    let thread = std::thread::spawn(move || {
        let job = first.take();
        (first, job.map(|job| job.responder.fail(Failure::Application)).is_ok())
    });
    while queue.depth().idle == 0 {
        std::thread::yield_now();
    }
    assert_eq!(queue.depth().queued, 1, "it waits, and the job waits");
    held.release();
    let (first, took) = thread.join().unwrap();
    assert!(took);
    drop((first, second));
}

#[test]
fn a_worker_without_threads_is_forgotten_when_it_is_retired() {
    let queue = Queue::new(8);
    let crew = queue.crew(WorkerId(0));
    let mut consumer = crew.consumer();
    crew.retire();
    assert!(consumer.take().is_err());
    drop(consumer);
    assert!(lock(&queue.state).workers.is_empty());
    assert!(crew.consumer().take().is_err(), "there is nothing to join any more");
}
